"use strict";
// What a visitor has changed in the input, as the address has it: bits as base64, numbers between underscores.
(function () {
  NTM.encodeBits = (bits) => {
    const bytes = new Uint8Array(Math.ceil(bits.length / 8));
    bits.forEach((bit, i) => { if (bit) bytes[i >> 3] |= 128 >> (i & 7); });
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  };

  NTM.encodeNumbers = (numbers) => numbers.map((x) => String(Number(x.toFixed(6)))).join("_");

  // The bits of an episode's editable vectors, one vector after another.
  NTM.editableBits = (episode) => {
    const { steps, channels } = episode.editable;
    return steps.flatMap((t) => Array.from({ length: channels }, (_, c) => (episode.arrays.inputs.at(t, c) > 0.5 ? 1 : 0)));
  };

  const HEART = [".XX...XX.", "XXXX.XXXX", "XXXXXXXXX", "XXXXXXXXX", ".XXXXXXX.", "..XXXXX..", "...XXX...", "....X...."];

  // As many hearts as fit, each vector a column of the picture.
  NTM.hearts = (vectors, channels) => {
    const size = HEART[0].length;
    const count = Math.max(1, Math.floor((vectors + 1) / (size + 1)));
    const start = Math.max(0, Math.floor((vectors - (count * (size + 1) - 1)) / 2));
    const top = Math.max(0, Math.floor((channels - HEART.length) / 2));
    const bits = new Array(vectors * channels).fill(0);
    for (let v = start; v < vectors && v - start < count * (size + 1); v++) {
      const column = (v - start) % (size + 1);
      for (let c = 0; c < channels; c++) if ((HEART[c - top] || "")[column] === "X") bits[v * channels + c] = 1;
    }
    return bits;
  };

  // The vectors in another order.
  NTM.shuffled = (bits, channels) => {
    const vectors = Array.from({ length: bits.length / channels }, (_, v) => bits.slice(v * channels, (v + 1) * channels));
    for (let i = vectors.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [vectors[i], vectors[j]] = [vectors[j], vectors[i]];
    }
    return vectors.flat();
  };
})();
