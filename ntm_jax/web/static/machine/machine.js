"use strict";
// A Neural Turing Machine's forward pass (paper, section 3), as in models/cell.py; addressing is in stage/addressing.js.
(function () {
  const STRONGEST = 13; // of an exponential strength's logarithm, as in models/heads.py

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const ACTIVATIONS = {
    identity: (x) => x, tanh: Math.tanh, sigmoid, relu: (x) => Math.max(x, 0),
    softplus, exp: (x) => Math.exp(Math.min(x, STRONGEST)),
  };

  // One real move, spread over the two rows it falls between.
  function interpolated([raw]) {
    const z = 2 * sigmoid(raw) - 1;
    const [lower, higher] = [Math.max(z, 0), Math.max(-z, 0)];
    return [lower, 1 - lower - higher, higher];
  }
  const SHIFTS = { softmax: NTM.softmax, interpolated };

  // y = W x + b, with a kernel [in, out].
  function linear({ kernel, bias }, x) {
    const size = bias.shape[0];
    const y = Float64Array.from(bias.values);
    for (let i = 0; i < x.length; i++) {
      if (x[i] === 0) continue;
      const [value, from] = [x[i], i * size];
      for (let k = 0; k < size; k++) y[k] += value * kernel.values[from + k];
    }
    return y;
  }

  // h = f(W [x, 1]).
  const feedForward = (layers, activation) => (x) => linear(layers[0], x).map(ACTIVATIONS[activation]);

  // Layers of LSTM without peepholes (Graves 2013, arXiv 1308.0850, equations 7 to 11).
  function lstm(layers) {
    const carry = layers.map(({ bias }) => {
      const size = bias.shape[0] / 4;
      return { hidden: new Float64Array(size), cell: new Float64Array(size) };
    });
    return (x) => {
      layers.forEach((layer, i) => {
        const { hidden, cell } = carry[i];
        const size = hidden.length;
        const gates = linear(layer, [...x, ...hidden]); // for input, forget, candidate and output
        for (let k = 0; k < size; k++) {
          cell[k] = sigmoid(gates[size + k]) * cell[k] + sigmoid(gates[k]) * Math.tanh(gates[2 * size + k]);
          hidden[k] = sigmoid(gates[3 * size + k]) * Math.tanh(cell[k]);
        }
        x = hidden;
      });
      return x;
    };
  }

  // Equation 2: r = Σ w(i) M(i), of memory [rows, words].
  function read(memory, weighting) {
    const [rows, words] = memory.shape;
    const vector = new Float64Array(words);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < words; k++) vector[k] += weighting[row] * memory.values[row * words + k];
    }
    return vector;
  }

  // Equations 3 and 4: M ← M ∘ Π (1 − w eᵀ) + Σ w aᵀ. Every erase comes before every add.
  function written(memory, weightings, erase, add) {
    const [rows, words] = memory.shape;
    const values = new Float64Array(rows * words);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < words; k++) {
        let [kept, added] = [1, 0];
        weightings.forEach((weighting, h) => {
          kept *= 1 - weighting[row] * erase[h][k];
          added += weighting[row] * add[h][k];
        });
        values[row * words + k] = memory.values[row * words + k] * kept + added;
      }
    }
    return new NTM.NdArray(memory.shape, values);
  }

  // A raw vector, split by the widths of its fields, and each field among its heads.
  function split(raw, heads) {
    let from = 0;
    const counts = [heads.addressings, heads.addressings, heads.addressings, heads.addressings, heads.addressings, heads.write, heads.write];
    return heads.widths.map((width, field) => {
      const part = raw.subarray(from, (from += width));
      const size = width / counts[field];
      return Array.from({ length: counts[field] }, (_, head) => part.subarray(head * size, (head + 1) * size));
    });
  }

  // Section 3.3: the controls of all heads, each a list by head.
  function controls(raw, heads) {
    const [key, strength, gate, shift, sharpening, erase, add] = split(raw, heads);
    const each = (vectors, call) => vectors.map((vector) => vector.map(call));
    const single = (vectors, call) => vectors.map(([x]) => call(x));
    return {
      key: each(key, ACTIVATIONS[heads.key]),
      strength: single(strength, ACTIVATIONS[heads.strength]),
      gate: single(gate, sigmoid),
      shift: shift.map(SHIFTS[heads.shift]),
      sharpening: single(sharpening, (x) => 1 + softplus(x)),
      erase: each(erase, sigmoid),
      add: each(add, ACTIVATIONS[heads.add]),
    };
  }

  // Nested lists and arrays of numbers as one array.
  function packed(nested) {
    const shape = [];
    for (let part = nested; part.length !== undefined; part = part[0]) shape.push(part.length);
    const flat = (part) => (part[0].length === undefined ? Array.from(part) : part.flatMap(flat));
    return new NTM.NdArray(shape, Float32Array.from(flat(nested)));
  }

  NTM.Machine = class {
    // model: what report/machine.py exported, its arrays as NdArray.
    constructor(model) {
      this.model = model;
      this.layer = (name) => ({ kernel: model.arrays[`${name}/kernel`], bias: model.arrays[`${name}/bias`] });
    }

    // Runs over inputs [T, in]. Returns the arrays of an episode, as packing in Python names them.
    run(inputs) {
      const { model } = this;
      const { heads, arrays: { memory, weightings, reads } } = model;
      const layers = Array.from({ length: model.layers }, (_, i) => this.layer(`controller/${i}`));
      const list = (array) => Array.from({ length: array.shape[0] }, (_, i) => array.part(i).values);
      const state = {
        memory, weightings: list(weightings), reads: list(reads),
        controller: model.activation ? feedForward(layers, model.activation) : lstm(layers),
      };
      const steps = Array.from({ length: inputs.shape[0] }, (_, t) => this.step(state, inputs.part(t).values));
      const over = (name) => packed(steps.map((step) => step[name]));
      const names = ["probabilities", "reads", "read_weightings", "write_weightings", "key", "strength", "gate", "shift", "sharpening", "erase", "add"];
      const rows = steps.map((step) => step.memory.values);
      return {
        ...Object.fromEntries(names.map((name) => [name, over(name)])), logits: over("logits"),
        memory: new NTM.NdArray([steps.length, ...memory.shape], joined(rows)), first_memory: memory, first_weightings: weightings,
      };
    }

    // One step: controller, addressing, write, read, output (figure 1). Changes the state.
    step(state, input) {
      const { heads, cosine_epsilon: epsilon, reads_from: from, output_reads: seen } = this.model;
      const hidden = state.controller([...input, ...state.reads.flatMap((vector) => [...vector])]);
      const made = controls(linear(this.layer("to_heads"), hidden), heads);
      const of = (a) => ({ key: made.key[a], strength: made.strength[a], gate: made.gate[a], shift: made.shift[a], sharpening: made.sharpening[a] });
      const weightings = state.weightings.map((before, a) => NTM.address(state.memory, before, of(a), epsilon).sharpened);
      const [reading, writing] = [weightings.slice(0, heads.read), weightings.slice(-heads.write)];
      const memory = written(state.memory, writing, made.erase, made.add);
      const reads = reading.map((weighting) => read(from === "written" ? memory : state.memory, weighting));
      Object.assign(state, { memory, weightings, reads });
      const logits = linear(this.layer("to_output"), seen ? [...hidden, ...reads.flatMap((vector) => [...vector])] : hidden);
      return { ...made, logits, probabilities: logits.map(sigmoid), reads, memory, read_weightings: reading, write_weightings: writing };
    }
  };

  function joined(parts) {
    const values = new Float32Array(parts.length * parts[0].length);
    parts.forEach((part, i) => values.set(part, i * part.length));
    return values;
  }
})();
