"""The part of a run's script that draws: the curve, and the way of the model.

A way of two thousand hops is drawn on a canvas, once a change, whatever the number of changes.
"""

from __future__ import annotations

__all__ = ["DRAWING"]

DRAWING = r"""
  class Drawing {
    curve() {
      const box = this.parts.curve;
      const width = Math.max(240, box.clientWidth - 26), height = 220;
      const lines = [["u", "utility of the champion, as its committee sees it",
        this.rounds.filter((row) => row[2] !== null).map((row) => [row[1], row[2]])],
        ["a", "accuracy on the server's test set", this.tests.filter((each) => each[1] !== null)]]
        .filter((line) => line[2].length);
      this.parts["curve-keys"].replaceChildren(...lines.map(([kind, name]) => {
        const key = element("span"), dash = drawn("svg", {viewBox: "0 0 18 12", class: "dash"});
        dash.append(drawn("path", {class: kind, d: "M0 6H18"}));
        key.append(dash, name);
        return key;
      }));
      if (!lines.length) {
        box.replaceChildren(element("p", "Nothing was measured yet.", "empty"));
        return;
      }
      const values = lines.flatMap((line) => line[2].map((point) => point[1]));
      const step = Math.max(...values) - Math.min(...values) > 0.5 ? 0.2 : 0.1;
      const low = step * Math.floor(Math.min(...values) / step + 1e-9);
      const high = Math.max(low + step, step * Math.ceil(Math.max(...values) / step - 1e-9));
      const most = Math.max(this.first + this.hops.length, 1);
      const [left, right, top, bottom] = [34, width - 8, 8, height - 36];
      const x = (at) => left + (right - left) * at / most;
      const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
      const svg = drawn("svg", {viewBox: `0 0 ${width} ${height}`, width, role: "img",
        "aria-label": `${lines.map((line) => line[1]).join(" and ")} over hops`});
      const text = (at, up, words, anchor) => {
        const made = drawn("text", {x: at, y: up, "text-anchor": anchor});
        made.textContent = words;
        svg.append(made);
      };
      for (let value = low; value <= high + 1e-9; value += step) {
        svg.append(drawn("line", {class: "rule", x1: left, x2: right, y1: y(value), y2: y(value)}));
        text(left - 6, y(value) + 4, value.toFixed(1), "end");
      }
      for (const share of [0, 0.25, 0.5, 0.75, 1])
        text(x(share * most), height - 4, whole(Math.round(share * most)),
          share === 0 ? "start" : share === 1 ? "end" : "middle");
      const lost = this.hops.map((hop, at) => [hop, this.first + at + 1])
        .filter(([hop]) => hop[FATE] === "rejected")
        .map(([, at]) => `M${x(at).toFixed(1)} ${bottom + 6}v8`).join("");
      svg.append(drawn("path", {class: "lost", d: lost}));
      for (const [kind, , points] of lines) {
        const path = points.map((each) => `${x(each[0]).toFixed(1)} ${y(each[1]).toFixed(1)}`);
        svg.append(drawn("path", {class: kind, d: `M${path.join("L")}`}));
        if (points.length === 1)
          svg.append(drawn("circle", {class: kind, cx: x(points[0][0]), cy: y(points[0][1]), r: 2}));
      }
      box.replaceChildren(svg);
    }

    // What part of the way is shown: the whole, or what ends at the hop that was panned to.
    window(width) {
      const count = this.hops.length;
      if (this.parts.whole.checked) return [0, count];
      const room = Math.max(1, Math.floor(width / STEP));
      const end = Math.max(Math.min(this.end ?? count, count), Math.min(room, count));
      return [Math.max(0, end - room), end];
    }

    way() {
      const canvas = this.parts.way, rows = this.people.length;
      const width = Math.max(120, canvas.parentElement.clientWidth - this.parts.names.offsetWidth - 8);
      const row = rows <= 24 ? 20 : rows <= 60 ? 14 : Math.max(4, 840 / rows);
      const height = Math.max(row, rows * row), dense = window.devicePixelRatio || 1;
      this.names(rows, row, height);
      const [begin, end] = this.window(width);
      canvas.width = width * dense;
      canvas.height = height * dense;
      canvas.style.height = `${height}px`;
      const fits = (width - 12) / Math.max(1, end - begin - 1);
      const least = this.parts.whole.checked ? 0 : STEP;
      const place = Math.max(least, Math.min(fits, 24));
      this.geometry = {begin, end, place, row};
      const pen = canvas.getContext("2d");
      pen.scale(dense, dense);
      this.paint(pen, width, height);
      const pan = this.parts.pan, count = this.hops.length;
      pan.max = Math.max(1, count);
      pan.disabled = this.parts.whole.checked || end - begin >= count;
      if (this.end === null) pan.value = pan.max;
      this.parts.span.textContent = count
        ? `${whole(this.first + begin + 1)}–${whole(this.first + end)}` : "no hop yet";
      this.tell();
    }

    x(at) { return 6 + (at - this.geometry.begin) * this.geometry.place; }
    y(hop) { return (hop[TRAINER] + 0.5) * this.geometry.row; }

    paint(pen, width, height) {
      const {begin, end, place, row} = this.geometry;
      const [line, soft, harm] = ["--line", "--soft", "--harm"].map(colour);
      const lanes = LANES.map(colour), radius = Math.max(1.5, Math.min(row * 0.26, place * 0.6, 4.5));
      pen.strokeStyle = line;
      pen.lineWidth = 1;
      pen.globalAlpha = row < 8 ? 0.3 : 0.6;
      pen.beginPath();
      for (let at = 0.5; at * row < height; at += 1) {
        pen.moveTo(0, at * row);
        pen.lineTo(width, at * row);
      }
      pen.stroke();
      const shown = [];
      for (let at = begin; at < end; at += 1) shown.push([this.hops[at], at]);
      pen.globalAlpha = Math.max(0.12, Math.min(0.55, place * 0.12));
      pen.strokeStyle = soft;
      pen.beginPath();
      for (const [hop, at] of shown) {
        const from = hop[PARENT] === null ? -1 : hop[PARENT] - this.first;
        if (hop[FATE] !== "accepted" || from < 0) continue;
        pen.moveTo(this.x(from), this.y(this.hops[from]));
        pen.lineTo(this.x(at), this.y(hop));
      }
      pen.stroke();
      pen.globalAlpha = 1;
      for (const [hop, at] of shown) {
        const [x, y] = [this.x(at), this.y(hop)];
        pen.beginPath();
        if (hop[FATE] === "accepted") {
          pen.fillStyle = lanes[this.facts.topology === "fan-out" ? 0 : hop[LANE] % lanes.length];
          pen.arc(x, y, radius, 0, 7);
          pen.fill();
        } else if (hop[FATE] === "rejected") {
          const arm = Math.max(2.2, radius);
          pen.strokeStyle = harm;
          pen.lineWidth = Math.min(2, 0.6 + arm / 3);
          pen.moveTo(x - arm, y - arm);
          pen.lineTo(x + arm, y + arm);
          pen.moveTo(x + arm, y - arm);
          pen.lineTo(x - arm, y + arm);
          pen.stroke();
        } else {
          pen.strokeStyle = soft;
          pen.lineWidth = 1;
          pen.arc(x, y, Math.max(1, radius - 0.5), 0, 7);
          pen.stroke();
        }
      }
      if (this.chosen !== null && this.chosen >= begin && this.chosen < end) {
        pen.beginPath();
        pen.strokeStyle = colour("--ink");
        pen.lineWidth = 1.5;
        pen.arc(this.x(this.chosen), this.y(this.hops[this.chosen]), radius + 3, 0, 7);
        pen.stroke();
      }
    }

    names(rows, row, height) {
      const key = JSON.stringify([row, this.people.map((person) => [person.name, person.hostile])]);
      if (key === this.named) return;
      this.named = key;
      const every = Math.ceil(12 / row), box = element("div");
      box.style.height = `${height}px`;
      let longest = 0;
      for (let at = 0; at < rows; at += every) {
        const name = element("span", this.people[at].name, this.people[at].hostile ? "hostile" : "");
        name.title = this.people[at].name;
        name.style.top = `${(at + 0.5) * row}px`;
        longest = Math.max(longest, this.people[at].name.length);
        box.append(name);
      }
      this.parts.names.style.width = `${Math.min(8.5, 0.4 * longest)}rem`;
      this.parts.names.replaceChildren(box);
    }

    tell() {
      const at = this.chosen ?? this.hops.length - 1, hop = this.hops[at];
      if (!hop) {
        this.parts.hop.textContent = "";
        return;
      }
      const base = hop[PARENT] === null ? "the first model"
        : `hop ${whole(hop[PARENT] + 1)}'s model`;
      const facts = [`Hop ${whole(this.first + at + 1)}`, `round ${whole(hop[ROUND])}`,
        this.facts.lanes > 1 ? `lane ${hop[LANE] + 1}` : "",
        `${this.person(hop)} trained ${base}`, hop[OUTCOME], signed(hop[VOTE]), hop[REASON]];
      this.parts.hop.textContent = facts.filter(Boolean).join(" · ");
    }

    person(hop) { return this.people[hop[TRAINER]]?.name ?? `participant ${hop[TRAINER]}`; }
  }
"""
