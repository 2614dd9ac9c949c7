"use strict";
// The viewer's page: what is asked for, the time, and the link that reproduces both.
(function () {
  const $ = (id) => document.getElementById(id);
  const columns = [];
  let runs = [];
  let step = 0;
  let range = null; // [from, to] of the steps that are shown, or null for all
  let player = null;
  let asking = 0; // counts the questions, so that a late answer to an old one is dropped

  // ---- What is asked for

  const run = () => runs[Number($("run").value)] || {};
  const shownRuns = () => [$("run").value, ...($("beside").value === "" ? [] : [$("beside").value])];

  // The fields of one run's difficulty, at the values of the link or else the usual ones.
  function makeFields(values) {
    const fields = run().fields || [];
    const made = NTM.source.isReport ? [caseField(values)] : fields.map((field) => {
      const value = values[field.name] === undefined ? field.value : values[field.name];
      const input = NTM.element("input", {
        id: `field-${field.name}`, name: field.name, type: "number", inputmode: "numeric", min: field.least, max: field.most, step: 1, value,
        required: "",
      });
      return NTM.element("label", {}, `${field.name[0].toUpperCase()}${field.name.slice(1).replaceAll("_", " ")} `, input);
    });
    $("fields").replaceChildren(...made);
    $("keep-label").hidden = NTM.source.isReport || !run().keeps_table;
    $("rows-label").hidden = NTM.source.isReport || !run().rows;
    $("rows").max = run().most_rows || 1;
    $("rows").disabled = Boolean(run().fixed_rows);
    $("rows").placeholder = run().rows || "";
  }

  // In a report: a choice among the episodes that it holds.
  function caseField(values) {
    const select = NTM.element("select", { id: "case" });
    NTM.source.cases(Number($("run").value)).forEach((difficulty) => {
      const text = Object.entries(difficulty).map(([name, value]) => `${name} ${value}`).join(", ");
      const given = Object.entries(difficulty).every(([name, value]) => Number(values[name]) === value);
      select.append(NTM.element("option", { value: JSON.stringify(difficulty), ...(given ? { selected: "" } : {}) }, text));
    });
    return NTM.element("label", {}, "Episode ", select);
  }

  // The parameters of the question, as the form has them.
  function asked() {
    if (NTM.source.isReport) return JSON.parse($("case").value);
    const form = { seed: $("seed").value || "0" };
    $("fields").querySelectorAll("input").forEach((input) => (form[input.name] = input.value));
    if ($("rows").value && !$("rows").disabled) form.rows = $("rows").value;
    if (run().keeps_table && $("keep").checked) form.table = $("keep").dataset.seed || form.seed;
    return form;
  }

  // Of all that is asked, what the run beside is asked too: with another task, its own difficulty stays.
  function askedOf(index, all) {
    if (index === Number($("run").value)) return all;
    const same = runs[index].task === run().task;
    const left = new Set(runs[index].fixed_rows ? ["rows"] : []);
    const asks = (name) => (same ? !left.has(name) : name === "seed");
    return Object.fromEntries(Object.entries(all).filter(([name]) => asks(name)));
  }

  function link() {
    const zoom = range ? { from: range[0], to: range[1] } : {};
    const theme = $("theme").value;
    NTM.writeLink({ run: $("run").value, beside: $("beside").value, ...asked(), step, ...zoom, theme });
  }

  function readLink() {
    const given = NTM.readLink();
    $("theme").value = ["light", "dark"].includes(given.theme) ? given.theme : "";
    NTM.setTheme($("theme").value);
    $("run").value = runs[Number(given.run)] ? given.run : "0";
    $("beside").value = runs[Number(given.beside)] && given.beside !== undefined ? given.beside : "";
    makeFields(given);
    $("seed").value = given.seed || "0";
    $("rows").value = given.rows || "";
    $("keep").checked = given.table !== undefined;
    $("keep").dataset.seed = given.table || "";
    step = Math.max(0, Math.floor(Number(given.step)) || 0);
    const [from, to] = [Number(given.from), Number(given.to)];
    range = given.from !== undefined && from >= 0 && to > from ? [from, to] : null;
  }

  // ---- Showing it

  function notice(text, again) {
    $("notice").hidden = !text;
    $("notice").querySelector("span").textContent = text || "";
    const button = $("notice").querySelector("button");
    button.hidden = !again;
    button.onclick = again || null;
  }

  async function show() {
    const mine = ++asking;
    const all = asked();
    const wanted = shownRuns();
    $("columns").setAttribute("aria-busy", "true");
    try {
      const episodes = await Promise.all(wanted.map((index) => NTM.source.episode(index, askedOf(Number(index), all))));
      if (mine !== asking) return;
      notice("");
      $("columns").querySelector(".loading")?.remove();
      $("columns").classList.toggle("two", wanted.length > 1);
      while (columns.length > wanted.length) columns.pop().remove();
      while (columns.length < wanted.length) columns.push(new NTM.Column($("columns"), { step: goTo, zoom: zoomTo, range: () => range }));
      const last = lastStep(episodes);
      step = Math.min(step, last);
      if (range && range[0] >= last) range = null;
      for (let i = 0; i < columns.length; i++) await columns[i].show(episodes[i], step, range);
      showTime();
      link();
    } catch (error) {
      if (mine === asking) notice(error.message);
      $("columns").querySelector(".loading")?.remove();
    } finally {
      if (mine === asking) $("columns").setAttribute("aria-busy", "false");
    }
  }

  const lastStep = (episodes) => Math.max(0, ...episodes.map((episode) => episode.steps - 1));
  const last = () => lastStep(columns.map((column) => column.episode));

  function showTime() {
    $("step").max = last();
    $("step").value = step;
    $("step").setAttribute("aria-valuetext", `step ${step} of ${last()}`);
    $("step-text").textContent = `step ${step} of ${last()}`;
    $("from").value = range ? range[0] : 0;
    $("to").value = range ? range[1] : last();
    $("from").max = $("to").max = last();
  }

  // ---- Time

  let moving = false;
  async function goTo(wanted) {
    step = Math.min(Math.max(0, wanted), last());
    showTime();
    if (moving) return; // the one under way ends at the newest step
    moving = true;
    let drawn;
    do {
      drawn = step;
      await Promise.all(columns.map((column) => column.move(drawn)));
    } while (drawn !== step);
    moving = false;
    link();
  }

  function play(on) {
    clearInterval(player);
    player = null;
    if (on) {
      if (step >= last()) goTo(0);
      player = setInterval(() => (step < last() ? goTo(step + 1) : play(false)), 1000 / Number($("speed").value));
    }
    $("play").innerHTML = on ? "❚❚ Pause" : "▶&#xFE0E; Play";
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
    $("play").setAttribute("aria-pressed", String(on));
  }

  function zoomTo(wanted) {
    if (wanted && !(wanted[1] > wanted[0])) wanted = null;
    const next = wanted && [Math.max(0, wanted[0]), Math.min(last(), wanted[1])];
    if (JSON.stringify(next) === JSON.stringify(range)) return;
    range = next && next[0] === 0 && next[1] === last() ? null : next;
    columns.forEach((column) => column.zoom(range));
    showTime();
    link();
  }

  const redraw = () => Promise.all(columns.map((column) => column.draw(step, range)));

  // ---- A run that is trained meanwhile

  async function look() {
    if (document.hidden || !columns.length) return;
    try {
      const now = await NTM.source.runs();
      shownRuns().forEach((index, i) => {
        const [there, shown] = [now[Number(index)], columns[i] && columns[i].episode];
        if (!shown) return;
        if (there.error) notice(`${there.name}: ${there.error}`);
        else if (there.version !== shown.version) {
          const what = there.update === shown.update ? "was trained again" : `is at update ${there.update} now`;
          notice(`${there.name} ${what}; shown is ${shown.update ? `update ${shown.update}` : "what it was"}.`, () => {
            runs = now;
            show();
          });
        }
      });
    } catch {
      notice("The server does not answer any more; what is shown can still be used.");
    }
  }

  // ---- The beginning

  function listen() {
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); show(); });
    $("run").addEventListener("change", () => { makeFields(asked()); show(); });
    $("beside").addEventListener("change", show);
    $("fields").addEventListener("change", (event) => { if (event.target.id === "case") show(); });
    $("keep").addEventListener("change", () => {
      $("keep").dataset.seed = $("keep").checked && columns[0] ? columns[0].episode.seed : "";
      show();
    });
    $("another").addEventListener("click", () => {
      $("seed").value = Math.floor(Math.random() * 1e6);
      show();
    });
    $("step").addEventListener("input", () => goTo(Number($("step").value)));
    $("first").addEventListener("click", () => goTo(0));
    $("back").addEventListener("click", () => goTo(step - 1));
    $("forward").addEventListener("click", () => goTo(step + 1));
    $("play").addEventListener("click", () => play(player === null));
    $("speed").addEventListener("change", () => { if (player !== null) play(true); });
    for (const id of ["from", "to"]) {
      $(id).addEventListener("change", () => zoomTo([Number($("from").value), Number($("to").value)]));
    }
    $("whole").addEventListener("click", () => zoomTo(null));
    $("copy-link").addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        $("copy-link").textContent = "Copied";
      } catch {
        $("copy-link").textContent = "It is in the address bar";
      }
      setTimeout(() => ($("copy-link").textContent = "Copy link"), 2000);
    });
    $("theme").addEventListener("change", () => { NTM.setTheme($("theme").value); redraw(); link(); });
    NTM.onSystemTheme(redraw);
    window.addEventListener("hashchange", () => { readLink(); show(); });
    // In a narrow window, what is asked for less often opens with a touch: the player stays on the screen.
    const narrow = window.matchMedia("(max-width: 520px)");
    const fold = () => ($("more").open = !narrow.matches);
    narrow.addEventListener("change", fold);
    fold();
  }

  async function begin() {
    document.body.classList.toggle("report", NTM.source.isReport);
    NTM.setTheme(NTM.readLink().theme);
    try {
      runs = await NTM.source.runs();
    } catch (error) {
      return notice(error.message);
    }
    runs.forEach((one, i) => {
      const text = one.error ? `${one.name} (cannot be read)` : `${one.name} (${one.task}, ${one.model})`;
      $("run").append(NTM.element("option", { value: i }, text));
      $("beside").append(NTM.element("option", { value: i }, text));
    });
    $("beside").prepend(NTM.element("option", { value: "", selected: "" }, "nothing"));
    $("beside-label").hidden = runs.length < 2;
    $("acrostic").hidden = NTM.source.isReport || !runs.some((one) => one.writes);
    readLink();
    listen();
    await show();
    if (!NTM.source.isReport) setInterval(look, 5000);
  }

  begin();
})();
