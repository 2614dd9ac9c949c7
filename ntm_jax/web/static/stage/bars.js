"use strict";
// The stages of a head's addressing beside the rows of memory, a column of bars each.
(function () {
  const GAP = 10; // pixels between the columns
  const LEAST_BAR = 0.01; // of a column's maximum
  const NARROW = 44; // width of a column below which its words are shortened
  const WIDE = 66; // from which they are given in full
  const MAXIMA = ["below each column: its maximum; similar is drawn to 1", "below each column: its maximum", "maxima of the columns"];
  NTM.STAGES = [
    ["before", "before", () => ""],
    ["similar", "similar", () => "−1 to 1"],
    ["content", "content", (e, t, a, digits) => `β ${NTM.digits(e.arrays.strength.at(t, a), digits)}`],
    ["gated", "gated", (e, t, a) => `g ${NTM.fixed(e.arrays.gate.at(t, a), 2)}`],
    ["shifted", "shifted", (e, t, a) => `s ${NTM.signedText(NTM.meanShift(e.arrays.shift, t, a))}`],
    ["sharpened", "sharpened", (e, t, a, digits) => `γ ${NTM.digits(e.arrays.sharpening.at(t, a), digits)}`],
  ];

  NTM.largest = (values) => {
    let most = 0;
    for (const x of values) most = Math.max(most, Math.abs(x));
    return most || 1;
  };

  const shortName = (name) => (name === "sharpened" ? "sharp." : name);

  // Of each column its name and its control, over it. `stage` is an NTM.Stage, here and below.
  NTM.barTitles = (stage, step, a, c) => {
    const { place: p, episode } = stage;
    const [isShort, isNarrow] = [p.bar < WIDE, p.bar < NARROW];
    const values = NTM.STAGES.map(([, , value]) => value(episode, step, a, isNarrow ? 2 : 3));
    const given = isNarrow ? values.map((text) => text.replace("0.", ".").replace("−1 to 1", "±1")) : values;
    const names = NTM.STAGES.map(([, name]) => (isShort ? shortName(name) : name));
    stage.fit([...names, ...given], p.bar - 3);
    names.forEach((name, i) => {
      stage.text(name, p.bars + i * p.bar, p.top - 18, c.ink);
      stage.text(given[i], p.bars + i * p.bar, p.top - 5, c.faint);
    });
    stage.fit([]);
  };

  NTM.drawBars = (stage, a, c) => {
    const { context: g, place: p } = stage;
    const head = NTM.heads(stage.episode.arrays)[a];
    const isNarrow = p.bar < NARROW;
    const maxima = NTM.STAGES.map(([name]) => {
      const most = name === "similar" ? NTM.strongest(stage.stages[name]).weight : NTM.largest(stage.stages[name]);
      return isNarrow ? NTM.fixed(most, 2).replace("0.", ".") : NTM.fixed(most, 2);
    });
    NTM.STAGES.forEach(([name], i) => {
      const x = p.bars + i * p.bar;
      g.fillStyle = c.empty;
      g.fillRect(x, p.top, p.bar - GAP, p.body);
      g.fillStyle = name === "before" ? c.faint : c[head.kind][head.index % c[head.kind].length];
      (name === "similar" ? signedColumn : column)(stage, x, stage.stages[name], c);
      if (i > 1) stage.text("›", x - 7, p.top + p.body / 2, c.faint);
    });
    stage.fit(maxima, p.bar - 3);
    maxima.forEach((text, i) => stage.text(text, p.bars + i * p.bar, p.top + p.body + 13, c.faint));
    stage.fit([]);
    // In a narrow picture, the names of the vectors stand below the first columns.
    const left = isNarrow ? p.memory.x + p.memory.width + 50 : p.bars;
    const said = MAXIMA.find((text) => g.measureText(text).width <= p.width - left) ?? "";
    stage.text(said, left, p.top + p.body + (isNarrow ? 34 : 29), c.faint);
  };

  // Where a line's bar stands, without the edge of a line that is high enough for one.
  const inside = (stage, line) => (stage.line > 5 ? [stage.y(line) + 1, stage.line - 2] : [stage.y(line), stage.line]);

  function column(stage, x, values) {
    const most = NTM.largest(values);
    stage.groups.forEach((group, line) => {
      const weight = NTM.furthest(values, group);
      const [y, height] = inside(stage, line);
      if (weight > LEAST_BAR * most) stage.context.fillRect(x, y, Math.max(1, (weight / most) * (stage.place.bar - GAP)), height);
    });
  }

  // From the middle to the left down to −1, to the right up to 1.
  function signedColumn(stage, x, values, c) {
    const half = (stage.place.bar - GAP) / 2;
    stage.groups.forEach((group, line) => {
      const length = NTM.furthest(values, group) * half;
      const [y, height] = inside(stage, line);
      stage.context.fillRect(x + half + Math.min(0, length), y, Math.abs(length), height);
    });
    stage.context.fillStyle = c.faint;
    stage.context.fillRect(x + half - 0.5, stage.place.top, 1, stage.place.body);
  }
})();
