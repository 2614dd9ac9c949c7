"use strict";
// What the pictures do not say by themselves: blank weightings, memory's colours, and what an output is a copy of.
(function () {
  const VISIBLE = 0.05; // a weight that is seen in a picture, as in stage/rows.js
  const LEAST_STEPS = 5; // of a blank part that is worth a word
  const CLEAR = 0.5; // weight of a head that is on one row
  const LATEST = 2; // steps between reading a row and giving it out

  // The parts of a weighting [steps, rows] without a weight to see: [first step, last step] each.
  NTM.blankParts = (weighting) => {
    const [steps, rows] = weighting.shape;
    const parts = [];
    for (let step = 0; step < steps; step++) {
      if (weighting.part(step).values.some((x) => x >= VISIBLE) || rows * VISIBLE < 1) continue;
      const last = parts[parts.length - 1];
      if (last && last[1] === step - 1) last[1] = step;
      else parts.push([step, step]);
    }
    return parts.filter(([from, to]) => to - from + 1 >= LEAST_STEPS);
  };

  const LONG_LABEL = 250; // pixels

  // `room` is the blank part's width in pixels.
  NTM.blankText = (rows, room) => (room >= LONG_LABEL ? `spread over the ${rows} rows, too thin to see` : "too thin to see");

  // Where the shown rows go round the end of the memory: the place of the first row after it, or -1.
  NTM.wrapsAt = (rows) => rows.findIndex((row, i) => i > 0 && row < rows[i - 1]);

  // Sentences for below the memory.
  NTM.memoryNotes = (episode, rows) => {
    const notes = ["Memory's colours are the network's own code, not the bits themselves. Rows never written to hold their first value."];
    const wrap = NTM.wrapsAt(rows);
    if (wrap > 0) notes.push(`Memory is a circle: at the dotted line, row ${rows[wrap - 1]} is followed by row ${rows[wrap]}.`);
    return notes;
  };

  const clear = (array, t) => Array.from({ length: array.shape[1] }, (_, h) => NTM.strongest(array.part(t).part(h).values)).filter((one) => one.weight >= CLEAR);

  // The steps before the answer whose first bits are the vector that an answering step has to give.
  function shownAt(episode, step) {
    const { inputs, targets, mask } = episode.arrays;
    const wanted = targets.part(step).values;
    if (wanted.length < 2 || !wanted.some((bit) => bit > 0)) return [];
    const before = Array.from({ length: mask.values.findIndex((scored) => scored > 0) }, (_, t) => t);
    return before.filter((t) => wanted.every((bit, i) => inputs.at(t, i) === bit));
  }

  // Of the input steps `shown`: the row that one was written to, read `lag` steps before the output; or null.
  function readBefore(episode, output, shown, lag) {
    const { write_weightings: write, read_weightings: read } = episode.arrays;
    if (output < lag) return null;
    const rows = clear(read, output - lag).map((one) => one.row);
    for (const input of shown) {
      const found = clear(write, input).find((one) => rows.includes(one.row));
      if (found) return { input, row: found.row, read: output - lag, output };
    }
    return null;
  }

  // Whether two answering steps have to give the same vector.
  function sameAnswer(episode, one, other) {
    const { targets, mask } = episode.arrays;
    const wanted = targets.part(one).values;
    return mask.at(other) > 0 && targets.part(other).values.every((bit, i) => bit === wanted[i]);
  }

  // The last step before `end` at which a head was on a row to write, or -1.
  function lastWritten(episode, row, end) {
    for (let step = end - 1; step >= 0; step--) {
      if (clear(episode.arrays.write_weightings, step).some((one) => one.row === row)) return step;
    }
    return -1;
  }

  // Of an answer that was given before: the row that was written to when it was, read `lag` steps before the output.
  function readAgain(episode, output, shown, lag) {
    if (output < lag) return null;
    for (const { row } of clear(episode.arrays.read_weightings, output - lag)) {
      const again = lastWritten(episode, row, output - lag);
      if (again >= 0 && sameAnswer(episode, output, again)) return { input: shown[0], row, read: output - lag, output, again };
    }
    return null;
  }

  // The steps from reading a row to giving it out, by most vectors that were shown once. Computed once an episode.
  const lags = new WeakMap();
  function lagOf(episode) {
    if (!lags.has(episode)) {
      const counts = Array(LATEST + 1).fill(0);
      for (let step = 0; step < episode.steps; step++) {
        const shown = episode.arrays.mask.at(step) > 0 ? shownAt(episode, step) : [];
        if (shown.length === 1) counts.forEach((_, lag) => (counts[lag] += readBefore(episode, step, shown, lag) ? 1 : 0));
      }
      lags.set(episode, NTM.strongest(counts).row);
    }
    return lags.get(episode);
  }

  // What an answered vector is a copy of: the step that showed it, the row it was written to, and the step at which
  // that row was read. Null where the numbers do not show all three.
  NTM.copyOf = (episode, step) => {
    if (!(episode.arrays.mask.at(step) > 0) || !episode.arrays.memory) return null;
    const shown = shownAt(episode, step);
    if (!shown.length) return null;
    const lag = lagOf(episode);
    return readBefore(episode, step, shown, lag) ?? readAgain(episode, step, shown, lag);
  };

  // Of the item asked for and of the next, as far as they were shown by a step: {role, label, steps, rows}, the rows being
  // those that a write head was on at each of these steps, and none wrote to since.
  NTM.itemRows = (episode, step) => {
    const items = episode.spans.filter((span) => ["asked", "next"].includes(span.role) && /^\d+$/.test(span.label) && span.from <= step);
    return items.flatMap(({ role, label, from, to }) => {
      const steps = Array.from({ length: Math.min(to, step) - from + 1 }, (_, i) => from + i);
      const written = steps.flatMap((t) => clear(episode.arrays.write_weightings, t).map((one) => ({ t, row: one.row })));
      const rows = written.filter(({ t, row }) => lastWritten(episode, row, step + 1) === t).map((one) => one.row);
      return rows.length ? [{ role, label, steps, rows }] : [];
    });
  };

  // "rows 12 to 14", or each where they do not follow one another.
  function listed(name, numbers) {
    const last = numbers[numbers.length - 1];
    if (numbers.length < 2) return `${name} ${last}`;
    const inOrder = numbers.every((number, i) => number === numbers[0] + i) && numbers.length > 2;
    return inOrder ? `${name}s ${numbers[0]} to ${last}` : `${name}s ${numbers.slice(0, -1).join(", ")} and ${last}`;
  }

  NTM.itemSentence = (episode, step) => {
    const which = { asked: "the one asked for", next: "the answer" };
    const said = ({ role, label, steps, rows }) => `Item ${label}, ${which[role]}, was written to ${listed("row", rows)} at ${listed("step", steps)}.`;
    return NTM.itemRows(episode, step).map(said).join(" ");
  };

  NTM.copySentence = ({ input, row, read, output, again }) => {
    const when = read === output ? "at this step" : read === output - 1 ? `one step before, at step ${read}` : `at step ${read}`;
    const way = read === output ? "The output layer sees what is read at the same step." : "The controller sees what was read at the step before.";
    const written = again === undefined ? `It was written to row ${row}` : `When it was answered at step ${again}, it was written to row ${row} again`;
    return `This is the vector of step ${input}. ${written}, and row ${row} was read ${when}. ${way}`;
  };
})();
