"use strict";
// Episodes of a page without a server: of a model that runs here, or as the file holds them.
(function () {
  const BITS_PER_NAT = 1 / Math.LN2;
  const NO_COPY = -1;

  // The bits that an address has; see viewer/edits.js.
  function decodeBits(text, count) {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    if (bytes.length !== Math.ceil(count / 8)) throw new Error(`bits: ${bytes.length} bytes are given, but ${count} bits are shown.`);
    return Array.from({ length: count }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
  }

  const copied = (array, places, bits) =>
    new NTM.NdArray(array.shape, array.values.map((value, i) => (places.values[i] === NO_COPY ? value : bits[places.values[i]])));

  // The episode with other bits; the targets are copies of some of them.
  function edited(episode, text) {
    const { steps, channels } = episode.editable;
    const bits = decodeBits(text, steps.length * channels);
    const { inputs, targets, input_copies: of_inputs, target_copies: of_targets } = episode.arrays;
    const arrays = { inputs: copied(inputs, of_inputs, bits), targets: copied(targets, of_targets, bits) };
    return { ...episode, arrays: { ...episode.arrays, ...arrays } };
  }

  // What the answer cost, as in viewer/episodes.py.
  function scores({ mask, targets, optimal }, logits) {
    const size = targets.shape[1];
    let [wrong, nats, best, scored] = [0, 0, 0, 0];
    for (let t = 0; t < mask.values.length; t++) {
      if (!(mask.at(t) > 0)) continue;
      for (let i = 0; i < size; i++) {
        const [logit, target] = [logits.at(t, i), targets.at(t, i) > 0];
        const against = target ? -logit : logit;
        nats += Math.max(against, 0) + Math.log1p(Math.exp(-Math.abs(against)));
        wrong += logit > 0 !== target;
        if (optimal) best -= Math.log(target ? optimal.at(t, i) : 1 - optimal.at(t, i));
        scored++;
      }
    }
    const found = { scored_bits: scored, wrong_bits: wrong, bits: nats * BITS_PER_NAT };
    return optimal ? { ...found, optimal_bits: best * BITS_PER_NAT } : found;
  }

  function computed(machine, episode) {
    const { logits, ...arrays } = machine.run(episode.arrays.inputs);
    const { input_copies, target_copies, ...drawn } = episode.arrays;
    return { ...episode, scores: scores(drawn, logits), arrays: { ...drawn, ...arrays } };
  }

  const same = (episode, asked) =>
    Object.entries(episode.difficulty).every(([name, value]) => asked[name] === undefined || Number(asked[name]) === value);

  // content: of report/content.py.
  function report({ runs, machines, episodes }) {
    const loaded = new Map();
    const machine = async (place) => {
      if (!loaded.has(place)) loaded.set(place, new NTM.Machine(await NTM.unpackAll(machines[place])));
      return loaded.get(place);
    };
    return {
      isReport: true,
      runs: async () => runs,
      cases: (run) => episodes.filter((e) => e.run === run).map((e) => e.difficulty),
      episode: async (run, asked) => {
        const named = runs.findIndex((one) => one.name === run);
        const place = named < 0 ? Number(run) : named;
        const found = episodes.filter((e) => e.run === place).find((e) => same(e, asked));
        if (!found) throw new Error("This report does not hold that episode.");
        const episode = await NTM.unpackAll(found);
        const canEdit = Boolean(episode.arrays.input_copies);
        const editable = canEdit ? { ...episode.editable, numbers: [] } : null;
        const drawn = { ...episode, editable };
        if (!machines[place]) return drawn;
        return computed(await machine(place), asked.bits && canEdit ? edited(drawn, asked.bits) : drawn);
      },
    };
  }

  NTM.source = report(JSON.parse(document.getElementById("report").textContent));
})();
