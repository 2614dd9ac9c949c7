"use strict";
// The input as squares to click, beside what comes back.
(function () {
  const $ = (id) => document.getElementById(id);
  const [LARGEST, LEAST] = [24, 4]; // pixels of a square

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  NTM.Editor = class {
    // on(change): {bits, numbers} of the address, either may be left out; null for the input as it was drawn.
    constructor(on) {
      this.on = on;
      this.canvas = NTM.element("canvas", { tabindex: "0", role: "application", "data-keys": "", "aria-label": "Input" });
      this.answer = NTM.element("canvas", { role: "img" });
      this.numbers = NTM.element("div", { class: "edit-numbers" });
      const button = (text, call) => {
        const made = NTM.element("button", { type: "button" }, text);
        made.addEventListener("click", call);
        return made;
      };
      this.heart = button("Heart", () => this.change(NTM.hearts(this.vectors, this.channels)));
      $("editor").append(
        NTM.element(
          "p", { class: "buttons" }, button("Zeros", () => this.change(this.bits.map(() => 0))),
          button("Shuffle", () => this.change(NTM.shuffled(this.bits, this.channels))), this.heart, button("Original episode", () => this.on(null)),
        ),
        NTM.element(
          "div", { class: "grids" }, NTM.element("div", {}, NTM.element("p", {}, "Input: click or drag"), this.canvas),
          NTM.element("div", {}, NTM.element("p", {}, "What comes back, computed by the model at each click"), this.answer),
        ),
        this.numbers,
      );
      this.listen();
      $("edit").addEventListener("toggle", () => this.episode && this.show(this.episode));
    }

    // Takes over an answer. While the pointer is down, the visitor's own bits stay.
    show(episode) {
      this.episode = episode;
      $("edit").hidden = !episode.editable || !episode.editable.channels;
      if ($("edit").hidden || !$("edit").open) return;
      const { steps, channels, numbers } = episode.editable;
      if (this.painting === undefined) this.bits = NTM.editableBits(episode);
      [this.vectors, this.channels] = [steps.length, channels];
      this.at = Math.min(this.at ?? 0, this.bits.length - 1);
      this.heart.hidden = this.vectors < 9 || channels < 6;
      this.showNumbers(numbers);
      this.draw();
    }

    showNumbers(numbers) {
      const names = numbers.map((one) => one.name).join();
      if (this.named !== names) {
        this.named = names;
        this.inputs = numbers.map((one) => NTM.element("input", {
          type: "number", min: one.least, max: one.most, step: one.whole ? 1 : 0.05, "aria-label": one.name, required: "",
        }));
        this.inputs.forEach((input) => input.addEventListener("change", () => this.changeNumbers()));
        const short = (name) => name.replace(/^priority /, "");
        const head = numbers.length > 1 ? [NTM.element("span", {}, "Priorities of the vectors")] : [];
        this.numbers.replaceChildren(...head, ...this.inputs.map((input, i) => NTM.element("label", {}, `${short(numbers[i].name)} `, input)));
      }
      this.inputs.forEach((input, i) => { if (document.activeElement !== input) input.value = Number(numbers[i].value.toFixed(3)); });
    }

    get values() {
      return this.episode.editable.numbers.map((one) => one.value);
    }

    change(bits) {
      this.bits = bits;
      this.draw();
      this.on({ bits: NTM.encodeBits(bits), numbers: NTM.encodeNumbers(this.values) });
    }

    changeNumbers() {
      if (this.inputs.some((input) => !input.reportValidity())) return;
      this.on({ bits: NTM.encodeBits(this.bits), numbers: NTM.encodeNumbers(this.inputs.map((input) => Number(input.value))) });
    }

    // ---- Pictures

    fit(canvas, columns, rows, size) {
      const ratio = window.devicePixelRatio || 1;
      Object.assign(canvas, { width: Math.ceil(columns * size * ratio) + 2, height: Math.ceil(rows * size * ratio) + 2 });
      Object.assign(canvas.style, { width: `${canvas.width / ratio}px`, height: `${canvas.height / ratio}px` });
      const g = canvas.getContext("2d");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      return g;
    }

    draw() {
      const c = NTM.colours();
      const { mask, targets, probabilities } = this.episode.arrays;
      const scored = Array.from(mask.values.keys()).filter((t) => mask.at(t) > 0);
      const width = Math.max(200, $("editor").clientWidth);
      const half = width > 700 ? width / 2 - 20 : width;
      this.size = Math.max(LEAST, Math.min(LARGEST, Math.floor(half / this.vectors)));
      const values = NTM.ramp(c.values);
      const square = (g, size, x, y, value, frame) => {
        g.fillStyle = values(value);
        g.fillRect(x * size + 1, y * size + 1, size, size);
        g.strokeStyle = frame || c.line;
        g.lineWidth = frame ? 2 : 0.7;
        g.strokeRect(x * size + 1 + (frame ? 1 : 0), y * size + 1 + (frame ? 1 : 0), size - (frame ? 2 : 0), size - (frame ? 2 : 0));
      };
      const g = this.fit(this.canvas, this.vectors, this.channels, this.size);
      this.bits.forEach((bit, i) => square(g, this.size, Math.floor(i / this.channels), i % this.channels, bit));
      const [v, k] = [Math.floor(this.at / this.channels), this.at % this.channels];
      if (document.activeElement === this.canvas) square(g, this.size, v, k, this.bits[this.at], c.cursor);
      this.canvas.setAttribute(
        "aria-label",
        `Input: ${this.vectors} vectors of ${NTM.plural(this.channels, "bit")}. Arrows move, Space changes a bit. Vector ${v}, bit ${k} is ${this.bits[this.at]}.`,
      );
      const outputs = targets.shape[1];
      const small = Math.max(2, Math.min(this.size, half / scored.length));
      const h = this.fit(this.answer, scored.length, outputs, small);
      let wrong = 0;
      scored.forEach((t, x) => {
        for (let i = 0; i < outputs; i++) {
          const chance = probabilities.at(t, i);
          const isWrong = chance > 0.5 !== targets.at(t, i) > 0.5;
          wrong += isWrong;
          square(h, small, x, i, chance, isWrong && c.cursor);
        }
      });
      this.answer.dataset.shown = this.episode.id;
      this.answer.setAttribute("aria-label", `The answer: ${NTM.plural(wrong, "wrong bit")} of ${scored.length * outputs}.`);
    }

    // ---- Pointer and keys

    cell(event) {
      const [x, y] = [event.offsetX, event.offsetY].map((at) => Math.floor((at - 1) / this.size));
      return x < 0 || y < 0 || x >= this.vectors || y >= this.channels ? null : x * this.channels + y;
    }

    paint(cell) {
      if (cell === null || this.bits[cell] === this.painting) return;
      const bits = this.bits.slice();
      bits[cell] = this.painting;
      this.at = cell;
      this.change(bits);
    }

    listen() {
      this.canvas.addEventListener("pointerdown", (event) => {
        const cell = this.cell(event);
        if (cell === null) return;
        this.painting = 1 - this.bits[cell];
        this.canvas.setPointerCapture?.(event.pointerId);
        this.paint(cell);
      });
      this.canvas.addEventListener("pointermove", (event) => { if (this.painting !== undefined) this.paint(this.cell(event)); });
      for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => (this.painting = undefined));
      for (const name of ["focus", "blur"]) this.canvas.addEventListener(name, () => this.draw());
      this.canvas.addEventListener("keydown", (event) => {
        if (event.key === " ") {
          this.painting = 1 - this.bits[this.at];
          this.paint(this.at);
          this.painting = undefined;
        } else if (ARROWS[event.key]) {
          const [dx, dy] = ARROWS[event.key];
          const [x, y] = [Math.floor(this.at / this.channels) + dx, (this.at % this.channels) + dy];
          if (x >= 0 && y >= 0 && x < this.vectors && y < this.channels) this.at = x * this.channels + y;
          this.draw();
        } else return;
        event.preventDefault();
      });
    }
  };
})();
