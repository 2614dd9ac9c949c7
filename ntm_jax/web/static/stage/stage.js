"use strict";
// One step on a canvas: the memory with every head beside its rows, and how one head found them.
(function () {
  const [NUMBERS, MARK, GAP] = [30, 13, 10]; // widths in pixels
  const HEADER = 50;
  const STRIP = 13; // height of a vector
  const MOST_LINES = 300;
  const LEAST_SHOWN = 0.08; // of a weight that has a pointer
  const TALLEST = 300; // of the rows of memory together
  const AROUND = 615; // of a small computer's window: what stands over and under the rows, up to the last stage's sentence
  const BESIDE = window.matchMedia("(min-width: 1000px)"); // where pictures over time and the step stand beside each other
  const DIMMED = 0.2; // of the heads that the pointer is not over
  const FONT = (size) => `${size}px system-ui, sans-serif`;
  // The scales are the same for all steps and all episodes beside each other, or nothing could be compared.
  NTM.prepareSteps = (episodes) => {
    const found = episodes.filter((episode) => episode.arrays.memory).map((episode) => episode.arrays);
    const most = (...names) => Math.max(...found.flatMap((arrays) => names.map((name) => NTM.largest(arrays[name].values))));
    const [memoryScale, vectorScale] = [most("memory", "first_memory"), Math.max(1, most("reads", "add"))];
    episodes.forEach((episode) => Object.assign(episode, { memoryScale, vectorScale }));
  };

  NTM.Stage = class {
    // on.light({row}) is called with the rows that the pointer is over, or null.
    constructor(on) {
      this.canvas = NTM.element("canvas", { class: "stage", role: "img" });
      this.tip = NTM.element("div", { class: "tip", hidden: "" });
      this.root = NTM.element("div", { class: "stage-place" }, this.canvas, this.tip);
      this.picture = document.createElement("canvas"); // memory, a pixel a cell
      this.on = on;
      this.canvas.addEventListener("pointermove", (event) => this.point(event));
      this.canvas.addEventListener("pointerleave", () => this.leave());
    }

    // Places everything for an episode; `rows` are those to show.
    prepare(episode, rows) {
      Object.assign(this, { episode, rows });
      this.groups = NTM.rowGroups(rows, MOST_LINES);
      const width = Math.max(280, Math.floor(this.root.clientWidth));
      const words = episode.arrays.memory.shape[2];
      // The sentences of the stages have to be seen together with the rows.
      const most = BESIDE.matches ? Math.min(TALLEST, Math.max(170, window.innerHeight - AROUND)) : TALLEST;
      const line = most / this.groups.length;
      this.line = line < 2 ? Math.max(1, line) : Math.min(15, Math.floor(line));
      const narrow = width < 500;
      const cell = Math.min(8, Math.max(3, (width * (narrow ? 0.2 : 0.26)) / words));
      const memory = { x: NUMBERS + MARK, width: cell * words };
      const change = narrow ? null : { x: memory.x + memory.width + MARK + GAP / 2, width: memory.width * 0.35 };
      const from = change ? change.x + change.width + GAP : memory.x + memory.width + MARK + GAP / 2;
      const [channels, outputs] = [episode.arrays.inputs.shape[1], episode.arrays.targets.shape[1]];
      this.place = {
        width, memory, change, cell,
        bar: (width - from) / NTM.STAGES.length,
        bars: from,
        bit: Math.min(15, (width - 60) / (channels + outputs + 6)),
        top: 26 + HEADER,
        body: this.groups.length * this.line,
        strips: narrow ? 22 : 8, // below the rows; in a narrow picture, the maxima need a line of their own
      };
      this.wrap = NTM.wrapsAt(rows);
      this.height = this.place.top + this.place.body + this.place.strips + 4 * (STRIP + 3) + 2;
      const ratio = window.devicePixelRatio || 1;
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(this.height * ratio) });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${this.height}px` });
      Object.assign(this.picture, { width: words, height: this.groups.length });
      this.only = null;
      this.image = new ImageData(words, this.groups.length);
      this.context = this.canvas.getContext("2d");
      this.ratio = ratio;
    }

    // `a` is the head whose stages are drawn; `lit` a row to light, or null.
    draw(step, a, lit) {
      Object.assign(this, { step, a });
      const [c, g, p] = [NTM.colours(), this.context, this.place];
      const { episode } = this;
      const { memory, first_memory: first } = episode.arrays;
      const after = memory.part(step);
      this.stages = NTM.addressing(episode, step, a);
      g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      g.fillStyle = c.paper;
      g.fillRect(0, 0, p.width, this.height);
      g.font = FONT(11);
      g.textBaseline = "alphabetic";
      this.drawVectors(step, c);
      this.drawMemory(p.memory, after, null, episode.memoryScale, c);
      if (p.change) this.drawMemory(p.change, after, step > 0 ? memory.part(step - 1) : first, episode.memoryScale, c);
      this.drawTitles(step, a, c);
      this.drawRowNumbers(c);
      this.drawHeads(step, c);
      NTM.drawBars(this, a, c);
      this.drawWrap(c);
      this.drawCopied(c);
      this.drawItems(c);
      this.drawStrips(step, a, c);
      if (lit !== null) this.drawLit(lit, c);
    }

    text(words, x, y, colour, align = "left") {
      this.context.fillStyle = colour;
      this.context.textAlign = align;
      this.context.fillText(words, x, y);
    }

    // What came in and what went out, a square a bit; a wrong one has a frame.
    drawVectors(step, c) {
      const { inputs, targets, mask, probabilities } = this.episode.arrays;
      const [g, { bit }] = [this.context, this.place];
      const height = Math.min(15, Math.max(8, bit));
      const values = NTM.ramp(c.values);
      const square = (x, value, wrong) => {
        g.fillStyle = value < 0 ? NTM.ramp(c.signed)(0.5 + value / 2) : values(value);
        g.fillRect(x, 2, bit - 1, height);
        g.strokeStyle = wrong ? c.cursor : c.line;
        g.lineWidth = wrong ? 2 : 1;
        g.strokeRect(x + 0.5, 2.5, bit - 2, height - 1);
      };
      this.text("in", 0, 13, c.faint);
      let x = 18;
      for (let i = 0; i < inputs.shape[1]; i++, x += bit) square(x, inputs.at(step, i), false);
      x += 10;
      this.text("out", x, 13, c.faint);
      x += 24;
      if (!(mask.at(step) > 0)) return this.text("not scored", x, 13, c.faint);
      for (let i = 0; i < targets.shape[1]; i++, x += bit) {
        const chance = probabilities.at(step, i);
        square(x, chance, chance > 0.5 !== targets.at(step, i) > 0.5);
      }
    }

    // The rows after the step, or what changed since `before`.
    drawMemory({ x, width }, after, before, most, c) {
      const [g, data, words] = [this.context, this.image.data, after.shape[1]];
      const table = NTM.table(c.signed);
      let at = 0;
      for (const group of this.groups) {
        for (let i = 0; i < words; i++) {
          let value = 0;
          for (const row of group) {
            const here = after.values[row * words + i] - (before ? before.values[row * words + i] : 0);
            if (Math.abs(here) > Math.abs(value)) value = here;
          }
          const place = 3 * Math.min(255, Math.max(0, Math.round(127.5 * (1 + value / most))));
          data[at++] = table[place];
          data[at++] = table[place + 1];
          data[at++] = table[place + 2];
          data[at++] = 255;
        }
      }
      this.picture.getContext("2d").putImageData(this.image, 0, 0);
      g.imageSmoothingEnabled = false;
      g.drawImage(this.picture, x, this.place.top, width, this.place.body);
      this.frame(x, this.place.top, width, this.place.body, c);
    }

    frame(x, y, width, height, c) {
      this.context.strokeStyle = c.line;
      this.context.lineWidth = 1;
      this.context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
    }

    drawTitles(step, a, c) {
      const p = this.place;
      const y = p.top - 18;
      const both = NTM.heads(this.episode.arrays).some((one) => one.both);
      this.fit(["writes", "reads"], p.memory.width / 2 - 4);
      this.text(both ? "▶ reads and writes" : "▶ writes", p.memory.x - MARK, p.top - 35, c.writeText);
      if (!both) this.text("reads ◀", p.memory.x + p.memory.width + MARK, p.top - 35, c.readText, "right");
      this.text("memory", p.memory.x, y, c.ink);
      this.text(p.memory.width > 90 ? "after the step" : "after", p.memory.x, p.top - 5, c.faint);
      this.context.font = FONT(11);
      if (p.change) this.text("change", p.change.x, y, c.ink);
      NTM.barTitles(this, step, a, c);
    }

    // Sets the largest font in which none of these texts is wider than `width`; the usual one for none.
    fit(texts, width = 0) {
      for (let size = 11; size >= 8; size--) {
        this.context.font = FONT(size);
        if (texts.every((text) => this.context.measureText(text).width <= width)) return;
      }
    }

    drawRowNumbers(c) {
      const every = Math.max(1, Math.ceil(13 / this.line));
      this.groups.forEach((group, i) => {
        if (i % every === 0) this.text(String(group[0]), NUMBERS - 5, this.y(i) + this.line / 2 + 4, c.faint, "right");
      });
    }

    y(line) {
      return this.place.top + line * this.line;
    }

    // Every head: a pointer beside each row that it is at, and a frame around the row, as strong as its weight.
    drawHeads(step, c) {
      const { read_weightings: read, write_weightings: write } = this.episode.arrays;
      const [g, { memory }] = [this.context, this.place];
      const half = Math.min(6, Math.max(3, this.line / 2));
      const both = NTM.heads(this.episode.arrays).some((head) => head.both);
      for (const [kind, array] of [["write", write], ["read", read]]) {
        for (let h = 0; h < array.shape[1]; h++) {
          const weights = array.part(step).part(h).values;
          const colours = c[both ? "write" : kind];
          const colour = colours[h % colours.length];
          this.groups.forEach((group, i) => {
            const weight = NTM.furthest(weights, group);
            if (weight < LEAST_SHOWN) return;
            const middle = this.y(i) + this.line / 2;
            const [tip, base] = kind === "write" ? [memory.x - 2, memory.x - MARK + 1] : [memory.x + memory.width + 2, memory.x + memory.width + MARK - 1];
            const isOther = this.only && !(this.only.index === h && (both || this.only.kind === kind));
            g.globalAlpha = Math.min(1, 0.15 + weight) * (isOther ? DIMMED : 1);
            g.fillStyle = g.strokeStyle = colour;
            g.beginPath();
            g.moveTo(tip, middle);
            g.lineTo(base, middle - half);
            g.lineTo(base, middle + half);
            g.fill();
            g.lineWidth = 2;
            if (this.line >= 4) g.strokeRect(memory.x, this.y(i), memory.width, this.line);
            g.globalAlpha = 1;
          });
        }
      }
    }

    // The line at which the shown rows go round the end of the memory.
    drawWrap(c) {
      if (this.wrap < 0) return;
      const [g, p] = [this.context, this.place];
      const y = this.y(this.groups.findIndex((group) => group.includes(this.rows[this.wrap])));
      g.strokeStyle = c.ink;
      g.lineWidth = 1;
      g.setLineDash([2, 3]);
      g.beginPath();
      g.moveTo(NUMBERS, y); // beside the numbers, not through them
      g.lineTo(p.width, y);
      g.stroke();
      g.setLineDash([]);
    }

    // The key and what the chosen head read and wrote, under the columns of memory.
    drawStrips(step, a, c) {
      const { key, erase, add, reads } = this.episode.arrays;
      const [g, p] = [this.context, this.place];
      const { index } = NTM.heads(this.episode.arrays)[a];
      const colour = NTM.ramp(c.signed);
      const asked = key.part(step).part(a).values; // drawn to its own largest: the comparison does not depend on its norm
      const strips = [
        ["key", key, a, NTM.largest(asked)], ["read", reads, index, this.episode.vectorScale], ["erased", erase, index, 1], ["added", add, index, this.episode.vectorScale],
      ];
      strips.forEach(([name, array, place, most], i) => {
        const y = p.top + p.body + p.strips + i * (STRIP + 3);
        if (place >= array.shape[1]) return;
        const values = array.part(step).part(place).values;
        values.forEach((value, k) => {
          g.fillStyle = colour(0.5 + value / most / 2);
          g.fillRect(p.memory.x + k * p.cell, y, p.cell + 0.5, STRIP);
        });
        this.frame(p.memory.x, y, p.memory.width, STRIP, c);
        this.text(name, p.memory.x + p.memory.width + 6, y + STRIP - 3, c.faint);
      });
    }

    // Frames the row that this step's output is a copy of.
    drawCopied(c) {
      const line = this.copied ? this.groups.findIndex((group) => group.includes(this.copied.row)) : -1;
      if (line < 0) return;
      const { memory } = this.place;
      this.context.strokeStyle = c.cursor;
      this.context.lineWidth = 1.5;
      this.context.strokeRect(memory.x - 1, this.y(line) - 1, memory.width + 2, this.line + 2);
    }

    // A bracket beside the numbers of the rows that hold the item asked for, and of those of the next.
    drawItems(c) {
      for (const { role, rows } of NTM.itemRows(this.episode, this.step)) {
        this.context.fillStyle = role === "asked" ? c.writeText : c.readText;
        this.groups.forEach((group, i) => {
          if (group.some((row) => rows.includes(row))) this.context.fillRect(NUMBERS - 3, this.y(i), 3, Math.max(2, this.line));
        });
      }
    }

    drawLit(row, c) {
      const line = this.groups.findIndex((group) => group.includes(row));
      if (line < 0) return;
      const [g, p] = [this.context, this.place];
      g.strokeStyle = c.cursor;
      g.lineWidth = 1.5;
      g.strokeRect(1, this.y(line) - 1, p.width - 2, this.line + 2);
    }

    // ---- The pointer

    point(event) {
      if (!this.stages) return;
      const p = this.place;
      const line = Math.floor((event.offsetY - p.top) / this.line);
      if (line < 0 || line >= this.groups.length) return this.leave();
      const group = this.groups[line];
      const [row] = group;
      this.tip.textContent = this.about(event.offsetX, group);
      this.tip.hidden = false;
      const right = event.offsetX > p.width / 2;
      Object.assign(this.tip.style, {
        top: `${event.offsetY + 14}px`, left: right ? "auto" : `${event.offsetX + 8}px`, right: right ? `${p.width - event.offsetX}px` : "auto",
      });
      this.on.light({ row });
    }

    about(x, group) {
      const p = this.place;
      const name = NTM.rowName(group);
      const alike = `similarity to the key ${NTM.fixed(NTM.furthest(this.stages.similar, group), 2)}`;
      const stage = Math.floor((x - p.bars) / p.bar);
      if (x >= p.bars && stage < NTM.STAGES.length) {
        const [key, title] = NTM.STAGES[stage];
        return `${name}, ${title}: ${NTM.fixed(NTM.furthest(this.stages[key], group), 3)}${key === "content" ? `; ${alike}` : ""}`;
      }
      const column = Math.floor((x - p.memory.x) / p.cell);
      const words = this.episode.arrays.memory.shape[2];
      if (column < 0 || column >= words) return `${name}: ${alike}`;
      return `${name}, column ${column}: ${NTM.fixed(this.episode.arrays.memory.at(this.step, group[0], column), 3)}; ${alike}`;
    }

    leave() {
      this.tip.hidden = true;
      this.on.light(null);
    }
  };
})();
