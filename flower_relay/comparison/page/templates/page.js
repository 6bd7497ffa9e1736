
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const made = (name, text) => {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  };

  // A strategy of the legend is brought out in every chart.
  const chips = all(".legend button");
  const bringOut = () => {
    const out = new Set(
      chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.s)
    );
    for (const chart of all(".charts .chart")) {
      chart.classList.toggle("dimmed", out.size > 0);
      for (const line of all("[data-s]", chart)) line.classList.toggle("out", out.has(line.dataset.s));
    }
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      bringOut();
    });
  }

  // What every line is at under the pointer, read back from its path.
  const pointsOf = new WeakMap();
  const points = (line) => {
    if (!pointsOf.has(line)) {
      const pairs = line.getAttribute("d").slice(1).split("L").map((pair) => pair.split(" ").map(Number));
      pointsOf.set(line, pairs);
    }
    return pointsOf.get(line);
  };
  const short = (value) =>
    value >= 1000 ? new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value)
      : String(Number(value.toPrecision(3)));
  for (const chart of all(".chart")) {
    const svg = chart.querySelector("svg");
    const cursor = chart.querySelector(".cursor");
    const readout = chart.querySelector(".readout");
    const [left, right, top, bottom] = chart.dataset.frame.split(" ").map(Number);
    const [kind, ...ends] = chart.dataset.x.split(" ");
    const [low, high] = ends.map(Number);
    const errors = chart.dataset.y.split(" ").map((end) => -Math.log(Math.max(1 - Number(end), 1e-3)));
    const cost = (x) => {
      const share = (x - left) / (right - left);
      return kind === "log" ? low * (high / low) ** share : low + share * (high - low);
    };
    const accuracy = (y) => 1 - Math.exp(-(errors[0] + ((bottom - y) / (bottom - top)) * (errors[1] - errors[0])));
    const show = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 360;
      if (x < left || x > right) return hide();
      const values = [];
      for (const line of all("path.line", chart)) {
        const path = points(line);
        if (x > path[path.length - 1][0] + 2 || x < path[0][0]) continue;
        const at = path.findLast((point) => point[0] <= x) ?? path[0];
        values.push([line.dataset.title, accuracy(at[1])]);
      }
      values.sort((a, b) => b[1] - a[1]);
      readout.replaceChildren(made("div", `at ${short(cost(x))}`));
      for (const [title, value] of values) {
        const row = made("div", "");
        row.append(made("span", title), made("b", `${(100 * value).toFixed(1)} %`));
        readout.append(row);
      }
      readout.hidden = false;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
    };
    const hide = () => {
      readout.hidden = true;
      cursor.style.visibility = "hidden";
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", hide);
  }

  // The lineage: one hop chosen, its ancestors back to the first model brought out.
  const drawing = document.getElementById("hops");
  if (drawing) {
    const hops = all("[data-hop]", drawing);
    const links = new Map(all("[data-link]", drawing).map((link) => [link.dataset.link, link]));
    const details = document.querySelector(".details");
    let chosen = hops[0];
    const choose = (hop, move) => {
      for (const each of all(".on, .past", drawing)) each.classList.remove("on", "past");
      chosen.setAttribute("tabindex", "-1");
      chosen = hop;
      hop.setAttribute("tabindex", "0");
      hop.classList.add("on");
      if (move) {
        hop.focus({ preventScroll: true });
        const scroll = drawing.parentElement;
        const x = Number(hop.getAttribute("transform").match(/[\d.]+/)[0]);
        if (x < scroll.scrollLeft + 20 || x > scroll.scrollLeft + scroll.clientWidth - 20)
          scroll.scrollLeft = x - scroll.clientWidth / 2;
      }
      let generations = 0;
      for (let at = hop; at; generations += 1) {
        links.get(at.dataset.hop)?.classList.add("past");
        at = at.dataset.parent === "" ? null : hops[Number(at.dataset.parent)];
        at?.classList.add("past");
      }
      describe(hop.dataset, hop.classList.contains("hostile"), generations);
    };
    const describe = (data, hostile, generations) => {
      const facts = [
        ["hop", Number(data.hop) + 1], ["round", data.round], ["lane", data.lane],
        ["trainer", data.trainer + (hostile ? " (hostile)" : "")], ["outcome", data.outcome],
        ["vote", data.vote], ["trained on", data.base], ["made", data.model],
        ["generation", generations],
      ];
      details.replaceChildren();
      for (const [name, value] of facts) {
        const fact = made("span", "");
        fact.append(made("i", `${name} `), made("b", value));
        details.append(fact);
      }
    };
    const place = (hop) => hop.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    const nearest = (event) => {
      const box = drawing.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const away = hops.map((hop) => Math.hypot(place(hop)[0] - x, (place(hop)[1] - y) / 3));
      return hops[away.indexOf(Math.min(...away))];
    };
    drawing.addEventListener("click", (event) => choose(nearest(event), true));
    drawing.addEventListener("pointerover", (event) => {
      const hop = event.pointerType === "mouse" && event.target.closest("[data-hop]");
      if (hop) choose(hop, false);
    });
    drawing.addEventListener("focusin", (event) => {
      const hop = event.target.closest("[data-hop]");
      if (hop && hop !== chosen) choose(hop, false);
    });
    drawing.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -1e9, End: 1e9 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const to = hops.indexOf(chosen) + steps[event.key];
      choose(hops[Math.max(0, Math.min(hops.length - 1, to))], true);
    });
    // One is chosen from the start, so that there is something to read and to go on from.
    choose(hops.find((hop) => !hop.classList.contains("accepted")) ?? chosen, false);
  }
  document.documentElement.dataset.ready = "yes"; // all of the above ran
})();
