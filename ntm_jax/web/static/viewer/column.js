"use strict";
// One run's part of the page: its figure over time, the step, and what both have in common.
(function () {
  const { element, plural } = NTM;
  const LEAST_COST = 0.0001; // in bits, that is given as a number

  const asked = (episode) => Object.entries(episode.difficulty).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  NTM.described = (episode) => [...asked(episode), `seed ${episode.seed}`].join(", ");

  function summary(episode) {
    const s = episode.scores;
    const cost = [NTM.word("cost", "cost"), ` ${s.bits > 0 && s.bits < LEAST_COST ? `under ${LEAST_COST}` : NTM.fixed(s.bits)} bits`];
    if (s.optimal_bits !== undefined) cost.push(" ", element("span", { class: "whole" }, "(", NTM.word("expected"), `: ${NTM.fixed(s.optimal_bits)})`));
    const parts = [[`${plural(s.wrong_bits, "wrong bit")} of ${s.scored_bits}`], cost];
    if (s.optimal_bits !== undefined) parts[0].push(" (the source is random)");
    parts.push([episode.rows ? plural(episode.rows, "memory row") : "no memory"]);
    if (episode.update) parts.push([NTM.word("update", "update"), ` ${NTM.count(episode.update)}`]);
    const last = parts.length - 1;
    return parts.flatMap((part, i) => [element("span", { class: "part" }, ...part, i < last ? " ·" : ""), " "]);
  }

  // The table of all heads at a step. Its cells are made once and filled at every step.
  class Numbers {
    // on: pick(a) for a click on a head, point(a) for the pointer over it, or null.
    constructor(episode, on) {
      this.heads = NTM.heads(episode.arrays);
      this.caption = element("caption");
      const names = [["head"], ["row"], ["weighting", "weight"], ["strength", "β"], ["gate", "g"], ["shift", "s"], ["sharpening", "γ"]];
      const titles = names.map((name) => element("th", { scope: "col" }, NTM.word(...name)));
      this.buttons = this.heads.map((head, a) => {
        const button = element("button", { type: "button", class: `pick ${head.kind}`, "aria-pressed": "false", title: "Show how this head found its row" }, head.name);
        button.addEventListener("click", () => on.pick(a));
        for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => on.point(a));
        for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => on.point(null));
        return button;
      });
      this.cells = this.heads.map(() => names.slice(1).map(() => element("td")));
      const rows = this.heads.map((head, a) => element("tr", {}, element("th", { scope: "row" }, this.buttons[a]), ...this.cells[a]));
      this.table = element("table", {}, this.caption, element("tr", {}, ...titles), ...rows);
    }

    // Also for the buttons' colours, which the theme can change.
    fill(episode, step, chosen) {
      const { strength, gate, sharpening, shift, read_weightings: read, write_weightings: write } = episode.arrays;
      this.caption.textContent = `The heads at step ${step}`;
      this.heads.forEach((head, a) => {
        const { row, weight } = NTM.strongest((head.kind === "read" ? read : write).part(step).part(head.index).values);
        const move = NTM.meanShift(shift, step, a);
        const part = (value) => value.toFixed(3); // of 1: three decimals are enough
        const values = [
          String(row), part(weight), NTM.digits(strength.at(step, a), 3), part(gate.at(step, a)), NTM.signedText(move), NTM.digits(sharpening.at(step, a), 3),
        ];
        values.forEach((text, i) => (this.cells[a][i].textContent = text));
        const colours = NTM.colours()[head.kind];
        this.buttons[a].style.borderLeftColor = colours[head.index % colours.length];
        const pressed = String(a === chosen);
        if (this.buttons[a].getAttribute("aria-pressed") !== pressed) this.buttons[a].setAttribute("aria-pressed", pressed);
      });
    }
  }

  // Of each kind, the head that is most on single rows: the one to look at first. What is read counts while it answers.
  function clearest(episode) {
    const { read_weightings: read, write_weightings: write } = episode.arrays;
    const found = {};
    NTM.heads(episode.arrays).forEach((head, a) => {
      const array = head.kind === "read" ? read : write;
      let sum = 0;
      const counts = (t) => head.kind === "write" || episode.arrays.mask.at(t) > 0;
      for (let t = 0; t < episode.steps; t++) if (counts(t)) sum += NTM.strongest(array.part(t).part(head.index).values).weight;
      if (sum > (found[head.kind]?.sum ?? -1)) found[head.kind] = { sum, a };
    });
    return { write: found.write?.a, read: (found.read || found.write)?.a };
  }

  const BY = { content: "by content", location: "by location", both: "both ways agree", undecided: "undecided", "": "on no row" };

  // No line ends between a letter and what it is.
  const unbroken = (text) => text.replace(/([βgsγ]) = /g, "$1\u00a0=\u00a0");

  // What the colours mean.
  function key(episode) {
    const c = NTM.colours();
    const scale = (name, colours, from, to) => {
      const bar = element("i", { style: `background: linear-gradient(to right, ${colours.map(([, colour]) => colour)})` });
      return element("span", {}, ...[].concat(name), ` ${from}`, bar, to);
    };
    const parts = [scale("bits", c.values, "0", "1")];
    if (NTM.hasErrors(episode)) parts.push(scale("error", c.error, "0", "1"));
    if (episode.arrays.memory) {
      const most = NTM.fixed(Number(episode.memoryScale.toPrecision(2)));
      parts.push(scale("write weight", c.writes, "0", "1"));
      if (!NTM.heads(episode.arrays).some((head) => head.both)) parts.push(scale("read weight", c.reads, "0", "1"));
      parts.push(scale([NTM.word("memory", "memory")], c.signed, `−${most}`, most));
      parts.push(element("span", {}, element("i", { style: `background: ${c.ink}; height: 4px; width: 14px` }), NTM.word("found", "found by content")));
    }
    return [...parts, element("span", {}, element("i", { style: `background: ${c.empty}` }), "not ", NTM.word("scored"))];
  }

  NTM.Column = class {
    // on: step(t), zoom(range), light(row, step) called when the visitor points into a figure; view() tells what is
    // shown: range, all (rows), scales, errors.
    constructor(place, on) {
      this.on = on;
      this.title = element("h2");
      this.summary = element("p", { class: "summary" });
      this.overTime = element("div", { class: "figure" });
      this.marks = new NTM.Marks(this.overTime);
      this.timeText = element("p", { class: "unseen" });
      this.stage = new NTM.Stage({ light: (found) => on.light(found ? found.row : null, null) });
      this.sorted = element("div", { class: "figure" });
      this.numbers = element("div", { class: "numbers" });
      this.head = element("select", { "aria-label": "Head whose way to its row is shown" });
      this.head.addEventListener("change", () => this.pick(Number(this.head.value)));
      this.verdict = element("span", {});
      this.how = element("p", { class: "how" }, "How the ", this.head, " found its row", this.verdict);
      this.notes = element("p", { class: "notes small" });
      this.found = element("ol", { class: "found", "aria-label": "How the head found its row" });
      this.key = element("p", { class: "key" });
      this.downloads = NTM.downloads(this);
      this.step = this.picked = null;
      this.now = element("div", { class: "now" }, this.how, this.stage.root, this.found, this.numbers, this.notes, this.sorted);
      this.root = element(
        "article", {},
        element("div", { class: "heading" }, element("div", {}, this.title, this.summary), this.downloads),
        this.key,
        element("div", { class: "halves" }, element("div", { class: "over-time" }, this.marks.root, this.timeText), this.now),
      );
      place.append(this.root);
      this.watching = NTM.onWidth(this.root, () => { if (this.episode) this.draw(this.step); });
    }

    get filename() {
      const difficulty = Object.entries(this.episode.difficulty).map(([name, value]) => `${name}_${value}`);
      return [this.episode.name.replace(/[^\w.-]+/g, "_"), ...difficulty, `seed_${this.episode.seed}`, ...(this.episode.changed ? ["broken"] : [])].join("-");
    }

    get hasMemory() {
      return Boolean(this.episode.arrays.memory);
    }

    // The head whose stages are shown: the one picked, or the one that jumps at this step, or the read head. Before the
    // answer, a read head on no row gives way to the write head.
    get chosen() {
      const heads = NTM.heads(this.episode.arrays);
      if (this.picked !== null && this.picked < heads.length) return this.picked;
      if (this.jump && this.jump.step === this.step) return this.jump.a;
      const { read, write } = this.usual;
      const isRead = this.episode.arrays.mask.at(this.step) > 0 || NTM.found(this.episode, this.step, read).by !== "";
      return (isRead ? read : write) ?? 0;
    }

    pick(a) {
      this.picked = a;
      this.drawStep();
    }

    async show(episode, step, quick = false) {
      this.episode = episode;
      const task = episode.name.startsWith(episode.task) ? "" : ` (${episode.task})`;
      this.title.replaceChildren(`${episode.name}${task}${episode.changed ? ", broken" : ""}`);
      this.summary.replaceChildren(...summary(episode));
      this.usual = this.hasMemory ? clearest(episode) : {};
      this.jump = NTM.jump(episode);
      this.head.replaceChildren(...(this.hasMemory ? NTM.heads(episode.arrays) : []).map((head, a) => element("option", { value: a }, head.name)));
      this.table = new Numbers(episode, { pick: (a) => this.pick(a), point: (a) => this.lightHead(a) });
      this.numbers.replaceChildren(this.table.table);
      await this.draw(step, quick);
    }

    // Draws everything; with `quick`, the figure over time a little later than the step.
    async draw(step, quick = false) {
      const { all, beside } = this.on.view();
      this.step = Math.min(step, this.episode.steps - 1);
      this.rows = NTM.shownRows(this.episode, all, beside);
      this.now.hidden = !this.hasMemory;
      if (this.hasMemory) this.stage.prepare(this.episode, this.rows);
      if (this.hasMemory) this.notes.textContent = NTM.memoryNotes(this.episode, this.rows).join(" ");
      this.drawStep();
      clearTimeout(this.later);
      if (quick) this.later = setTimeout(() => this.drawTime(), 250);
      else await this.drawTime();
    }

    async drawTime() {
      const { range, scales, errors, beside } = this.on.view();
      const wide = this.root.clientWidth > 560;
      const figure = NTM.overTime(this.episode, { range, wide, rows: this.rows, scales, errors, beside, dense: true, width: this.overTime.clientWidth });
      const was = this.overTime.data !== undefined;
      await NTM.draw(this.overTime, figure, `${this.filename}-over_time`);
      if (!was) this.listen();
      this.marks.place();
      this.marks.move(this.step);
      if (this.hasMemory) this.marks.pair(this.stage.copied);
      this.timeText.textContent = `The pictures over time show input, target, prediction and the heads over ${plural(this.episode.steps, "step")}.`;
      this.key.replaceChildren(...key(this.episode));
      const sorts = this.episode.priority_channel !== null && this.hasMemory;
      this.sorted.hidden = !sorts;
      if (sorts) await NTM.draw(this.sorted, NTM.sorted(this.episode, this.sorted.clientWidth), `${this.filename}-priorities`);
    }

    drawStep() {
      if (!this.hasMemory) return;
      const [a, lit] = [this.chosen, this.lit ?? null];
      this.stage.copied = NTM.copyOf(this.episode, this.step);
      this.stage.draw(this.step, a, lit);
      this.table.fill(this.episode, this.step, a);
      this.head.value = a;
      this.verdict.textContent = `: ${BY[NTM.found(this.episode, this.step, a, this.stage.stages).by]}`;
      this.marks.pair(this.stage.copied);
      if (!this.playing) this.describe();
    }

    // The step in words, which would come too fast while it plays.
    describe() {
      if (!this.hasMemory) return;
      const [[by, how], ...sentences] = NTM.foundSentences(this.episode, this.step, this.chosen, this.stage.stages);
      const said = { content: ["Found by ", NTM.word(by, by)], location: ["Found by ", NTM.word(by, by)], both: [NTM.word("found", "Both agree")], undecided: [NTM.word("found", "Undecided")] };
      const verdict = element("li", { class: "verdict" }, ...(said[by] || []), how);
      const names = { output: "output", items: "asked", "1 content": "content", "2 gate": "gate", "3 shift": "shift", "4 sharpen": "sharpening", read: "read", write: "add" };
      this.found.replaceChildren(verdict, ...sentences.map(([name, text]) => element("li", {}, NTM.word(names[name], name), ` ${unbroken(text)}`)));
      this.stage.canvas.setAttribute("aria-label", NTM.stepSentence(this.episode, this.step));
    }

    move(step, playing) {
      this.playing = playing;
      this.step = Math.min(step, this.episode.steps - 1);
      this.marks.move(this.step);
      this.drawStep();
    }

    // Lights a row everywhere, and a step in the figure over time.
    light(row, step) {
      if (!this.hasMemory || (row === (this.lit ?? null) && step === this.litStep)) return;
      [this.lit, this.litStep] = [row, step];
      this.stage.draw(this.step, this.chosen, row);
      this.marks.light(row === null ? -1 : this.rows.indexOf(row), step, this.rows.length);
    }

    // Lights a head everywhere: its pointers among those of others, and its weighting over time.
    lightHead(a) {
      const heads = NTM.heads(this.episode.arrays);
      this.stage.only = a === null ? null : heads[a];
      this.stage.draw(this.step, this.chosen, this.lit ?? null);
      const writes = heads.filter((head) => head.kind === "write").length;
      this.marks.lightPanel(a === null ? -1 : heads[a].index + (heads[a].kind === "read" ? writes : 0));
    }

    async zoom(range) {
      const [from, to] = range || [0, this.episode.steps - 1];
      await Plotly.relayout(this.overTime, { "xaxis.range": [from - 0.5, to + 0.5] });
      this.marks.place();
      this.marks.move(this.step);
    }

    listen() {
      this.overTime.on("plotly_click", (event) => this.on.step(Math.round(event.points[0].x)));
      this.overTime.on("plotly_hover", (event) => {
        const [point] = event.points;
        const isRow = point.data.meta === "weighting";
        this.on.light(isRow ? this.rows[Math.round(point.y)] ?? null : null, Math.round(point.x));
      });
      this.overTime.on("plotly_unhover", () => this.on.light(null, null));
      this.overTime.on("plotly_relayout", (change) => {
        if (change["xaxis.range[0]"] !== undefined) {
          this.on.zoom([Math.ceil(change["xaxis.range[0]"]), Math.floor(change["xaxis.range[1]"])]);
        } else if (change["xaxis.autorange"]) {
          this.on.zoom(null);
        }
      });
    }

    remove() {
      clearTimeout(this.later);
      this.watching.disconnect();
      [this.overTime, this.sorted].forEach((figure) => Plotly.purge(figure));
      this.root.remove();
    }
  };
})();
