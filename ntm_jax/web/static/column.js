"use strict";
// One run's part of the page: its figures, the numbers of the step, its downloads.
(function () {
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  NTM.element = element;

  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  function summary(episode) {
    const s = episode.scores;
    const parts = [
      `${plural(s.wrong_bits, "wrong bit")} of ${s.scored_bits}`,
      `cost ${NTM.fixed(s.bits)} bits` + (s.optimal_bits === undefined ? "" : `, ${NTM.fixed(s.optimal_bits)} at best`),
      episode.rows ? plural(episode.rows, "memory row") : "no memory",
    ];
    if (episode.update) parts.push(`update ${episode.update}`);
    return parts.join(" · ");
  }

  function numbers(episode, step) {
    const { strength, gate, sharpening, shift, read_weightings: read, write_weightings: write } = episode.arrays;
    const table = element("table", {}, element("caption", {}, `The heads at step ${step}`));
    table.append(element("tr", {}, ...["head", "row", "weight", "β", "g", "shift", "γ"].map((text) => element("th", { scope: "col" }, text))));
    NTM.heads(episode.arrays).forEach((head, a) => {
      const weighting = (head.kind === "read" ? read : write).part(step).part(head.index).values;
      const { row, weight } = NTM.strongest(weighting);
      const reach = (shift.shape[2] - 1) / 2;
      let move = 0;
      for (let i = 0; i < shift.shape[2]; i++) move += (i - reach) * shift.at(step, a, i);
      const cells = [row, weight, strength.at(step, a), gate.at(step, a), move, sharpening.at(step, a)];
      table.append(element("tr", {}, element("th", { scope: "row" }, head.name), ...cells.map((x) => element("td", {}, NTM.fixed(x)))));
    });
    return table;
  }

  // What the colours mean, from 0 to 1 but for the memory's.
  function key(episode) {
    const c = NTM.colours();
    const scale = (name, colours, from, to) => {
      const bar = element("i", { style: `background: linear-gradient(to right, ${colours.map(([, colour]) => colour)})` });
      return element("span", {}, `${name} ${from}`, bar, to);
    };
    const parts = [scale("values", c.values, "0", "1"), scale("error", c.error, "0", "1")];
    if (episode.arrays.inputs.values.some((x) => x < 0)) parts.unshift(scale("input", c.signed, "below 0", "above"));
    if (episode.arrays.memory) {
      const most = NTM.fixed(Number(episode.memoryScale.toPrecision(2)));
      parts.push(scale("weights", c.weights, "0", "1"), scale("memory", c.signed, `−${most}`, most));
    }
    return [...parts, element("span", {}, element("i", { style: `background: ${c.empty}` }), "not scored")];
  }

  NTM.Column = class {
    // on: {step(t), zoom(from, to)} called when the visitor points into a figure; range() tells what is shown.
    constructor(place, on) {
      this.on = on;
      this.title = element("h2");
      this.summary = element("p", { class: "summary" });
      this.overTime = element("div", { class: "figure", role: "img" });
      this.atStep = element("div", { class: "figure", role: "img" });
      this.sorted = element("div", { class: "figure", role: "img" });
      this.numbers = element("div", { class: "numbers" });
      const download = (text, call) => {
        const button = element("button", { type: "button" }, text);
        button.addEventListener("click", call);
        return button;
      };
      this.stepButton = download("PNG of the step", () => this.png(this.atStep, `step_${this.step}`));
      this.key = element("p", { class: "key" });
      this.downloads = element(
        "p", { class: "buttons" },
        download("PNG over time", () => this.png(this.overTime, "over_time")),
        this.stepButton,
        download("JSON", () => this.json()),
      );
      this.root = element(
        "article", {},
        element("div", { class: "heading" }, element("div", {}, this.title, this.summary), this.downloads),
        this.key,
        element("div", { class: "halves" }, element("div", {}, this.overTime), element("div", {}, this.numbers, this.atStep, this.sorted)),
      );
      place.append(this.root);
      this.watching = NTM.onWidth(this.root, () => { if (this.episode) this.draw(this.step, this.on.range()); });
    }

    get filename() {
      const difficulty = Object.entries(this.episode.difficulty).map(([name, value]) => `${name}_${value}`);
      return [this.episode.name.replace(/[^\w.-]+/g, "_"), ...difficulty, `seed_${this.episode.seed}`].join("-");
    }

    async show(episode, step, range) {
      this.episode = episode;
      NTM.prepareSteps(episode);
      this.title.textContent = `${episode.name} (${episode.task})`;
      this.summary.textContent = summary(episode);
      await this.draw(step, range);
    }

    async draw(step, range) {
      this.step = Math.min(step, this.episode.steps - 1);
      const wide = this.root.clientWidth > 560;
      const overTime = NTM.overTime(this.episode, { step: this.step, range, wide });
      const was = this.overTime.data !== undefined;
      await NTM.draw(this.overTime, overTime, this.filename);
      if (!was) this.listen();
      const figure = `Input, target, prediction, error, and the heads over ${this.episode.steps} steps`;
      this.overTime.setAttribute("aria-label", figure);
      this.wide = wide;
      this.key.replaceChildren(...key(this.episode));
      const sorts = this.episode.priority_channel !== null && this.episode.arrays.memory;
      this.sorted.hidden = !sorts;
      if (sorts) {
        await NTM.draw(this.sorted, NTM.sorted(this.episode), this.filename);
        this.sorted.setAttribute("aria-label", "Write locations by priority");
      }
      await this.drawStep();
    }

    async drawStep() {
      const has = Boolean(this.episode.arrays.memory);
      this.atStep.hidden = this.stepButton.hidden = this.numbers.hidden = !has;
      if (!has) return;
      await NTM.draw(this.atStep, NTM.atStep(this.episode, this.step, this.wide), this.filename);
      this.atStep.setAttribute("aria-label", `Memory, its change and the weightings at step ${this.step}`);
      this.numbers.replaceChildren(numbers(this.episode, this.step));
    }

    async move(step) {
      this.step = Math.min(step, this.episode.steps - 1);
      await Promise.all([NTM.moveCursor(this.overTime, this.step), this.drawStep()]);
    }

    zoom(range) {
      const [from, to] = range || [0, this.episode.steps - 1];
      return Plotly.relayout(this.overTime, { "xaxis.range": [from - 0.5, to + 0.5] });
    }

    listen() {
      this.overTime.on("plotly_click", (event) => this.on.step(Math.round(event.points[0].x)));
      this.overTime.on("plotly_relayout", (change) => {
        if (change["xaxis.range[0]"] !== undefined) {
          this.on.zoom([Math.ceil(change["xaxis.range[0]"]), Math.floor(change["xaxis.range[1]"])]);
        } else if (change["xaxis.autorange"]) {
          this.on.zoom(null);
        }
      });
    }

    png(figure, what) {
      const { width, height } = figure.getBoundingClientRect();
      const filename = `${this.filename}-${what}`;
      return Plotly.downloadImage(figure, { format: "png", width: Math.round(width), height: Math.round(height), scale: 2, filename });
    }

    json() {
      const arrays = Object.fromEntries(Object.entries(this.episode.arrays).map(([name, array]) => [name, array.nested()]));
      NTM.download(`${this.filename}.json`, "application/json", JSON.stringify({ ...this.episode, arrays, memoryScale: undefined, vectorScale: undefined }));
    }

    remove() {
      this.watching.disconnect();
      [this.overTime, this.atStep, this.sorted].forEach((figure) => Plotly.purge(figure));
      this.root.remove();
    }
  };
})();
