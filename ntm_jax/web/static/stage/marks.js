"use strict";
// What moves over a figure of Plotly without drawing it anew: the step's line, and what the pointer lights.
(function () {
  NTM.Marks = class {
    constructor(figure) {
      this.figure = figure;
      this.cursor = NTM.element("div", { class: "cursor" });
      this.step = NTM.element("div", { class: "lit-step", hidden: "" });
      this.bands = [];
      this.pairs = [0, 1].map(() => NTM.element("div", { class: "pair", hidden: "" }));
      this.root = NTM.element("div", { class: "marked" }, figure, this.cursor, this.step, ...this.pairs);
    }

    // Reads from the drawn figure where its axes are.
    place() {
      const { xaxis, yaxis, _size: size } = this.figure._fullLayout;
      this.axis = xaxis;
      const top = yaxis._offset; // below the words over the first picture and the buttons beside them
      for (const line of [this.cursor, this.step]) Object.assign(line.style, { top: `${top}px`, height: `${size.t + size.h - top}px` });
      this.bands.forEach((band) => band.remove());
      this.bands = this.weightings().map(() => NTM.element("div", { class: "lit-row", hidden: "" }));
      this.root.append(...this.bands);
    }

    weightings() {
      const names = this.figure._fullData.filter((trace) => trace.meta === "weighting").map((trace) => trace.yaxis);
      return names.map((name) => this.figure._fullLayout[`yaxis${name.slice(1)}`]);
    }

    x(step) {
      return this.axis._offset + this.axis.l2p(step);
    }

    isSeen(step) {
      const [from, to] = this.axis.range;
      return step >= from && step <= to;
    }

    move(step) {
      if (!this.axis) return;
      this.cursor.dataset.step = step;
      this.cursor.style.visibility = this.isSeen(step) ? "visible" : "hidden";
      this.cursor.style.transform = `translateX(${this.x(step)}px)`;
    }

    // Frames an output and the input that it is a copy of, see NTM.copyOf; nothing for null.
    pair(copy) {
      if (!this.axis) return;
      const width = this.x(1) - this.x(0);
      [["input", copy?.input], ["prediction", copy?.output]].forEach(([title, step], i) => {
        const trace = this.figure._fullData.find((one) => one.meta === title);
        this.pairs[i].hidden = !copy || !trace || !this.isSeen(step);
        if (this.pairs[i].hidden) return;
        const axis = this.figure._fullLayout[`yaxis${trace.yaxis.slice(1)}`];
        Object.assign(this.pairs[i].style, {
          left: `${this.x(step) - width / 2}px`, width: `${Math.max(3, width)}px`, top: `${axis._offset}px`, height: `${axis._length}px`,
        });
      });
    }

    // The weighting at a place among all of them, below 0 for none.
    lightPanel(index) {
      this.weightings().forEach((axis, i) => {
        if (i !== index) return (this.bands[i].hidden = true);
        this.bands[i].hidden = false;
        const { _offset: left, _length: width } = this.axis;
        Object.assign(this.bands[i].style, { left: `${left}px`, width: `${width}px`, top: `${axis._offset}px`, height: `${axis._length}px` });
      });
    }

    // `line` is a place among the shown rows, below 0 for none; `step` may be null.
    light(line, step, lines) {
      if (!this.axis) return;
      this.step.hidden = step === null || !this.isSeen(step);
      if (!this.step.hidden) this.step.style.transform = `translateX(${this.x(step)}px)`;
      this.weightings().forEach((axis, i) => {
        const band = this.bands[i];
        band.hidden = line < 0;
        if (band.hidden) return;
        const height = Math.max(2, axis._length / lines);
        Object.assign(band.style, {
          left: `${this.axis._offset}px`, width: `${this.axis._length}px`, height: `${height}px`,
          top: `${axis._offset + (axis._length * line) / lines}px`,
        });
      });
    }
  };
})();
