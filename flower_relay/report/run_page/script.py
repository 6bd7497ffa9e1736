"""The script of a run's page: draws what it is given, and asks for more where a run goes on.

Names and reasons come from nodes: they are only ever set as text.
"""

from __future__ import annotations

from .drawing import DRAWING

__all__ = ["SCRIPT"]

_BEGIN = r"""
"use strict";
(() => {
  const given = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("runs");
  const SVG = "http://www.w3.org/2000/svg";
  const [TRAINER, FATE, PARENT, ROUND, LANE, VOTE, OUTCOME, REASON] = [0, 1, 2, 3, 4, 5, 6, 7];
  const LANES = ["--accent", "#c78500", "#00875f", "#c0609b", "#3b9ae1", "#6a63c4"];
  const STEP = 10, SHOWN_FAULTS = 8;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const drawn = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const colour = (name) => name.startsWith("--")
    ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : name;
  const number = (value, digits) => value === null || value === undefined ? "–"
    : value.toFixed(digits).replace("-", "−");
  const whole = (value) => value === null || value === undefined ? "–" : value.toLocaleString("en");
  const time = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    const all = Math.max(0, Math.round(seconds));
    const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
    const two = (part) => String(part).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
  };
  const signed = (value) => value === null ? "no vote"
    : `vote ${value > 0 ? "+" : ""}${number(value, 3)}`;
"""

_RUN = r"""
  class Run extends Drawing {
    constructor() {
      super();
      const copy = document.getElementById("run").content.cloneNode(true);
      this.parts = {};
      for (const part of copy.querySelectorAll("[data-is]")) this.parts[part.dataset.is] = part;
      this.bar = copy.querySelector(".progress");
      this.article = copy.querySelector(".run");
      main.append(copy);
      Object.assign(this, {hops: [], first: 0, rounds: [], people: [], tests: [], facts: {}});
      Object.assign(this, {end: null, chosen: null, sort: "worth", asked: false});
      this.heads();
      this.listen();
    }

    take(news) {
      if (this.hops.length === 0) this.first = news.first;
      this.hops.length = Math.min(this.hops.length, news.first - this.first);
      for (const hop of news.hops) this.hops.push(hop);
      this.rounds.length = news.from;
      for (const row of news.rounds) this.rounds.push(row);
      this.people = news.participants;
      this.tests = news.tests;
      this.facts = news.facts ?? {};
      this.phase = news.phase;
      this.title = news.title;
      this.draw();
    }

    // Many changes in one frame are drawn once.
    draw() {
      if (this.asked) return;
      this.asked = true;
      requestAnimationFrame(() => {
        this.asked = false;
        const began = performance.now();
        this.top();
        this.curve();
        this.way();
        this.standings();
        this.faults();
        this.article.dataset.drawn = (performance.now() - began).toFixed(1);
      });
    }

    top() {
      const {parts, phase, facts, hops, rounds} = this;
      const state = {waiting: "waiting for its first block", running: "running", over: "over"};
      parts.kind.textContent = [facts.topology, facts.lanes > 1 ? `${facts.lanes} lanes` : "",
        this.people.length ? `${this.people.length} participants` : ""]
        .filter(Boolean).map((part) => `· ${part}`).join(" ");
      parts.title.textContent = this.title;
      const quiet = phase.quiet > 60 ? `nothing new for ${time(phase.quiet)}` : "";
      parts.state.textContent = lost ? "no answer from the server" : state[phase.state];
      parts.state.className = `pill ${lost ? "lost" : phase.state}`;
      parts.clock.textContent = [phase.seconds === null ? "" : `${time(phase.seconds)} so far`,
        phase.left === null ? "" : `about ${time(phase.left)} left`, quiet]
        .filter(Boolean).join(" · ").replace(" so far", phase.state === "over" ? "" : " so far");
      parts.problem.hidden = !phase.problem;
      parts.problem.textContent = phase.problem;
      const last = rounds.at(-1), count = this.first + hops.length;
      const share = facts.budget ? count / facts.budget
        : facts.limit && last ? last[0] / facts.limit : phase.state === "over" ? 1 : 0;
      parts.bar.style.width = `${(100 * Math.min(1, share)).toFixed(1)}%`;
      this.bar.setAttribute("aria-valuenow", Math.round(100 * Math.min(1, share)));
      const accepted = this.sum("accepted"), rejected = this.sum("rejected");
      const figures = [
        ["hops", whole(count), facts.budget ? `of ${whole(facts.budget)}` : ""],
        ["rounds", whole(last ? last[0] : 0), facts.limit ? `of ${whole(facts.limit)}` : ""],
        ["accepted", whole(accepted), ""], ["rejected", whole(rejected), ""],
        ["utility", number(last?.[2], 3), ""],
        ["accuracy", this.tests.length ? number(this.tests.at(-1)[1], 3) : "–", ""],
        ["coins paid", number(this.sum("coins"), 2), ""],
        ["locked", number(this.sum("locked"), 2), ""],
      ];
      if (facts.megabytes) figures.push(["traffic", whole(facts.megabytes), "MB"]);
      parts.figures.replaceChildren(...figures.map(([name, value, unit]) => {
        const box = element("div"), shown = element("dd", value);
        if (unit) shown.append(" ", element("small", unit));
        box.append(element("dt", name), shown);
        return box;
      }));
    }

    sum(key) { return this.people.reduce((total, person) => total + (person[key] ?? 0), 0); }

    heads() {
      const columns = [["name", "participant"], ["worth", "coins, all"], ["coins", "paid"],
        ["locked", "locked"], ["bond", "bond"], ["debt", "debt"], ["accepted", "accepted"],
        ["rejected", "rejected"], ["examined", "examined"]];
      this.parts.heads.replaceChildren(...columns.map(([key, name]) => {
        const head = element("th"), button = element("button", name);
        head.scope = "col";
        head.dataset.key = key;
        button.type = "button";
        button.addEventListener("click", () => { this.sort = key; this.standings(); });
        head.append(button);
        return head;
      }));
    }

    standings() {
      const people = this.people.map((person) => ({...person, worth: person.coins + person.locked}));
      const key = this.sort;
      people.sort((a, b) => key === "name"
        ? a.name.localeCompare(b.name, "en", {numeric: true}) : b[key] - a[key]);
      for (const head of this.parts.heads.children) {
        if (head.dataset.key === key) head.setAttribute("aria-sort", key === "name" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      }
      this.parts.people.replaceChildren(...people.map((person) => {
        const row = element("tr");
        const name = element("th", person.name + (person.hostile ? " (hostile)" : ""),
          person.hostile ? "hostile" : "");
        name.scope = "row";
        name.title = person.name;
        row.append(name, ...[number(person.worth, 3), number(person.coins, 3),
          number(person.locked, 3), number(person.bond, 2), number(person.debt, 2),
          whole(person.accepted), whole(person.rejected), whole(person.examined)]
          .map((text) => element("td", text)));
        return row;
      }));
    }

    faults() {
      const bad = [];
      for (let at = this.hops.length - 1; at >= 0 && bad.length < SHOWN_FAULTS; at -= 1)
        if (this.hops[at][FATE] !== "accepted" && this.hops[at][OUTCOME] !== "voided")
          bad.push([this.hops[at], this.first + at + 1]);
      this.parts.faults.replaceChildren(...bad.map(([hop, at]) => {
        const item = element("li"), why = element("span", undefined, "why");
        why.append(element("b", hop[OUTCOME]),
          ` ${[hop[REASON], hop[VOTE] === null ? "" : signed(hop[VOTE])].filter(Boolean).join(" · ")}`);
        item.append(element("span", `hop ${whole(at)}`, "at"), element("span", this.person(hop)), why);
        return item;
      }));
      if (!bad.length) this.parts.faults.append(element("li", "None so far.", "none"));
    }

    listen() {
      const {way, pan, whole: all} = this.parts;
      const choose = (event) => {
        if (!this.geometry || !this.hops.length) return;
        const box = way.getBoundingClientRect(), {begin, end, place, row} = this.geometry;
        const at = begin + Math.round((event.clientX - box.left - 6) / place);
        const near = [];
        const reach = Math.max(1, Math.ceil(6 / place));
        for (let each = at - reach; each <= at + reach; each += 1)
          if (each >= begin && each < end) near.push(each);
        const away = (each) => Math.hypot((each - at) * place,
          this.y(this.hops[each]) - (event.clientY - box.top));
        near.sort((a, b) => away(a) - away(b));
        if (near.length && near[0] !== this.chosen) {
          this.chosen = near[0];
          this.draw();
        }
      };
      way.addEventListener("pointermove", (event) => event.pointerType === "mouse" && choose(event));
      way.addEventListener("pointerdown", choose);
      way.addEventListener("pointerleave", () => { this.chosen = null; this.draw(); });
      way.addEventListener("keydown", (event) => {
        const move = {ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9}[event.key];
        if (move === undefined || !this.hops.length) return;
        event.preventDefault();
        const last = this.hops.length - 1;
        this.chosen = Math.max(0, Math.min(last, (this.chosen ?? last) + move));
        if (this.geometry && (this.chosen < this.geometry.begin || this.chosen >= this.geometry.end))
          this.end = this.chosen + 1;
        this.draw();
      });
      pan.addEventListener("input", () => {
        this.end = Number(pan.value) >= this.hops.length ? null : Number(pan.value);
        this.draw();
      });
      all.addEventListener("change", () => this.draw());
      new ResizeObserver(() => this.draw()).observe(main);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    }
  }

  let lost = false;
  const runs = [];
  const at = (place) => {
    while (runs.length <= place) runs.push(new Run());
    main.classList.toggle("several", runs.length > 1);
    return runs[place];
  };
  given.runs.forEach((news, place) => {
    const run = at(place);
    run.parts.whole.checked = true;
    run.take(news);
  });
  if (given.live) {
    const source = new EventSource("events");
    source.onmessage = (event) => {
      lost = false;
      const {place, news} = JSON.parse(event.data);
      const begins = place >= runs.length, run = at(place);
      if (begins) run.parts.whole.checked = news.phase.state === "over";
      run.take(news);
    };
    source.onerror = () => {
      lost = true;
      for (const run of runs) run.draw();
    };
  }
  document.documentElement.dataset.ready = "yes";
})();
"""

SCRIPT = _BEGIN + DRAWING + _RUN
"""The whole of it, one function that leaves nothing behind in the page."""
