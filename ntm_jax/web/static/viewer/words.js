"use strict";
// Every term of the page: what it means in a sentence or two, and the paper's equation.
(function () {
  const WORDS = {
    memory: ["memory", "A table of numbers that the machine writes to and reads from. Each row holds one vector, in the network's own code and not as the bits themselves. Rows never written to hold their first value.", "M", "3.1"],
    row: ["row", "One line of the memory. Heads reach rows, not single numbers. The last row's next is the first.", "M(i)", "3.1"],
    head: ["head", "What reads from memory or writes to it. At every step, each head chooses how much of each row it touches.", "", "3"],
    weighting: ["weighting, weight", "How much a head touches each row: numbers from 0 to 1 that sum to 1. A weight of 1 means that row alone.", "Σ w(i) = 1", "eq. 1"],
    content: ["content addressing", "Finding rows by what is in them: each head asks with a key, and rows that resemble the key get the weight.", "wᶜ = softmax(β cos(k, M))", "eqs. 5 and 6"],
    location: ["location addressing", "Finding rows by where they are: the head starts from where it was and moves some rows on or back.", "w̃(i) = Σ wᵍ(j) s(i − j)", "eqs. 7 to 9"],
    found: ["found by content or by location", "Which way gives most of the weight at the row where the head ends: g times the content weighting, or 1 − g times that of the step before, both after the shift. Both agree where they point to the same row and each gives a quarter or more. Undecided is a head whose largest weight is below 0.5, with another row of more than half of it.", "", "eqs. 7 and 8"],
    asked: ["item asked for", "The item that is shown again after the list. The answer is the item that came next. A bracket beside the numbers of the rows marks those that a write head was on while the item was shown, in the colour of its frame in the input.", "", "4.3"],
    key: ["key k", "The vector that a head compares with every row. The column 'similar' shows the result for each. A key names no row: it finds a row by what was written there. A model can learn to mark a row when it writes it, such as the first, and to ask for that mark later.", "K[k, M(i)] = k·M(i) / (|k| |M(i)|)", "eq. 6"],
    strength: ["key strength β", "How strict the comparison is. Near 0, all rows get equal weight; a large β gives it all to the most similar row.", "wᶜ(i) ∝ exp(β K[k, M(i)])", "eq. 5"],
    gate: ["gate g", "Chooses between both ways: 1 takes the rows found by content, 0 stays with the rows of the step before.", "wᵍ = g wᶜ + (1 − g) w₍ₜ₋₁₎", "eq. 7"],
    shift: ["shift s", "How far the weighting then moves: the probability of each move, such as one row back, none, or one row on. The number s is the mean of the moves, in rows.", "w̃(i) = Σ wᵍ(j) s(i − j)", "eq. 8"],
    sharpening: ["sharpening γ", "Gathers the weight on the largest rows: 1 changes nothing, and a large γ makes even a small lead decisive. It also undoes the blur that shifting causes.", "w(i) ∝ w̃(i)^γ", "eq. 9"],
    output: ["output", "The bits that the model answers with. An answered vector may come from the row read at the same step or one step before.", "", ""],
    erase: ["erase", "What a write head wipes from its rows, column by column: 1 wipes the old value, 0 keeps it.", "M(i) ← M(i) (1 − w(i) e)", "eq. 3"],
    add: ["add", "The vector that a write head adds to its rows, after the erasing.", "M(i) ← M(i) + w(i) a", "eq. 4"],
    read: ["read", "The vector that a read head gets: the rows' sum, each times its weight. The output layer sees it at the same step, the controller at the next. So an output may be what was read at its own step, or one step before.", "r = Σ w(i) M(i)", "eq. 2"],
    controller: ["controller", "The network that sees the input and what was read, and sets every head's controls. It is feed-forward (ntm-ff) or an LSTM (ntm-lstm).", "", "3.4"],
    cost: ["cost in bits", "How surprised the model is by the right answer, summed over all scored bits. 0 is perfect. Guessing costs 1 for each bit.", "−Σ log₂ p(right bit)", "4"],
    expected: ["as good as can be expected", "The cost of the best possible predictor on this very episode. A model may be lucky and cost a little less.", "p = (N₁ + ½) / (N₁ + N₀ + 1)", "eq. 10"],
    scored: ["scored", "Only the answer's steps count. While the model is still being shown its input, it may output anything.", "", ""],
    seed: ["seed", "Decides the random episode. The same seed always gives the same one.", "", ""],
    run: ["run", "A trained model with its settings: a task, and a controller (ntm-ff, ntm-lstm) or a plain LSTM without memory.", "", ""],
    beside: ["beside it", "A second run that gets the same episode, if it is of the same task.", "", ""],
    length: ["length", "How many vectors the model is shown, or how many bits a sequence has.", "", ""],
    repeats: ["repeats", "How many times the model is to repeat what it was shown. A model that gets it as one number gets it scaled: over the numbers of training, its mean is 0 and its variance 1.", "", ""],
    items: ["items", "How many items or vectors the list has.", "", ""],
    kept: ["kept", "How many vectors, those of the highest priorities, the model is to give back.", "", ""],
    table: ["keep the table", "Another seed then draws other bits from the same table of probabilities. Otherwise every seed has a table of its own.", "", ""],
    all: ["all rows", "Shows every row of the memory, and not only those in use.", "", ""],
    rows: ["memory rows", "How many rows the memory has here. Most models run with more rows than they were trained with.", "N", "3.1"],
    update: ["update", "How often the model's parameters had been changed by training when it was saved.", "", ""],
  };
  NTM.words = WORDS;

  // A term in the text that shows its meaning when pointed at, touched or reached by the keyboard.
  NTM.word = (name, text = WORDS[name][0]) =>
    NTM.element("button", { type: "button", class: "word", "data-word": name, "aria-describedby": "meaning" }, text);

  const tip = NTM.element("div", { id: "meaning", role: "tooltip", class: "meaning", hidden: "" });
  document.body.append(tip);

  function source(where) {
    if (!where) return "";
    return `(Graves, Wayne and Danihelka 2014, ${/^\d/.test(where) ? `section ${where}` : where})`;
  }

  function meaning(name) {
    const [, text, equation, where] = WORDS[name];
    const parts = [text];
    if (equation) parts.push(NTM.element("span", { class: "equation" }, equation));
    if (where) parts.push(NTM.element("span", { class: "source" }, source(where)));
    return parts;
  }

  function show(button) {
    tip.replaceChildren(...meaning(button.dataset.word));
    tip.hidden = false;
    const [at, box] = [button.getBoundingClientRect(), tip.getBoundingClientRect()];
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - box.width - 8));
    const below = at.bottom + 6 + box.height < window.innerHeight;
    Object.assign(tip.style, { left: `${left}px`, top: `${below ? at.bottom + 6 : at.top - box.height - 6}px` });
  }

  const hide = () => (tip.hidden = true);
  const of = (event) => event.target.closest && event.target.closest("[data-word]");
  for (const name of ["pointerover", "focusin", "click"]) {
    document.addEventListener(name, (event) => (of(event) ? show(of(event)) : name !== "focusin" && hide()));
  }
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());

  // All terms with their meanings, as a list of definitions.
  NTM.glossary = () => NTM.element("dl", {}, ...Object.entries(WORDS).flatMap(([name, [title]]) => [
    NTM.element("dt", {}, title), NTM.element("dd", {}, ...meaning(name).flatMap((part) => [part, " "])),
  ]));
})();
