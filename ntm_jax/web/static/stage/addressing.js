"use strict";
// The four stages by which a head finds its rows (paper, section 3.3 and figure 2), as in models/addressing.py.
(function () {
  const TINY = 1.1754943508222875e-38; // the least normal float32, which a weight of 0 counts as

  // Equation 6: the cosine between each row and the key.
  function similarity(memory, key, epsilon) {
    const [rows, words] = memory.shape;
    let keySquared = 0;
    for (const k of key) keySquared += k * k;
    const result = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      let [dot, squared] = [0, 0];
      for (let i = 0; i < words; i++) {
        const value = memory.values[row * words + i];
        dot += value * key[i];
        squared += value * value;
      }
      result[row] = dot / Math.sqrt(squared * keySquared + epsilon);
    }
    return result;
  }

  function softmax(logits) {
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const raised = logits.map((x) => Math.exp(x - most));
    const sum = raised.reduce((a, b) => a + b, 0);
    return raised.map((x) => x / sum);
  }

  // Equation 5.
  const content = (similar, strength) => softmax(similar.map((x) => strength * x));

  // Equation 7.
  const gated = (content, before, gate) => content.map((x, row) => gate * x + (1 - gate) * before[row]);

  // Equation 8: a circular convolution; `shift[i]` moves by i - reach rows.
  function shifted(weighting, shift) {
    const [rows, reach] = [weighting.length, (shift.length - 1) / 2];
    const result = new Float64Array(rows);
    for (let i = 0; i < shift.length; i++) {
      if (shift[i] === 0) continue;
      for (let row = 0; row < rows; row++) result[(((row + i - reach) % rows) + rows) % rows] += shift[i] * weighting[row];
    }
    return result;
  }

  // Equation 9.
  const sharpened = (weighting, sharpening) => softmax(weighting.map((x) => sharpening * Math.log(Math.max(x, TINY))));

  // The weighting of the addressing `a` before a step: reads come first, then writes.
  function before(episode, step, a) {
    const { read_weightings: read, write_weightings: write, first_weightings: first } = episode.arrays;
    if (step === 0) return first.part(a).values;
    const reads = read.shape[1];
    const [array, index] = a < reads ? [read, a] : [write, a - reads];
    return array.part(step - 1).part(index).values;
  }

  // What each stage makes of one head's weighting, each [rows].
  // memory [rows, words] and `before` [rows] are those of the step before; key [words], shift [moves].
  NTM.address = (memory, before, { key, strength, gate, shift, sharpening }, epsilon) => {
    const stages = { before, similar: similarity(memory, key, epsilon) };
    stages.content = content(stages.similar, strength);
    stages.gated = gated(stages.content, before, gate);
    stages.shifted = shifted(stages.gated, shift);
    stages.sharpened = sharpened(stages.shifted, sharpening);
    return stages;
  };

  // The same of the addressing `a` at a step of an episode.
  NTM.addressing = (episode, step, a) => {
    const { memory, first_memory: first, key, strength, gate, shift, sharpening } = episode.arrays;
    const controls = {
      key: key.part(step).part(a).values, shift: shift.part(step).part(a).values,
      strength: strength.at(step, a), gate: gate.at(step, a), sharpening: sharpening.at(step, a),
    };
    const rows = step === 0 ? first : memory.part(step - 1);
    return NTM.address(rows, before(episode, step, a), controls, episode.cosine_epsilon ?? 1e-6);
  };

  NTM.softmax = softmax;

  NTM.strongest = (values) => {
    let row = 0;
    for (let i = 1; i < values.length; i++) if (values[i] > values[row]) row = i;
    return { row, weight: values[row] };
  };
})();
