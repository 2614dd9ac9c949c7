"use strict";
// The time of the page: a step, what moves it, and the part that is shown.
(function () {
  const $ = (id) => document.getElementById(id);
  const QUIET = 300; // milliseconds without a movement, after which the link is written
  const KEYS = { ArrowRight: 1, ArrowLeft: -1, ".": 1, ",": -1 };

  NTM.Player = class {
    // on: show(step, playing), rest() when the movement has ended, zoom(range).
    constructor(on) {
      this.on = on;
      Object.assign(this, { step: 0, last: 0, range: null, timer: null, quiet: null });
      this.listen();
    }

    get playing() {
      return this.timer !== null;
    }

    goTo(wanted) {
      this.step = Math.min(Math.max(0, wanted), this.last);
      this.write();
      this.on.show(this.step, this.playing);
      clearTimeout(this.quiet);
      if (!this.playing) this.quiet = setTimeout(() => this.on.rest(), QUIET);
    }

    // The last step of what is shown, after an answer.
    setLast(last) {
      this.last = last;
      this.step = Math.min(this.step, last);
      if (this.range && this.range[0] >= last) this.range = null;
      this.write();
    }

    write() {
      const outside = this.range && (this.step < this.range[0] || this.step > this.range[1]);
      const text = `step ${this.step} of ${this.last}`;
      $("step").max = this.last;
      $("step").value = this.step;
      $("step").setAttribute("aria-valuetext", text);
      $("step-text").textContent = outside ? `${text}, outside the part shown` : text;
      if (this.shown === JSON.stringify([this.range, this.last])) return;
      this.shown = JSON.stringify([this.range, this.last]);
      $("from").value = this.range ? this.range[0] : 0;
      $("to").value = this.range ? this.range[1] : this.last;
      $("from").max = $("to").max = this.last;
    }

    play(on) {
      clearInterval(this.timer);
      clearTimeout(this.quiet);
      this.timer = null;
      if (on) {
        if (this.step >= this.last) this.step = 0;
        const next = () => (this.step < this.last ? this.goTo(this.step + 1) : this.play(false));
        this.timer = setInterval(next, 1000 / Number($("speed").value));
      } else {
        this.goTo(this.step); // with all its words, which were left out meanwhile
      }
      $("play").innerHTML = on ? "❚❚ Pause" : "▶&#xFE0E; Play";
      $("play").setAttribute("aria-label", on ? "Pause" : "Play");
      $("play").setAttribute("aria-pressed", String(on));
    }

    zoomTo(wanted) {
      if (wanted && !(wanted[1] > wanted[0])) wanted = null;
      const next = wanted && [Math.max(0, wanted[0]), Math.min(this.last, wanted[1])];
      if (JSON.stringify(next) === JSON.stringify(this.range)) return;
      this.range = next && next[0] === 0 && next[1] === this.last ? null : next;
      this.write();
      this.on.zoom(this.range);
    }

    // As in players of films, wherever a key means nothing else.
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [data-keys]")) return;
      if (event.key === " " && !event.target.closest("button, summary, a")) this.play(!this.playing);
      else if (KEYS[event.key]) this.goTo(this.step + KEYS[event.key]);
      else if (event.key === "Home") this.goTo(0);
      else if (event.key === "End") this.goTo(this.last);
      else return;
      event.preventDefault();
    }

    listen() {
      $("step").addEventListener("input", () => this.goTo(Number($("step").value)));
      $("first").addEventListener("click", () => this.goTo(0));
      $("back").addEventListener("click", () => this.goTo(this.step - 1));
      $("forward").addEventListener("click", () => this.goTo(this.step + 1));
      $("play").addEventListener("click", () => this.play(!this.playing));
      $("speed").addEventListener("change", () => { if (this.playing) this.play(true); });
      for (const id of ["from", "to"]) {
        $(id).addEventListener("change", () => this.zoomTo([Number($("from").value), Number($("to").value)]));
      }
      $("whole").addEventListener("click", () => this.zoomTo(null));
      document.addEventListener("keydown", (event) => this.key(event));
    }
  };
})();
