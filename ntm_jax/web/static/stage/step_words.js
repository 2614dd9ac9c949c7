"use strict";
// A step in sentences: for everybody beside the pictures, and for who hears the page.
(function () {
  const MOST_NAMED = 4; // heads of a sentence
  const CLEAR_SHARE = 0.9; // of the weight, from which the other part is not worth a word
  const DECISIVE = 0.5; // the weight of one row, which a head on it has
  const LARGE_LEAD = 10; // times as much as the next row: one that needs no sharpening
  const percent = (x) => `${Math.round(100 * x)}%`;
  const place = (weighting) => {
    const { row, weight } = NTM.strongest(weighting);
    return weight < NTM.ON_A_ROW ? `spread over many rows, at most ${NTM.fixed(weight, 2)} on one` : `at row ${row}, weight ${NTM.fixed(weight, 2)}`;
  };

  const weightingOf = (episode, step, head) =>
    episode.arrays[head.kind === "read" ? "read_weightings" : "write_weightings"].part(step).part(head.index).values;

  function output(episode, step) {
    const { mask, targets, probabilities } = episode.arrays;
    if (!(mask.at(step) > 0)) return "The output is not scored here.";
    let wrong = 0;
    for (let i = 0; i < targets.shape[1]; i++) if (probabilities.at(step, i) > 0.5 !== targets.at(step, i) > 0.5) wrong++;
    return wrong ? `${wrong} of ${NTM.plural(targets.shape[1], "output bit")} wrong.` : "The output is right.";
  }

  // What the model is doing.
  function phase(episode, step) {
    const { mask, inputs } = episode.arrays;
    if (episode.scores.optimal_bits !== undefined) return "predicting the next bit";
    if (mask.at(step) > 0) return "answering";
    // A vector of zeros is input too, before the answer.
    const answered = Array.from({ length: step }, (_, before) => mask.at(before)).some((scored) => scored > 0);
    return !answered || inputs.part(step).values.some((x) => x !== 0) ? "being shown the input" : "waiting";
  }

  // "Step 30 of 40, answering: write head at row 31, weight 1; read head at row 10, weight 1. The output is right."
  NTM.stepSentence = (episode, step) => {
    const heads = NTM.heads(episode.arrays);
    const clear = heads.filter((head) => NTM.strongest(weightingOf(episode, step, head)).weight >= NTM.ON_A_ROW);
    const weight = (head) => NTM.strongest(weightingOf(episode, step, head)).weight;
    const named = [...clear].sort((a, b) => weight(b) - weight(a)).slice(0, MOST_NAMED);
    const parts = clear.filter((head) => named.includes(head)).map((head) => `${head.name} ${place(weightingOf(episode, step, head))}`);
    if (clear.length > named.length) parts.push(`${NTM.plural(clear.length - named.length, "other head")} with smaller weights`);
    const rest = heads.length - clear.length;
    if (rest) parts.push(`${NTM.plural(rest, clear.length ? "other head" : "head")} spread over many rows`);
    const said = parts.length ? `${parts.join("; ")}. ` : "";
    return `Step ${step} of ${episode.steps - 1}, ${phase(episode, step)}: ${said}${output(episode, step)}`;
  };

  const moved = (by) => (by === 0 ? "it stayed there" : `it moved ${NTM.plural(Math.abs(by), "row")} ${by > 0 ? "on" : "back"}`);

  // The verdict of stage/found.js in a sentence: [by, the words after "Found by content" and the like].
  function verdict(found, rows) {
    const { by, row, from, move, share, rivals } = found;
    if (!by) return [by, "The head is on no row in particular."];
    if (by === "undecided") return [by, `: spread over several rows (${rivals.slice(0, 3).map((i) => `row ${i} ${percent(rows[i])}`).join(", ")}).`];
    const end = move === 0 ? "." : `, and from there ${moved(move)}, to row ${row}.`;
    if (by === "both") return [by, `: row ${from} resembles the key, and is where the head was${end}`];
    const most = share < CLEAR_SHARE ? ` ${percent(share)} of the weight there comes by ${by}.` : "";
    if (by === "location") return [by, `: it was at row ${from}, and ${moved(move)}${move === 0 ? "" : `, to row ${row}`}.${most}`];
    return [by, `: row ${from} resembles the key${end}${most}`];
  }

  function content(episode, step, a, stages) {
    const like = NTM.strongest(stages.similar);
    const most = NTM.strongest(stages.content);
    const strength = NTM.digits(episode.arrays.strength.at(step, a), 3);
    const given = most.weight < 0.01 ? "gives it under 1%" : `gives it ${percent(most.weight)} of the weight`;
    return `Row ${like.row} is most like the key (${NTM.fixed(like.weight, 2)}). β = ${strength} ${given}.`;
  }

  // Why the way that the gate prefers is not the one that decides.
  function overruled(g, by) {
    if (g > 0.5 && by === "location") return " But the part by content is spread over the rows.";
    if (g < 0.5 && by === "content") return " But where the head was is spread over the rows.";
    return "";
  }

  function gate(episode, step, a, stages) {
    const g = episode.arrays.gate.at(step, a);
    const was = NTM.strongest(stages.before);
    const from = was.weight < NTM.ON_A_ROW ? "where the head was" : `where the head was, row ${was.row}`;
    return `g = ${g < 0.005 ? "0" : NTM.fixed(g, 2)}: ${percent(g)} by content, ${percent(1 - g)} from ${from}.${overruled(g, NTM.found(episode, step, a, stages).by)}`;
  }

  function shift(episode, step, a) {
    const chances = episode.arrays.shift.part(step).part(a).values;
    const reach = (chances.length - 1) / 2;
    const most = NTM.strongest(chances);
    const by = most.row - reach;
    const rows = by === 0 ? "stays where it is" : `moves ${Math.abs(by)} ${Math.abs(by) === 1 ? "row" : "rows"} ${by > 0 ? "on" : "back"}`;
    const mean = NTM.signedText(NTM.meanShift(episode.arrays.shift, step, a));
    return `It ${rows} with probability ${NTM.fixed(most.weight, 2)}. The mean shift is s = ${mean}.`;
  }

  // Where sharpening alone puts the head on one row, the lead that it made decisive.
  NTM.leadSentence = ({ shifted, sharpened }) => {
    const first = NTM.strongest(shifted);
    if (first.weight >= DECISIVE || NTM.strongest(sharpened).weight < DECISIVE) return "";
    const next = NTM.strongest(shifted.map((x, row) => (row === first.row ? -Infinity : x)));
    if (first.weight > LARGE_LEAD * next.weight) return "";
    const close = next.weight > first.weight / 2 ? "only slightly ahead" : "ahead";
    return ` Row ${first.row} was ${close}, ${NTM.fixed(first.weight, 2)} against ${NTM.fixed(next.weight, 2)} of the next. Sharpening makes that lead decisive.`;
  };

  function sharpening(episode, step, a, stages) {
    const [was, is] = [NTM.strongest(stages.shifted), NTM.strongest(stages.sharpened)];
    if (NTM.fixed(episode.arrays.sharpening.at(step, a), 3) === "1") return "γ = 1 leaves the weighting as it is.";
    const change = `takes the largest weight from ${NTM.fixed(was.weight, 2)} to ${NTM.fixed(is.weight, 2)}, at row ${is.row}.`;
    return `γ = ${NTM.digits(episode.arrays.sharpening.at(step, a), 3)} ${change}${NTM.leadSentence(stages)}`;
  }

  const norm = (values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

  function effect(episode, step, head) {
    const { erase, add, reads, write_weightings: write } = episode.arrays;
    const parts = [];
    if (head.kind === "write") {
      const wiped = erase.part(step).part(head.index).values;
      const { row, weight } = NTM.strongest(write.part(step).part(head.index).values);
      const erased = percent((wiped.reduce((a, b) => a + b, 0) / wiped.length) * weight);
      const added = NTM.fixed(weight * norm(add.part(step).part(head.index).values), 2);
      parts.push(`It erased ${erased} of row ${row}, and added a vector of norm ${added} to it.`);
    }
    if (head.kind === "read" || head.both) {
      parts.push(`It read a vector of norm ${NTM.fixed(norm(reads.part(step).part(head.index).values), 2)}.`);
    }
    return parts.join(" ");
  }

  // How one head found its row at a step: by content or by location, and then [the stage's name, a sentence] for each.
  NTM.foundSentences = (episode, step, a, stages) => {
    const head = NTM.heads(episode.arrays)[a];
    const copied = NTM.copyOf(episode, step);
    const items = NTM.itemSentence(episode, step);
    return [
      verdict(NTM.found(episode, step, a, stages), stages.sharpened),
      ["1 content", content(episode, step, a, stages)],
      ["2 gate", gate(episode, step, a, stages)],
      ["3 shift", shift(episode, step, a)],
      ["4 sharpen", sharpening(episode, step, a, stages)],
      ...(items ? [["items", items]] : []),
      [head.kind === "read" ? "read" : "write", effect(episode, step, head)],
      ...(copied ? [["output", NTM.copySentence(copied)]] : []),
    ];
  };
})();
