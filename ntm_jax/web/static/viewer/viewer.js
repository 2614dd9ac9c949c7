"use strict";
// The viewer's page: it asks, shows the answers, and keeps the link that reproduces both.
(function () {
  const $ = (id) => document.getElementById(id);
  const SLOW = 600; // milliseconds after which a visitor is told what takes so long
  const SHORT = 5; // steps of an answer that is looked at from where it is found
  const SETTLED = 300; // milliseconds without an edit, after which the link is written
  const columns = [];
  let ask = null;
  let player = null;
  let editor = null;
  let breaking = null;
  let asking = 0; // counts the questions, so that a late answer to an old one is dropped
  let view = {}; // the scales that all columns have in common
  let first = {}; // the first answer to the same question: its scales stay while its input is edited
  let wantsMiddle = false;
  let shownRun = null;
  let shownState = {}; // the question that was answered, as the link has it
  let linking = null;

  // ---- The link

  const zoomState = () => (player.range ? { from: player.range[0], to: player.range[1] } : {});

  function link(isNew = false) {
    if (!columns.length) return;
    const state = { ...shownState, step: player.step, ...zoomState(), all: $("all").checked ? 1 : "", theme: $("theme").value };
    NTM.writeLink(state, isNew);
  }

  // Returns what the link asks for and cannot be had.
  function readLink() {
    const given = NTM.readLink();
    $("theme").value = ["light", "dark"].includes(given.theme) ? given.theme : "";
    NTM.setTheme($("theme").value);
    const problems = ask.fill(given);
    $("all").checked = given.all === "1";
    breaking.text = given.break || "";
    if (given.break) $("break").open = true;
    if (given.bits || given.numbers) $("edit").open = true;
    player.step = Math.max(0, Math.floor(Number(given.step)) || 0);
    wantsMiddle = given.step === undefined;
    const [from, to] = [Number(given.from), Number(given.to)];
    player.range = given.from !== undefined && from >= 0 && to > from ? [from, to] : null;
    return problems;
  }

  // ---- Showing it

  function notice(text, again, label = "Show it") {
    $("notice").hidden = !text;
    $("notice").querySelector("span").textContent = text || "";
    const button = $("notice").querySelector("button");
    button.hidden = !again;
    button.textContent = label;
    button.onclick = again || null;
  }

  // A step at which something happens: in the middle of the answer, or the jump before a short one.
  function middle(episode) {
    const scored = Array.from(episode.arrays.mask.values.keys()).filter((t) => episode.arrays.mask.at(t) > 0);
    if (scored.length < SHORT) return NTM.jump(episode)?.step ?? scored[0] ?? 0;
    return scored[Math.floor(0.47 * scored.length)];
  }

  // The questions of all columns: [name of the run, parameters]. What is broken stands beside the untouched.
  function questions() {
    const all = { ...ask.asked(), ...ask.edited };
    const [first, ...others] = ask.shown.map((index) => [ask.runs[index].name, ask.askedOf(index, all)]);
    return breaking.text ? [first, [first[0], { ...first[1], break: breaking.text }]] : [first, ...others];
  }

  async function episodes(mine) {
    const slow = setTimeout(() => {
      if (mine === asking) notice("Computing. The first answer of a new length or number of rows takes some seconds.");
    }, SLOW);
    try {
      return await Promise.all(questions().map(([name, asked]) => NTM.source.episode(name, asked)));
    } finally {
      clearTimeout(slow);
    }
  }

  // options: problems (to tell of), isNew (whether Back has to come back to what was before).
  // and quick (whether the pictures over time may come a little later).
  async function show({ problems = [], isNew = false, quick = false } = {}) {
    const mine = ++asking;
    const state = { ...ask.state(), break: breaking.text };
    if (!quick) $("columns").setAttribute("aria-busy", "true");
    try {
      const found = await episodes(mine);
      if (mine !== asking) return;
      notice(problems.join(" "));
      $("columns").querySelector(".loading")?.remove();
      explain(found);
      place(found);
      if (wantsMiddle) player.step = middle(found[0]);
      wantsMiddle = false;
      player.setLast(lastStep(found));
      const compared = [...firstOf(found), ...found];
      NTM.prepareSteps(compared);
      view = { beside: compared, scales: NTM.controlScales(compared), errors: found.some(NTM.hasErrors) };
      for (let i = 0; i < columns.length; i++) await columns[i].show(found[i], player.step, quick);
      editor.show(found[0]);
      breaking.show(found[0], player.step);
      $("beside").disabled = Boolean(breaking.text);
      $("moments").hidden = NTM.source.isReport || !ask.run.moments;
      $("moments").href = `/moments#${new URLSearchParams({ run: ask.run.name })}`;
      [shownRun, shownState] = [ask.run, state];
      say();
      clearTimeout(linking);
      if (quick) linking = setTimeout(link, SETTLED);
      else link(isNew);
    } catch (error) {
      if (mine === asking) await failed(error, problems);
    } finally {
      if (mine === asking) $("columns").setAttribute("aria-busy", "false");
    }
  }

  // Without an answer: what was shown stays and is named; where nothing was, the usual episode comes.
  async function failed(error, problems) {
    $("columns").querySelector(".loading")?.remove();
    if (columns.length) return notice(`${error.message} Still shown: ${columns[0].episode.name}, ${NTM.described(columns[0].episode)}.`);
    if (ask.run.trouble || ask.run.error || NTM.isUsual === true) {
      const poems = ask.run.writes && (() => location.assign("/acrostic"));
      return notice(`${ask.run.name} cannot be shown here: ${ask.run.trouble || ask.run.error || error.message}`, poems, "Write acrostics with it");
    }
    NTM.isUsual = true;
    ask.reset();
    ask.edit(null);
    breaking.text = "";
    wantsMiddle = true;
    await show({ problems: [...problems, error.message, "Shown is the usual episode."] });
    NTM.isUsual = false;
  }

  // The first answer to what is asked, whatever the edits. An edited input is drawn to its scales, so that only what
  // really changed looks changed.
  function firstOf(found) {
    const asked = JSON.stringify([ask.drawn, ask.shown, found.map((episode) => [episode.version, episode.rows]), breaking.text]);
    if (first.asked !== asked) first = { asked, found };
    return first.found;
  }

  function place(found) {
    $("columns").classList.toggle("two", found.length > 1);
    while (columns.length > found.length) columns.pop().remove();
    const on = {
      step: (step) => player.goTo(step), zoom: (range) => player.zoomTo(range), light,
      view: () => ({ ...view, range: player.range, all: $("all").checked }),
    };
    while (columns.length < found.length) columns.push(new NTM.Column($("columns"), on));
  }

  // What is asked in the task, and what to look for.
  function explain(found) {
    const texts = found.map((episode) => episode.explanation).filter(Boolean);
    const different = texts.filter((text, i) => i === 0 || text.asked !== texts[0].asked);
    const said = different.map((text) => NTM.element("p", {}, `${text.asked} `, NTM.element("strong", {}, text.look_for), ...jumpLink(found)));
    if (different.length > 1) said.push(NTM.element("p", {}, "Both runs have the same time; their tasks differ."));
    $("explanation").replaceChildren(...said);
  }

  // Leads to the first column's jump: the step, with its head chosen.
  function jumpLink([episode]) {
    const jump = NTM.jump(episode);
    if (!jump) return [];
    const { name } = NTM.heads(episode.arrays)[jump.a];
    const made = NTM.element("button", { type: "button", class: "link", id: "jump" }, `step ${jump.step}`);
    made.addEventListener("click", () => {
      columns[0].pick(jump.a);
      player.goTo(jump.step);
    });
    const who = /\d$/.test(name) ? name : `the ${name}`;
    const after = NTM.contentSteps(episode)[jump.a].filter((step) => step >= jump.step).length;
    if (after > (episode.steps - jump.step) / 2) return [" From ", made, ` on, ${who} is mostly found by content.`];
    const was = NTM.strongest(NTM.addressing(episode, jump.step, jump.a).before).weight;
    if (was < NTM.ON_A_ROW) return [" At ", made, `, ${who}, spread before, is found by content.`];
    return [" At ", made, `, ${who} jumps: it is found by content.`];
  }

  const lastStep = (found) => Math.max(0, ...found.map((episode) => episode.steps - 1));
  const light = (row, step) => columns.forEach((column) => column.light(row, step));

  // The step as a sentence, also for a screen reader.
  function say() {
    $("said").textContent = columns.map((column) => {
      const { name: run, changed } = column.episode;
      const name = columns.length < 2 ? "" : breaking.text ? `${changed ? "Broken" : "Untouched"}: ` : `${run}: `;
      return name + NTM.stepSentence(column.episode, Math.min(player.step, column.episode.steps - 1));
    }).join("\n");
  }

  function move(step, playing) {
    columns.forEach((column) => column.move(step, playing));
  }

  const redraw = () => Promise.all(columns.map((column) => column.draw(player.step)));

  // One question at a time while bits are painted, and at the end the newest.
  let [editing, newest] = [false, false];
  async function editInput(change) {
    ask.edit(change);
    newest = true;
    if (editing) return;
    editing = true;
    while (newest) {
      newest = false;
      await show({ quick: true });
    }
    editing = false;
  }

  // ---- A run that is trained meanwhile

  async function look() {
    if (document.hidden || !columns.length) return;
    try {
      const now = await NTM.source.runs();
      ask.shown.forEach((index, i) => {
        const [there, shown] = [now[index], columns[i] && columns[i].episode];
        if (!shown) return;
        if (there.error) notice(`${there.name}: ${there.error}`);
        else if (there.version !== shown.version) {
          const what = there.update === shown.update ? "was trained again" : `is at update ${NTM.count(there.update)} now`;
          notice(`${there.name} ${what}; shown is ${shown.update ? `update ${NTM.count(shown.update)}` : "what it was"}.`, () => {
            ask.runs = now;
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
    const asks = (change) => () => { change?.(); show({ isNew: true }); };
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); show({ isNew: true }); });
    $("run").addEventListener("change", asks(() => {
      wantsMiddle = !shownRun || shownRun.task !== ask.run.task;
      ask.changeRun(shownRun);
      if (wantsMiddle) player.range = null;
      if (shownRun && shownRun !== ask.run) breaking.text = "";
    }));
    $("beside").addEventListener("change", asks());
    $("fields").addEventListener("change", (event) => { if (event.target.id === "case") { wantsMiddle = true; show({ isNew: true }); } });
    $("keep").addEventListener("change", asks(() => {
      $("keep").dataset.seed = $("keep").checked && columns[0] ? columns[0].episode.seed : "";
    }));
    $("another").addEventListener("click", asks(() => ($("seed").value = Math.floor(Math.random() * 1e6))));
    $("all").addEventListener("change", () => { redraw(); link(); });
    $("copy-link").addEventListener("click", async () => {
      link();
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
    window.addEventListener("hashchange", () => show({ problems: readLink() }));
    // In a narrow window, what is asked for less often opens with a touch: the player stays on the screen.
    const narrow = window.matchMedia("(max-width: 520px)");
    const fold = () => ($("more").open = !narrow.matches);
    narrow.addEventListener("change", fold);
    fold();
  }

  async function begin() {
    document.body.classList.toggle("report", NTM.source.isReport);
    NTM.setTheme(NTM.readLink().theme);
    $("glossary").append(NTM.glossary());
    try {
      ask = new NTM.Ask(await NTM.source.runs());
    } catch (error) {
      $("columns").replaceChildren();
      return notice(error.message);
    }
    $("acrostic").hidden = NTM.source.isReport || !ask.runs.some((one) => one.writes);
    player = new NTM.Player({
      show: move, rest: () => { say(); link(); }, zoom: (range) => { columns.forEach((column) => column.zoom(range)); link(); },
    });
    editor = new NTM.Editor(editInput);
    breaking = new NTM.Breaking(() => show({ isNew: true }));
    const problems = readLink();
    listen();
    await show({ problems });
    if (!NTM.source.isReport) setInterval(look, 5000);
  }

  begin();
})();
