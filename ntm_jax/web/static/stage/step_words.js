"use strict";
// A step in sentences: for everybody beside the pictures, and for who hears the page.
(function () {
  const MOST_NAMED = 4; // heads of a sentence
  const percent = (x) => `${Math.round(100 * x)}%`;
  const place = (weighting) => {
    const { row, weight } = NTM.strongest(weighting);
    return weight < 0.1 ? `spread over many rows, at most ${NTM.fixed(weight, 2)} on one` : `at row ${row}, weight ${NTM.fixed(weight, 2)}`;
  };

  const weightingOf = (episode, step, head) =>
    episode.arrays[head.kind === "read" ? "read_weightings" : "write_weightings"].part(step).part(head.index).values;

  function output(episode, step) {
    const { mask, targets, probabilities } = episode.arrays;
    if (!(mask.at(step) > 0)) return "The output is not scored at this step.";
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
    const clear = heads.filter((head) => NTM.strongest(weightingOf(episode, step, head)).weight >= 0.1);
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

  // In which of both ways a head came to its row: "content", "location", or "" if it is on no row.
  NTM.foundBy = (episode, step, a, stages) => {
    if (NTM.strongest(stages.sharpened).weight < 0.1) return "";
    const g = episode.arrays.gate.at(step, a);
    const { row } = NTM.strongest(stages.gated);
    return g * stages.content[row] > (1 - g) * stages.before[row] ? "content" : "location";
  };

  // The same in a sentence.
  function verdict(episode, step, a, stages) {
    const by = NTM.foundBy(episode, step, a, stages);
    if (!by) return ["", "The head is on no row in particular."];
    const chances = episode.arrays.shift.part(step).part(a).values;
    const move = NTM.strongest(chances).row - (chances.length - 1) / 2;
    const from = NTM.strongest(stages.gated).row;
    if (by === "location") return [by, `: it was at row ${from}, and ${moved(move)}.`];
    return [by, `: row ${from} resembles the key${move === 0 ? "." : `, and from there ${moved(move)}.`}`];
  }

  function content(episode, step, a, stages) {
    const like = NTM.strongest(stages.similar);
    const most = NTM.strongest(stages.content);
    const strength = NTM.fixed(episode.arrays.strength.at(step, a), 3);
    const given = most.weight < 0.1 ? "leaves the weight spread over many rows" : `gives row ${most.row} ${percent(most.weight)} of the weight`;
    return `The key is most like row ${like.row}, with a similarity of ${NTM.fixed(like.weight, 2)}. Strength β = ${strength} ${given}.`;
  }

  function gate(episode, step, a, stages) {
    const g = episode.arrays.gate.at(step, a);
    const was = NTM.strongest(stages.before);
    const from = was.weight < 0.1 ? "where the head was" : `where the head was, row ${was.row}`;
    return `Gate g = ${g < 0.005 ? "0" : NTM.fixed(g, 2)}: ${percent(g)} by content, ${percent(1 - g)} from ${from}.`;
  }

  function shift(episode, step, a) {
    const chances = episode.arrays.shift.part(step).part(a).values;
    const reach = (chances.length - 1) / 2;
    const most = NTM.strongest(chances);
    const by = most.row - reach;
    const rows = by === 0 ? "stays where it is" : `moves ${Math.abs(by)} ${Math.abs(by) === 1 ? "row" : "rows"} ${by > 0 ? "on" : "back"}`;
    return `Shift s: it ${rows}, with a probability of ${NTM.fixed(most.weight, 2)}.`;
  }

  function sharpening(episode, step, a, stages) {
    const [was, is] = [NTM.strongest(stages.shifted), NTM.strongest(stages.sharpened)];
    return `Sharpening γ = ${NTM.fixed(episode.arrays.sharpening.at(step, a), 3)}: the largest weight goes from ${NTM.fixed(was.weight, 2)} to ${NTM.fixed(is.weight, 2)}, at row ${is.row}.`;
  }

  const length = (values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

  function effect(episode, step, head) {
    const { erase, add, reads, write_weightings: write } = episode.arrays;
    const parts = [];
    if (head.kind === "write") {
      const wiped = erase.part(step).part(head.index).values;
      const { row, weight } = NTM.strongest(write.part(step).part(head.index).values);
      const erased = percent((wiped.reduce((a, b) => a + b, 0) / wiped.length) * weight);
      const added = NTM.fixed(weight * length(add.part(step).part(head.index).values), 2);
      parts.push(`It erased ${erased} of row ${row}, and added a vector of length ${added} to it.`);
    }
    if (head.kind === "read" || head.both) {
      parts.push(`It read a vector of length ${NTM.fixed(length(reads.part(step).part(head.index).values), 2)}.`);
    }
    return parts.join(" ");
  }

  // How one head found its row at a step: by content or by location, and then [the stage's name, a sentence] for each.
  NTM.foundSentences = (episode, step, a, stages) => {
    const head = NTM.heads(episode.arrays)[a];
    return [
      verdict(episode, step, a, stages),
      ["1 content", content(episode, step, a, stages)],
      ["2 gate", gate(episode, step, a, stages)],
      ["3 shift", shift(episode, step, a)],
      ["4 sharpen", sharpening(episode, step, a, stages)],
      [head.kind === "read" ? "read" : "write", effect(episode, step, head)],
    ];
  };
})();
