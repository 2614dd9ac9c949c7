"use strict";
// Where episodes come from: the server. In a report, machine/report.js is another source.
window.NTM = window.NTM || {};
(function () {
  // An array that packing.pack made: {shape, at(i, j, ...)}.
  class NdArray {
    constructor(shape, values) {
      this.shape = shape;
      this.values = values;
      this.strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    }

    at(...place) {
      return this.values[place.reduce((sum, index, i) => sum + index * this.strides[i], 0)];
    }

    // The part at one place of the first axis.
    part(index) {
      const size = this.strides[0];
      return new NdArray(this.shape.slice(1), this.values.subarray(index * size, (index + 1) * size));
    }

    // Nested lists, for people; 6 digits are more than float32 knows after the arithmetic.
    nested() {
      if (this.shape.length === 1) return Array.from(this.values, (x) => Number(x.toPrecision(6)));
      return Array.from({ length: this.shape[0] }, (_, i) => this.part(i).nested());
    }
  }

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    return new NdArray(packed.shape, new Float32Array(buffer));
  }

  let unpacked = 0; // which tells one answer from another

  async function unpackAll(answer) {
    const names = Object.keys(answer.arrays);
    const arrays = await Promise.all(names.map((name) => unpack(answer.arrays[name])));
    const episode = { ...answer, arrays: {}, id: ++unpacked };
    names.forEach((name, i) => (episode.arrays[name] = arrays[i]));
    return episode;
  }

  const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

  async function get(address) {
    let answer;
    try {
      answer = await fetch(address);
    } catch {
      throw new Error("The server does not answer.");
    }
    if (!answer.ok) throw new Error(sentence((await answer.text()).trim()));
    return answer.json();
  }

  // A source of episodes, of which the page knows no more than this:
  //   isReport             whether it holds some episodes only, which `cases(place of the run)` lists
  //   runs()               what /api/runs answers
  //   episode(run, asked)  of a run's name and a question: what /api/episode answers, its arrays as NdArray
  const server = {
    isReport: false,
    runs: () => get("/api/runs"),
    episode: async (run, asked) =>
      unpackAll(await get(`/api/episode?${new URLSearchParams({ run, ...asked })}`)),
  };

  NTM.element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  NTM.NdArray = NdArray;
  NTM.get = get;
  NTM.unpackAll = unpackAll;
  NTM.source = server;

  NTM.readLink = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  // `isNew`: as another entry of the history, to which Back comes back.
  NTM.writeLink = (state, isNew = false) => {
    const given = Object.entries(state).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const link = `#${new URLSearchParams(given)}`;
    if (link === location.hash) return;
    if (isNew) history.pushState(null, "", link);
    else history.replaceState(null, "", link);
  };

  NTM.download = (name, type, content) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
})();
