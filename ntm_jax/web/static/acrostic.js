"use strict";
// The acrostics' page: a message, poems that carry it, and the rows where it was kept meanwhile.
(function () {
  const $ = (id) => document.getElementById(id);
  const FIELDS = ["message", "form", "position", "n", "temperature", "seed"];
  const CHECKS = ["rhyme", "tones", "repeats"];
  const USUAL = { message: "紅春願此", form: "5", position: "1", n: "3", temperature: "0.7", seed: "0" };
  let runs = [];
  let answer = null;
  let chosen = 0;
  let asking = 0;

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  // ---- What is asked for

  function makePositions(wanted) {
    const width = Number($("form").value);
    const names = Array.from({ length: width }, (_, i) => [String(i + 1), i === 0 ? "first" : `${i + 1}`]);
    names.push(["-1", "last"]);
    $("position").replaceChildren(...names.map(([value, name]) => element("option", { value }, name)));
    $("position").value = names.some(([value]) => value === wanted) ? wanted : "1";
  }

  function readLink() {
    const given = { ...USUAL, ...NTM.readLink() };
    NTM.setTheme(given.theme);
    $("theme").value = ["light", "dark"].includes(given.theme) ? given.theme : "";
    if (runs.some((one) => one.index === Number(given.run))) $("run").value = given.run;
    FIELDS.filter((name) => name !== "position").forEach((name) => ($(name).value = given[name]));
    makePositions(given.position);
    CHECKS.forEach((name) => ($(name).checked = given[name] === "1"));
  }

  function asked() {
    const form = { run: $("run").value };
    FIELDS.forEach((name) => (form[name] = $(name).value));
    CHECKS.forEach((name) => (form[name] = $(name).checked ? "1" : "0"));
    return form;
  }

  // ---- Poems

  function notice(text) {
    $("notice").hidden = !text;
    $("notice").querySelector("span").textContent = text || "";
  }

  async function write() {
    const mine = ++asking;
    $("poems").setAttribute("aria-busy", "true");
    try {
      const found = await NTM.get(`/api/poems?${new URLSearchParams(asked())}`);
      if (mine !== asking) return;
      answer = found;
      notice(answer.asked === $("message").value ? "" : `Written as ${answer.asked}.`);
      NTM.writeLink({ ...asked(), theme: $("theme").value });
      $("poems").replaceChildren(...answer.poems.map(poem));
      await choose(0);
    } catch (error) {
      if (mine === asking) notice(error.message);
      $("poems").querySelector(".loading")?.remove();
    } finally {
      if (mine === asking) $("poems").setAttribute("aria-busy", "false");
    }
  }

  function poem(one, index) {
    const lines = one.lines.map((line) => {
      const characters = [...line].map((c, i) => element(i === answer.column ? "strong" : "span", {}, c));
      return element("span", { class: "line" }, ...characters);
    });
    const said = `${NTM.fixed(Number(one.bits.toPrecision(3)))} bits a character; ${one.kept} of ${one.lines.length} of the message the model's own choice`;
    const button = element("button", { type: "button", class: "poem", lang: "zh-Hant" }, ...lines);
    button.addEventListener("click", () => choose(index));
    return element("div", {}, button, element("p", { class: "summary" }, said));
  }

  // ---- Memory

  async function choose(index) {
    chosen = index;
    document.querySelectorAll(".poem").forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    const one = answer.poems[index];
    $("memory").hidden = !one.write_weightings;
    if (one.write_weightings) await draw(one);
  }

  // Of [steps, heads, rows], at each step the sum over heads, by row.
  function overRows(weightings) {
    const [steps, heads, rows] = weightings.shape;
    const sum = (row, t) => Array.from({ length: heads }, (_, h) => weightings.at(t, h, row)).reduce((a, b) => a + b, 0);
    return Array.from({ length: rows }, (_, row) => Array.from({ length: steps }, (_, t) => sum(row, t)));
  }

  const largest = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

  async function draw(one) {
    const { arrays } = await NTM.unpackAll({ arrays: { write: one.write_weightings, read: one.read_weightings } });
    const [write, read] = [overRows(arrays.write), overRows(arrays.read)];
    const symbols = [...one.lines.flatMap((line) => [...line, "⏎"])];
    const size = symbols.length;
    const shown = symbols.map((c, i) => (answer.places.includes(i) || c === "⏎" ? c : "_"));
    // At step `size` the end of the poem is put in, and its first symbol comes out.
    const labels = [...shown.map((c) => `${c} shown`), ...symbols.map((c) => `${c} written`)];
    table(write, read, symbols, size);
    picture(write, read, labels, size);
  }

  // A character may be written some steps after it was put in, and read long before it is due.
  function table(write, read, symbols, size) {
    const head = ["character", "written to row", "weight", "read most at", "weight", "when due"];
    const rows = answer.places.map((place, i) => {
      const meanwhile = write.map((steps) => steps.slice(place, answer.places[i + 1] ?? size));
      const row = largest(meanwhile.map((steps) => steps.reduce((a, b) => a + b, 0)));
      const answers = symbols.map((_, step) => read[row][size + step]);
      const most = largest(answers);
      const cells = [row, NTM.fixed(Math.max(...meanwhile[row])), `${symbols[most]} (${most + 1})`, NTM.fixed(answers[most]), NTM.fixed(answers[place])];
      return element("tr", {}, element("th", { scope: "row", lang: "zh-Hant" }, symbols[place]), ...cells.map((x) => element("td", {}, String(x))));
    });
    const titles = element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)));
    $("kept").replaceChildren(titles, ...rows);
    $("memory-text").textContent =
      "For each character of the message: the row that was written to most from when it was shown until the next was, and how much of that row all heads together read while the poem was written.";
  }

  function picture(write, read, labels, size) {
    const c = NTM.colours();
    const layout = NTM.layout(540, { l: 56, r: 10, t: 26, b: 52 });
    const steps = labels.map((_, i) => i);
    const panel = (z, y, name) => ({
      type: "heatmap", x: steps, z, yaxis: y, colorscale: c.weights, zmin: 0, zmax: 1, showscale: false, customdata: z.map(() => labels),
      hovertemplate: `%{customdata}<br>row %{y}: ${name} %{z:.2f}<extra></extra>`,
    });
    const due = answer.places.map((place) => ({
      type: "line", x0: size + place, x1: size + place, yref: "paper", y0: 0, y1: 1, line: { color: c.cursor, width: 1, dash: "dot" },
    }));
    const end = { type: "line", x0: size - 0.5, x1: size - 0.5, yref: "paper", y0: 0, y1: 1, line: { color: c.faint, width: 1 } };
    const data = [panel(write, "y2", "written"), panel(read, "y", "read")];
    Object.assign(layout, {
      xaxis: { ...NTM.axis(), title: { text: "step: the form is shown, then the poem is written" } },
      yaxis: { ...NTM.axis(), domain: [0, 0.46], title: { text: "row" } },
      yaxis2: { ...NTM.axis(), domain: [0.54, 1], title: { text: "row" } },
      shapes: [...NTM.frame("x", "y", true), ...NTM.frame("x", "y2", true), end, ...due],
      annotations: [NTM.title("written to", 1), NTM.title("read", 0.46)],
    });
    return NTM.draw($("weightings"), { data, layout }, "acrostic");
  }

  // ---- The beginning

  function listen() {
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); write(); });
    $("form").addEventListener("change", () => makePositions($("position").value));
    $("another").addEventListener("click", () => {
      $("seed").value = Math.floor(Math.random() * 1e6);
      write();
    });
    $("theme").addEventListener("change", () => {
      NTM.setTheme($("theme").value);
      NTM.writeLink({ ...asked(), theme: $("theme").value });
      if (answer) choose(chosen);
    });
    NTM.onSystemTheme(() => answer && choose(chosen));
    NTM.onWidth($("weightings"), () => answer && choose(chosen));
    window.addEventListener("hashchange", () => { readLink(); write(); });
  }

  async function begin() {
    NTM.setTheme(NTM.readLink().theme);
    try {
      runs = (await NTM.source.runs()).map((one, index) => ({ ...one, index })).filter((one) => one.writes);
    } catch (error) {
      return notice(error.message);
    }
    if (!runs.length) {
      $("poems").replaceChildren();
      $("ask").hidden = true;
      return notice("None of these runs writes poems; serve one of the task acrostic.");
    }
    $("run").replaceChildren(...runs.map((one) => element("option", { value: one.index }, one.name)));
    $("run-label").hidden = runs.length < 2;
    readLink();
    listen();
    await write();
  }

  begin();
})();
