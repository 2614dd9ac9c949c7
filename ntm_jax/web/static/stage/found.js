"use strict";
// How a head found its row: the rules of every verdict, from the weightings of the four stages.
(function () {
  const ON_A_ROW = 0.1; // the largest weight from which a head is on a row at all
  const DECIDED = 0.5; // from which it is on one row, whatever the next has
  const RIVAL = 0.5; // of the largest weight: below DECIDED, a row with more than that leaves the head undecided
  const AGREED = 0.25; // the share from which the weaker of both ways counts

  NTM.ON_A_ROW = ON_A_ROW;

  // What one way, a weighting and its factor, gives the row where the head ends: the sum, and the row most comes from.
  function part(weighting, factor, chances, row) {
    const [rows, reach] = [weighting.length, (chances.length - 1) / 2];
    const found = { sum: 0, most: -1 };
    chances.forEach((chance, i) => {
      const move = i - reach;
      const from = (((row - move) % rows) + rows) % rows;
      const given = factor * chance * weighting[from];
      found.sum += given;
      if (given > found.most) Object.assign(found, { most: given, from, move });
    });
    return found;
  }

  // `by`: "content", "location", "both", "undecided", or "" for a head on no row. Both agree only of a head that was on a
  // row. `share` is the winner's part of the weight at `row`, before sharpening; `from` plus `move` is always `row`.
  // `rivals` are the rows between which it is.
  NTM.verdict = (stages, gate, chances) => {
    const weights = stages.sharpened;
    const { row, weight } = NTM.strongest(weights);
    const rivals = Array.from(weights.keys()).filter((i) => weights[i] > RIVAL * weight).sort((i, j) => weights[j] - weights[i]);
    const found = { row, weight, rivals };
    if (weight < ON_A_ROW) return { ...found, by: "" };
    if (weight < DECIDED && rivals.length > 1) return { ...found, by: "undecided" };
    const [content, location] = [part(stages.content, gate, chances, row), part(stages.before, 1 - gate, chances, row)];
    const share = content.sum / (content.sum + location.sum);
    const was = NTM.strongest(stages.before);
    const places = [content.from, location.from, NTM.strongest(stages.content).row, was.row];
    if (was.weight >= ON_A_ROW && Math.min(share, 1 - share) >= AGREED && places.every((place) => place === places[0])) {
      return { ...found, by: "both", from: places[0], move: content.move, share };
    }
    const [by, way, won] = share > 0.5 ? ["content", content, share] : ["location", location, 1 - share];
    return { ...found, by, from: way.from, move: way.move, share: won };
  };

  NTM.found = (episode, step, a, stages = NTM.addressing(episode, step, a)) =>
    NTM.verdict(stages, episode.arrays.gate.at(step, a), episode.arrays.shift.part(step).part(a).values);

  // Of each head, at which steps it is found by content. Computed once an episode.
  const known = new WeakMap();
  NTM.contentSteps = (episode) => {
    if (!known.has(episode)) {
      const steps = Array.from({ length: episode.steps }, (_, step) => step);
      const isContent = (a) => (step) => NTM.found(episode, step, a).by === "content";
      known.set(episode, NTM.heads(episode.arrays).map((_, a) => steps.filter(isContent(a))));
    }
    return known.get(episode);
  };

  // The first step that matters: of the item asked for, or else the last input before the answer.
  function asked(episode) {
    const { mask, inputs } = episode.arrays;
    const query = episode.spans.filter((span) => span.role === "asked").pop();
    if (query) return query.from;
    const answer = mask.values.findIndex((scored) => scored > 0);
    for (let step = answer - 1; step >= 0; step--) if (inputs.part(step).values.some((x) => x !== 0)) return step;
    return 0;
  }

  // The first jump after the input: {step, a} of the read head found by content, the one of the largest weight, or null.
  NTM.jump = (episode) => {
    if (!episode.arrays.memory) return null;
    const [first, heads, steps] = [asked(episode), NTM.heads(episode.arrays), NTM.contentSteps(episode)];
    const reads = heads.map((_, a) => a).filter((a) => heads[a].kind === "read" || heads[a].both);
    const next = (a) => steps[a].find((step) => step >= first) ?? Infinity;
    const step = Math.min(...reads.map(next));
    if (step === Infinity) return null;
    const weight = (a) => NTM.found(episode, step, a).weight;
    return { step, a: reads.filter((a) => next(a) === step).reduce((best, a) => (weight(a) > weight(best) ? a : best)) };
  };
})();
