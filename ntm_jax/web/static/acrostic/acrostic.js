"use strict";
// The acrostics' page: a message, poems that contain it, and the rows where it was kept meanwhile.
(function () {
  const $ = (id) => document.getElementById(id);
  const FIELDS = ["message", "form", "position", "n", "temperature", "seed"];
  const CHECKS = ["rhyme", "tones", "repeats"];
  const RANDOM = ["temperature", "seed"]; // matter to random poems only
  const USUAL = {
    message: "山水清風", form: "5", position: "1", n: "3", temperature: "0.5", seed: "0", rhyme: "1", tones: "1", repeats: "0",
  };
  const EXAMPLES = [
    ["山水清風", "mountains, water, a clear wind"], ["花好月圓", "flowers and a full moon"], ["平安喜樂", "peace and joy"],
    ["生日快樂", "happy birthday"], ["長安古道", "the old road to Chang'an"],
  ];
  let runs = [];
  let answer = null;
  let mode = "best"; // or "surprise"
  let chosen = 0;
  let asking = 0;

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  // ---- What is asked for, in the form and in the link

  function makePositions(wanted) {
    const width = Number($("form").value);
    const names = Array.from({ length: width }, (_, i) => [String(i + 1), i === 0 ? "first" : `${i + 1}`]);
    names.push(["-1", "last"]);
    $("position").replaceChildren(...names.map(([value, name]) => element("option", { value }, name)));
    $("position").value = names.some(([value]) => value === wanted) ? wanted : "1";
  }

  const run = () => runs.find((one) => one.name === $("run").value);

  // Links once had a run's number among all, and no mode: their poems were drawn at random.
  function readLink() {
    const link = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const given = { ...USUAL, ...link };
    NTM.setTheme(given.theme);
    $("theme").value = ["light", "dark"].includes(given.theme) ? given.theme : "";
    const wanted = runs.find((one) => one.name === link.run) || runs.find((one) => String(one.index) === link.run);
    $("run").value = (wanted || runs[0]).name;
    FIELDS.filter((name) => name !== "position").forEach((name) => ($(name).value = given[name]));
    makePositions(given.position);
    CHECKS.forEach((name) => ($(name).checked = given[name] === "1"));
    mode = (link.mode || (link.temperature ? "surprise" : "best")) === "surprise" ? "surprise" : "best";
    chosen = Math.max(0, Number.parseInt(link.poem, 10) - 1 || 0);
    if (link.run && !wanted) return `The link is to ${link.run}, which is not here. These poems are by ${run().name}.`;
    const updates = link.update && Number(link.update) !== run().update;
    return updates ? `The link is to update ${link.update} of ${run().name}; it is at update ${run().update} now.` : "";
  }

  function asked() {
    const form = {};
    FIELDS.filter((name) => mode === "surprise" || !RANDOM.includes(name)).forEach((name) => (form[name] = $(name).value));
    CHECKS.forEach((name) => (form[name] = $(name).checked ? "1" : "0"));
    return form;
  }

  // A new question is an entry of its own in the browser's history; another poem or theme is not.
  function writeLink(isNew) {
    const state = { run: run().name, update: run().update, mode, ...asked(), poem: chosen + 1, theme: $("theme").value };
    const link = `#${new URLSearchParams(Object.entries(state).filter(([, value]) => value !== ""))}`;
    if (link !== location.hash) history[isNew ? "pushState" : "replaceState"](null, "", link);
  }

  // ---- Poems

  // `isError`: the poems that were asked for are not there.
  function notice(text, instead = "", isError = false) {
    $("notice").hidden = !text;
    $("notice").classList.toggle("aside", !isError);
    $("notice").querySelector("span").textContent = text.replace(/^the /, "The ");
    $("instead").hidden = !instead;
    $("instead").textContent = instead && `Write ${instead}`;
    $("instead").onclick = () => { $("message").value = instead; write(); };
  }

  function clear(text) {
    answer = null;
    $("poems").replaceChildren(...(text ? [element("p", { class: "loading" }, text)] : []));
    $("chosen").hidden = $("memory").hidden = true;
  }

  // Asks for poems; `poem` is the one to choose, and `said` what to say beside them.
  async function write({ poem = 0, said = "", isNew = true } = {}) {
    const mine = ++asking;
    $("poems").setAttribute("aria-busy", "true");
    clear("Writing… The first poems take some seconds.");
    notice("");
    try {
      const request = { run: run().index, ...(mode === "surprise" ? { surprise: "1" } : {}), ...asked() };
      const found = await NTM.get(`/api/poems?${new URLSearchParams(request)}`);
      if (mine !== asking) return;
      answer = found;
      const left = answer.left_out ? `${answer.left_out} was left out.` : "";
      const as = answer.asked === $("message").value ? "" : `Written as ${answer.asked}.`;
      // The second line's end is the first that would rhyme.
      const given = answer.column === answer.width - 1 && [...answer.asked].length > 1;
      const ends = given && $("rhyme").checked ? "The message stands at the ends of lines, so they rhyme only if it does." : "";
      const full = [...answer.asked].length < answer.poems[0].lines.length ? "The lines without a red character complete the poem." : "";
      notice([said, left, as, full, ends].filter(Boolean).join(" "));
      $("poems").replaceChildren(...answer.poems.map(card));
      await choose(Math.min(poem, answer.poems.length - 1));
      writeLink(isNew);
    } catch (error) {
      if (mine !== asking) return;
      clear("");
      notice(error.message, (/; try (\p{Script=Han}+)\.?$/u.exec(error.message) || [])[1], true);
    } finally {
      if (mine === asking) $("poems").setAttribute("aria-busy", "false");
    }
  }

  const bits = (one) => `${one.bits.toFixed(2)} bits a character`;

  function card(one, index) {
    const count = [...answer.asked].length;
    const lines = one.lines.map((line, number) => {
      const characters = [...line].map((c, i) =>
        element(i === answer.column && number < count ? "strong" : "span", { "data-pinyin": one.pinyin[number][i] }, c));
      return element("span", { class: "line" }, ...characters);
    });
    const couplets = lines.flatMap((line, i) => (i % 2 ? [] : [element("span", { class: "couplet" }, ...lines.slice(i, i + 2))]));
    const button = element("button", { type: "button", class: "poem", lang: "zh-Hant" }, ...couplets);
    button.addEventListener("click", async () => { await choose(index); writeLink(false); });
    return element("div", {}, button, element("p", { class: "summary" }, bits(one)));
  }

  async function choose(index) {
    chosen = index;
    document.querySelectorAll(".poem").forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    const one = answer.poems[index];
    $("aloud").style.setProperty("--line", `${2 * answer.width + 0.6}em`); // so that most sounds take one line
    $("aloud").replaceChildren(...one.lines.map((line, i) =>
      element("li", {}, element("span", { lang: "zh-Hant" }, line), element("span", { class: "sound", lang: "zh-Latn" }, one.pinyin[i].join(" ")))));
    const count = [...answer.asked].length;
    const many = one.kept === count ? `All ${count} were` : `${one.kept || "None"} of ${count} were`;
    const own = count === 1 ? (one.kept ? "It was" : "It was not") : many;
    $("said").textContent =
      `Fewer bits mean a more probable poem. The program sets the red character${count === 1 ? "" : "s"}. ${own} also the network's most probable choice there.`;
    $("chosen").hidden = false;
    $("memory").hidden = !one.kept_in;
    if (one.kept_in) await drawMemory(one);
  }

  // ---- Memory

  async function drawMemory(one) {
    const { arrays } = await NTM.unpackAll({ arrays: { write: one.write_weightings, read: one.read_weightings } });
    if (answer && answer.poems[chosen] === one) {
      NTM.drawMemory($("weightings"), answer, one, arrays);
      $("others").textContent = NTM.otherRows(one, arrays);
      table(one);
    }
  }

  function table(one) {
    const head = ["character", "row", "write weight", "read weight when due", "largest read weight", "at"];
    const symbols = one.lines.flatMap((line) => [...line, "⏎"]);
    const rows = one.kept_in.map((kept) => {
      const numbers = [kept.row, NTM.fixed(kept.written), NTM.fixed(kept.due), NTM.fixed(kept.most_read), symbols[kept.most_read_at]];
      return element("tr", {}, element("th", { scope: "row", lang: "zh-Hant" }, symbols[kept.place]), ...numbers.map((x) => element("td", {}, String(x))));
    });
    $("kept").replaceChildren(element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text))), ...rows);
  }

  // ---- What can be kept

  function picture() {
    const one = answer.poems[chosen];
    const from = `${run().name}, update ${run().update}${mode === "surprise" ? `, seed ${$("seed").value}` : ""}`;
    return NTM.poemPicture(answer, one, ["written by a neural Turing machine, ntm_jax", `${from}, ${bits(one)}`], location.hash);
  }

  const fileName = (ending) => `${answer.asked}-${chosen + 1}.${ending}`;

  async function copied(button, text) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser did not allow it";
    }
    setTimeout(() => (button.textContent = before), 1500);
  }

  // ---- The beginning

  function listen() {
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); mode = "best"; write(); });
    $("surprise").addEventListener("click", () => {
      if (!$("ask").reportValidity()) return;
      // The first surprise has the seed in the form, for a link's sake; each later one another.
      if (mode === "surprise") $("seed").value = Math.floor(Math.random() * 1e6);
      mode = "surprise";
      write();
    });
    $("form").addEventListener("change", () => makePositions($("position").value));
    $("svg").addEventListener("click", () => NTM.download(fileName("svg"), "image/svg+xml", new XMLSerializer().serializeToString(picture())));
    $("png").addEventListener("click", async () => NTM.download(fileName("png"), "image/png", await NTM.toPng(picture())));
    $("copy").addEventListener("click", () => copied($("copy"), answer.poems[chosen].lines.join("\n")));
    $("link").addEventListener("click", () => copied($("link"), location.href));
    $("theme").addEventListener("change", () => { NTM.setTheme($("theme").value); writeLink(false); });
    window.addEventListener("hashchange", () => { const said = readLink(); write({ poem: chosen, said, isNew: false }); });
    let width = $("weightings").clientWidth;
    new ResizeObserver(() => {
      if (!answer || $("weightings").clientWidth === width) return;
      width = $("weightings").clientWidth;
      if (answer.poems[chosen].kept_in) drawMemory(answer.poems[chosen]);
    }).observe($("weightings"));
  }

  function makeExamples() {
    $("examples").append(...EXAMPLES.map(([text, english]) => {
      const button = element("button", { type: "button" }, element("span", { lang: "zh-Hant" }, text), " ", element("small", {}, english));
      button.addEventListener("click", () => { $("message").value = text; mode = "best"; write(); });
      return button;
    }));
  }

  async function begin() {
    NTM.setTheme(new URLSearchParams(location.hash.slice(1)).get("theme"));
    try {
      runs = (await NTM.get("/api/runs")).map((one, index) => ({ ...one, index })).filter((one) => one.writes);
    } catch (error) {
      clear("");
      return notice(error.message, "", true);
    }
    if (!runs.length) {
      clear("");
      $("ask").hidden = true;
      return notice("None of these runs writes poems; serve one of the task acrostic.", "", true);
    }
    $("run").replaceChildren(...runs.map((one) => element("option", { value: one.name }, one.name)));
    $("run-label").hidden = runs.length < 2;
    makeExamples();
    const said = readLink();
    listen();
    await write({ poem: chosen, said, isNew: false });
  }

  begin();
})();
