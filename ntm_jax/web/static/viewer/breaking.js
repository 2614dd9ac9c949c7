"use strict";
// What a visitor changes inside the model: a control forced, a head frozen, a row erased, noise.
(function () {
  const $ = (id) => document.getElementById(id);
  const KINDS = {
    gate: { text: "Force the gate of", value: { min: 0, max: 1, step: 0.05, value: 1 }, place: "head" },
    strength: { text: "Force the strength of", value: { min: 0, max: 1000, step: 0.5, value: 0 }, place: "head" },
    shift: { text: "Force the shift of", value: { min: -1, max: 1, step: 1, value: 0 }, place: "head" },
    freeze: { text: "Freeze", place: "head" },
    erase: { text: "Erase row", place: "row" },
    noise: { text: "Add noise to the memory, deviation", value: { min: 0, max: 10, step: 0.05, value: 0.3 } },
  };

  const parse = (text) => (text ? text.split("*").map((part) => part.split("_")) : []);

  NTM.Breaking = class {
    // on() is called when `text`, the parameter of the address, has changed.
    constructor(on) {
      this.on = on;
      this.text = "";
      this.kind = NTM.element("select", { "aria-label": "What to change" }, ...Object.entries(KINDS).map(([value, { text }]) => NTM.element("option", { value }, text)));
      this.head = NTM.element("select", { "aria-label": "Head" });
      this.row = NTM.element("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": "Row" });
      this.value = NTM.element("input", { type: "number", "aria-label": "Value" });
      this.step = NTM.element("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": "From step" });
      this.to = NTM.element("span", {}, "to");
      this.when = NTM.element("span", {}, "from step");
      this.list = NTM.element("ul", { class: "broken" });
      const add = NTM.element("button", { type: "button" }, "Break it");
      add.addEventListener("click", () => this.add());
      $("breaker").append(NTM.element("p", { class: "zoom" }, this.kind, this.head, this.row, this.to, this.value, this.when, this.step, add), this.list);
      this.kind.addEventListener("change", () => this.choose());
      this.choose();
    }

    choose() {
      const { value, place } = KINDS[this.kind.value];
      this.head.hidden = place !== "head";
      this.row.hidden = place !== "row";
      this.value.hidden = !value;
      this.to.hidden = !value || !place;
      this.when.textContent = place === "row" ? "at step" : "from step";
      for (const [name, limit] of Object.entries(value || {})) this.value[name] = limit;
    }

    // Takes over an answer: whose heads there are, and the step at which something can begin.
    show(episode, step) {
      $("break").hidden = NTM.source.isReport || !episode.arrays.memory || !episode.editable;
      const heads = NTM.heads(episode.arrays);
      this.names = heads.map((head) => head.name);
      if (this.head.options.length !== heads.length) {
        this.head.replaceChildren(...heads.map((head, a) => NTM.element("option", { value: a }, head.name)));
      }
      const reach = episode.arrays.shift ? (episode.arrays.shift.shape[2] - 1) / 2 : 1;
      Object.assign(KINDS.shift.value, { min: -reach, max: reach });
      this.row.max = episode.rows - 1;
      this.step.max = episode.steps - 1;
      if (document.activeElement !== this.step && !this.text) this.step.value = step;
      this.write();
    }

    add() {
      const { value, place } = KINDS[this.kind.value];
      const fields = [place === "row" && this.row, value && this.value, this.step].filter(Boolean);
      if (fields.some((field) => !field.reportValidity() || field.value === "")) return;
      const parts = [this.kind.value, ...(place ? [place === "head" ? this.head.value : this.row.value] : []), ...(value ? [this.value.value] : []), this.step.value];
      this.set([...parse(this.text), parts]);
    }

    set(list) {
      this.text = list.map((parts) => parts.join("_")).join("*");
      this.on();
    }

    said([kind, ...given]) {
      const { text, place } = KINDS[kind];
      const name = place === "head" ? this.names[Number(given[0])] || `head ${given[0]}` : given[0];
      const when = `${place === "row" ? "at step" : "from step"} ${given[given.length - 1]}${place === "row" ? "" : " on"}`;
      return `${text} ${name}${place && given.length > 2 ? ` to ${given[1]}` : ""} ${when}`;
    }

    write() {
      const list = parse(this.text);
      this.list.replaceChildren(...list.map((parts, i) => {
        const mend = NTM.element("button", { type: "button", "aria-label": `Mend: ${this.said(parts)}` }, "Mend");
        mend.addEventListener("click", () => this.set(list.filter((_, k) => k !== i)));
        return NTM.element("li", {}, `${this.said(parts)} `, mend);
      }));
    }
  };
})();
