"use strict";
// What is asked for: the form, which a link fills and a visitor changes.
(function () {
  const $ = (id) => document.getElementById(id);
  const WHOLE = /^-?\d{1,12}$/;

  // Copy is the task to begin with, where it is there.
  function opening(runs) {
    const fine = (one) => !one.error && !one.trouble;
    const found = [(one) => fine(one) && one.task === "copy" && one.rows > 0, (one) => fine(one) && one.rows > 0, fine];
    return Math.max(0, found.map((good) => runs.findIndex(good)).find((i) => i >= 0) ?? 0);
  }

  NTM.Ask = class {
    constructor(runs) {
      this.runs = runs;
      runs.forEach((one, i) => {
        const text = one.error ? `${one.name} (cannot be read)` : one.trouble ? `${one.name} (cannot be shown here)` : one.name;
        const title = one.error || one.trouble || `${one.task}, ${one.model}`;
        for (const select of [$("run"), $("beside")]) select.append(NTM.element("option", { value: i, title }, text));
      });
      $("beside").prepend(NTM.element("option", { value: "", selected: "" }, "nothing"));
      $("run-label").hidden = NTM.source.isReport && runs.length < 2;
      $("beside-label").hidden = runs.length < 2;
    }

    get run() {
      return this.runs[Number($("run").value)] || {};
    }

    // The runs that are shown, by their places in the list.
    get shown() {
      return [$("run").value, ...($("beside").value === "" ? [] : [$("beside").value])].map(Number);
    }

    // The fields of one run's difficulty, at the given values or else the usual ones.
    makeFields(values) {
      const fields = this.run.fields || [];
      const made = NTM.source.isReport ? [this.caseField(values)] : fields.map((field) => {
        const value = values[field.name] === undefined ? field.value : values[field.name];
        const input = NTM.element("input", {
          id: `field-${field.name}`, name: field.name, type: "number", inputmode: "numeric", min: field.least, max: field.most, step: 1, value,
          required: "",
        });
        const word = NTM.words[field.name] ? { "data-word": field.name } : {};
        return NTM.element("label", word, `${field.name[0].toUpperCase()}${field.name.slice(1).replaceAll("_", " ")} `, input);
      });
      $("fields").replaceChildren(...made);
      $("keep-label").hidden = NTM.source.isReport || !this.run.keeps_table;
      $("rows-label").hidden = NTM.source.isReport || !this.run.rows;
      $("rows").max = this.run.most_rows || 1;
      $("rows").min = this.run.least_rows || 1;
      $("rows").disabled = Boolean(this.run.fixed_rows);
      $("rows").placeholder = this.run.rows || "";
    }

    // Another run: the numbers stay if they are of the same task, and only then.
    changeRun(before) {
      const same = before && before.task === this.run.task;
      const values = same ? this.asked() : {};
      this.makeFields(values);
      if (same) return;
      $("seed").value = this.run.seed || 0;
      $("rows").value = "";
      $("keep").checked = false;
      $("keep").dataset.seed = "";
    }

    // The usual question to the chosen run.
    reset() {
      this.makeFields({});
      $("seed").value = this.run.seed || 0;
      $("rows").value = "";
      $("keep").checked = false;
    }

    // In a report: a choice among the episodes that it holds, at first the usual one.
    caseField(values) {
      const wanted = Object.fromEntries((this.run.fields || []).map(({ name, value }) => [name, values[name] ?? value]));
      const cases = NTM.source.cases(Number($("run").value));
      const chosen = cases.findIndex((difficulty) => Object.entries(difficulty).every(([name, value]) => Number(wanted[name]) === value));
      const options = cases.map((difficulty, i) => {
        const text = Object.entries(difficulty).map(([name, value]) => `${name} ${value}`).join(", ");
        return NTM.element("option", { value: JSON.stringify(difficulty), ...(i === chosen ? { selected: "" } : {}) }, text);
      });
      return NTM.element("label", {}, "Episode ", NTM.element("select", { id: "case" }, ...options));
    }

    // The parameters of the question, as the form has them.
    asked() {
      if (NTM.source.isReport) return JSON.parse($("case").value);
      const form = { seed: $("seed").value || "0" };
      $("fields").querySelectorAll("input").forEach((input) => (form[input.name] = input.value));
      if ($("rows").value && !$("rows").disabled) form.rows = $("rows").value;
      if (this.run.keeps_table && $("keep").checked) form.table = $("keep").dataset.seed || form.seed;
      return form;
    }

    // Of all that is asked, what a run beside is asked too: with another task, its own difficulty stays.
    askedOf(index, all) {
      if (index === Number($("run").value)) return all;
      const same = this.runs[index].task === this.run.task;
      const left = new Set(this.runs[index].fixed_rows ? ["rows"] : []);
      const asks = (name) => (same ? !left.has(name) : name === "seed");
      return Object.fromEntries(Object.entries(all).filter(([name]) => asks(name)));
    }

    // The place of the run that a link names, or that an old link gives by its number; -1 if it is not there.
    find(given) {
      const named = this.runs.findIndex((one) => one.name === given);
      return named < 0 && /^\d+$/.test(given) && this.runs[Number(given)] ? Number(given) : named;
    }

    // Fills the form from a link. Returns what could not be done, a sentence each.
    fill(given) {
      const problems = [];
      const choose = (name, usual) => {
        const found = given[name] === undefined ? usual : this.find(given[name]);
        if (found !== -1) return found;
        problems.push(`There is no run ${given[name]} here.`);
        return usual;
      };
      $("run").value = choose("run", opening(this.runs));
      $("beside").value = choose("beside", "");
      const whole = (name, usual) => {
        if (given[name] === undefined || WHOLE.test(given[name])) return given[name];
        problems.push(`${name}: "${given[name].slice(0, 20)}" is not a whole number.`);
        return usual;
      };
      const names = (this.run.fields || []).map((field) => field.name);
      this.makeFields(Object.fromEntries(names.map((name) => [name, whole(name)])));
      $("seed").value = whole("seed") ?? this.run.seed ?? 0;
      $("rows").value = whole("rows") ?? "";
      $("keep").checked = given.table !== undefined;
      $("keep").dataset.seed = given.table || "";
      this.edit(given.bits || given.numbers ? { bits: given.bits, numbers: given.numbers } : null);
      $("rare").open = ["rows", "table", "all"].some((name) => given[name] !== undefined);
      const update = Number(given.at);
      if (given.at !== undefined && this.run.update !== undefined && update !== this.run.update) {
        problems.push(`The link was made at update ${given.at} of ${this.run.name}; shown is update ${this.run.update}.`);
      }
      return problems;
    }

    // ---- What was changed of the episode

    // The episode that edited bits belong to: with another one, they are as drawn again.
    get drawn() {
      const { rows, repeats, ...rest } = this.asked();
      return JSON.stringify([this.run.task, rest]);
    }

    edit(change) {
      this.changes = change ? { ...change, of: this.drawn } : null;
    }

    // The parameters for the edited input.
    get edited() {
      if (!this.changes || this.changes.of !== this.drawn) return {};
      const { bits, numbers } = this.changes;
      return { ...(bits ? { bits } : {}), ...(numbers ? { numbers } : {}) };
    }

    // What the link says of the question.
    state() {
      const beside = $("beside").value === "" ? "" : this.runs[Number($("beside").value)].name;
      return { run: this.run.name, at: this.run.update || "", beside, ...this.asked(), ...this.edited };
    }
  };
})();
