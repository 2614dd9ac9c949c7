"use strict";
// The figure of an episode over time: one panel under another, one time axis for all of them.
(function () {
  const GAP = 28; // pixels between panels, for the titles
  const MOST_ROWS = 256; // of a weighting, each a pixel high at least
  const HIGHEST = 1.25 * MOST_ROWS;
  const UNCHANGED = 1e-3; // the most that a control differs which counts as the same all the time
  const CONTENT_MARK = 4; // pixels high
  const TICK_ROOM = 14; // pixels that a row's number needs
  const BLANK_SHARE = 0.4; // of all steps: a blank part with room for its words
  const [MOSTLY_BLANK, LOW] = [0.75, 44]; // of all steps: such a weighting, one of many, is so many pixels high
  const LEGEND_ENTRY = 130; // pixels of a head's name and line
  const MOST_SPREAD = 100; // between the least and the largest strength on an axis that is not logarithmic

  const MOST_ZEROS = 3; // of a power of 10 that is written in full

  // rows[channel][step] of an array [T, channels]; null where `shown` says no.
  function transpose(array, shown = () => true) {
    const [steps, channels] = array.shape;
    return Array.from({ length: channels }, (_, c) =>
      Array.from({ length: steps }, (_, t) => (shown(t) ? array.at(t, c) : null)),
    );
  }

  function head(array, index, rows) {
    const [steps] = array.shape;
    return rows.map((row) => Array.from({ length: steps }, (_, t) => array.at(t, index, row)));
  }

  function heat(title, z, options) {
    const { label, ...cells } = options.names
      ? { z, text: z.map((row, i) => row.map(() => options.names[i])), label: "%{text}" }
      : NTM.grouped(z, MOST_ROWS, options.rows);
    cells.hovertemplate = `step %{x}, ${label}<br>${options.unit} %{z:.4~g}<extra></extra>`;
    return {
      title,
      height: options.height,
      reversed: true,
      rows: z.length,
      ticks: options.names ? channelTicks(options.names, options.height) : rowTicks(options.rows, options.height),
      traces: [
        {
          type: "heatmap", zmin: options.range[0], zmax: options.range[1], colorscale: options.scale,
          showscale: false, hoverongaps: false, ...cells,
        },
      ],
    };
  }

  // The channels that are no bits of a vector have their names at the axis.
  function channelTicks(names, height) {
    const isBit = (name) => /^bit \d+$/.test(name);
    const bits = names.map((name, i) => i).filter((i) => isBit(names[i]));
    const special = names.length > 40 ? [] : names.map((name, i) => i).filter((i) => !isBit(names[i]));
    const room = 11 / (height / names.length); // channels that a name takes
    const places = special.filter((i, k) => k === 0 || i - special[k - 1] >= room);
    const free = (i) => places.every((other) => Math.abs(other - i) >= room);
    const shown = [...bits.slice(0, 1), ...bits.slice(-1)].filter(free).concat(places);
    return { tickmode: "array", tickvals: shown, ticktext: shown.map((i) => names[i]) };
  }

  function rowTicks(rows, height) {
    const most = Math.max(2, Math.min(5, Math.floor(height / TICK_ROOM)));
    const every = Math.max(1, Math.ceil(rows.length / most));
    const places = rows.map((_, i) => i).filter((i) => i % every === 0);
    return { tickmode: "array", tickvals: places, ticktext: places.map((i) => String(rows[i])) };
  }

  function curves(title, lines, height = 84) {
    const traces = lines.map((line) => ({
      type: "scatter", mode: line.mode || "lines", x: line.y.map((_, t) => t), y: line.y, name: line.name,
      line: { color: line.colour, width: 1.8, dash: line.dash, shape: "linear" },
      marker: { color: line.colour, size: 4 }, connectgaps: false,
      hovertemplate: `step %{x}<br>${line.name} %{y:.4~g}<extra></extra>`,
    }));
    return { title, height, reversed: false, traces, plain: true };
  }

  // The names of the addressings, and whether each writes. One that reads and writes is both.
  NTM.heads = (arrays) => {
    const [reads, writes] = [arrays.read_weightings.shape[1], arrays.write_weightings.shape[1]];
    const count = arrays.strength ? arrays.strength.shape[1] : 0;
    const number = (n, i) => (n > 1 ? ` ${i + 1}` : "");
    if (count < reads + writes) {
      return Array.from({ length: count }, (_, i) => ({ name: `head${number(count, i)}`, kind: "write", index: i, both: true }));
    }
    return Array.from({ length: count }, (_, i) =>
      i < reads
        ? { name: `read head${number(reads, i)}`, kind: "read", index: i }
        : { name: `write head${number(writes, i - reads)}`, kind: "write", index: i - reads },
    );
  };

  // Whether an episode has a wrong bit; the error's panel is blank without one.
  NTM.hasErrors = (episode) => episode.scores.wrong_bits > 0;

  // The channels of the input that are 0 or 1, and those of a count or a priority.
  function inputParts({ arrays, input_channels: channels }) {
    const rows = transpose(arrays.inputs);
    const isNumber = rows.map((row) => row.some((x) => x !== 0 && x !== 1));
    const all = rows.map((_, i) => i);
    const part = (chosen) => ({ z: chosen.map((i) => rows[i]), names: chosen.map((i) => channels[i]) });
    return { bits: part(all.filter((i) => !isNumber[i])), numbers: part(all.filter((i) => isNumber[i])) };
  }

  function bitsHeight(names, size) {
    if (names.length > 40) return size(names.length);
    const room = names.filter((name) => !/^bit/.test(name)).length > 1 ? 11 : 0; // for each of their names at the axis
    return Math.max(size(names.length), room * names.length);
  }

  // The inputs: what is 0 or 1 in the colours of the outputs, and a count or a priority in a strip of its own.
  // As high as in the pictures beside, so that what is below is level.
  function inputPanels(episode, c, size, beside) {
    const { bits, numbers } = inputParts(episode);
    const panels = [];
    if (bits.names.length) {
      const height = Math.max(...[episode, ...beside].map((one) => bitsHeight(inputParts(one).bits.names, size)));
      panels.push(heat("input", bits.z, { names: bits.names, unit: "value", height, range: [0, 1], scale: c.values }));
    }
    if (numbers.names.length) {
      const { z, names } = numbers;
      const most = z.flat().reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const title = `input: ${names.map((name) => (name === "count" ? "count, scaled" : name)).join(", ")} (−${NTM.fixed(most, 3)} to ${NTM.fixed(most, 3)})`;
      panels.push(heat(title, z, { names, unit: "value", height: Math.max(14, size(names.length) / 2), range: [-most, most], scale: c.signed }));
    }
    return panels;
  }

  function valuePanels(episode, c, options) {
    const { targets, mask, probabilities, optimal } = episode.arrays;
    const scored = (t) => mask.at(t) > 0;
    const [least, each] = options.dense ? [20, 7] : [28, 10];
    const size = (n) => Math.min(170, Math.max(least, each * n));
    const names = episode.output_channels;
    const bits = { names, unit: "value", range: [0, 1], scale: c.values, height: size(names.length) };
    const error = transpose(probabilities, scored).map((row, i) =>
      row.map((p, t) => (p === null ? null : Math.abs(p - targets.at(t, i)))),
    );
    const panels = inputPanels(episode, c, size, options.beside || []);
    panels[0].spans = true;
    if (optimal) {
      const one = (array) => transpose(array, scored)[0];
      panels.push(
        curves("probability of a 1", [
          { name: "next bit", y: one(targets), colour: c.faint, mode: "markers" },
          { name: "optimal", y: one(optimal), colour: c.write[0], dash: "dot" },
          { name: "model", y: one(probabilities), colour: c.read[0] },
        ], options.dense ? 110 : 150),
      );
      panels[panels.length - 1].legend = true;
      if (!options.wide) panels[panels.length - 1].gap = 18; // for the legend, below the title
    }
    panels.push(heat("target", transpose(targets, scored), bits));
    panels.push(heat("prediction", transpose(probabilities, scored), { ...bits, unit: "probability" }));
    if (options.errors !== false) panels.push(heat("error: |probability − target|", error, { ...bits, unit: "error", scale: c.error }));
    return panels;
  }

  // One head's weighting, [T, rows].
  function ownWeighting(array, index) {
    const [steps, , rows] = array.shape;
    return new NTM.NdArray([steps, rows], Float32Array.from(Array.from({ length: steps }, (_, t) => Array.from(array.part(t).part(index).values)).flat()));
  }

  function isMostlyBlank(array, index) {
    const blank = NTM.blankParts(ownWeighting(array, index)).reduce((sum, [from, to]) => sum + to - from + 1, 0);
    return blank >= MOSTLY_BLANK * array.shape[0];
  }

  function weightingPanels(episode, c, options) {
    const { read_weightings: read, write_weightings: write } = episode.arrays;
    const shared = NTM.heads(episode.arrays).some((one) => one.both);
    const rows = options.rows || Array.from({ length: read.shape[2] }, (_, row) => row);
    const heads = read.shape[1] + write.shape[1];
    const height = options.dense
      ? Math.min(HIGHEST, Math.max(heads > 2 ? 44 : 88, (heads > 2 ? 1.2 : 2.2) * rows.length))
      : Math.min(HIGHEST, Math.max(70, 1.6 * rows.length));
    const panels = [];
    const kinds = shared ? [["head", write, c.writes]] : [["write", write, c.writes], ["read", read, c.reads]];
    for (const [kind, array, scale] of kinds) {
      for (let i = 0; i < array.shape[1]; i++) {
        const number = array.shape[1] > 1 ? `, head ${i + 1}` : "";
        const title = shared ? `head${array.shape[1] > 1 ? ` ${i + 1}` : ""}${options.wide ? " (reads and writes)" : ""} weighting` : `${kind} weighting${number}`;
        panels.push({
          ...heat(`${title} (memory rows)`, head(array, i, rows), {
            unit: "weight", range: [0, 1], scale, rows, height: options.dense && heads > 2 && isMostlyBlank(array, i) ? Math.min(LOW, height) : height,
          }),
          weighting: true,
          head: NTM.heads(episode.arrays).findIndex((one) => one.index === i && one.kind === (kind === "head" ? "write" : kind)),
          wrap: NTM.wrapsAt ? NTM.wrapsAt(rows) : -1,
        });
      }
    }
    return panels;
  }

  const spread = (lines) => {
    const values = lines.flatMap((line) => line.y);
    return [Math.min(...values), Math.max(...values)];
  };

  // Three ticks or four, at powers of 10: those between would lie on each other. All are written in the same way.
  function powerTicks(a, b) {
    const every = Math.ceil((b - a) / 3);
    const powers = Array.from({ length: Math.floor(b / every) - Math.ceil(a / every) + 1 }, (_, i) => (Math.ceil(a / every) + i) * every);
    const isPlain = powers.every((power) => Math.abs(power) <= MOST_ZEROS);
    const ticktext = powers.map((power) => (isPlain ? NTM.fixed(10 ** power) : `10<sup>${power}</sup>`.replace("-", "−")));
    return { tickmode: "array", tickvals: powers.map((power) => 10 ** power), ticktext };
  }

  // The scales of the controls' axes, which pictures beside each other have in common.
  NTM.controlScales = (episodes) => {
    const withControls = episodes.filter((episode) => episode.arrays.strength);
    if (!withControls.length) return {};
    const range = (value) => {
      const lists = withControls.map((episode) => spread(controlLines(episode, NTM.colours(), value)));
      return [Math.min(...lists.map(([a]) => a)), Math.max(...lists.map(([, b]) => b))];
    };
    const wide = ([a, b]) => [a - 0.06 * (b - a || 1), b + 0.06 * (b - a || 1)];
    const [strength, sharpening] = [range("strength"), range("sharpening")];
    const isLog = ([a, b]) => a > 0 && b / a > MOST_SPREAD;
    const logarithmic = ([a, b]) => ({ type: "log", range: wide([a, b]), ...powerTicks(a, b) });
    const axis = (found) => (isLog(found) ? logarithmic(found.map(Math.log10)) : { range: wide(found) });
    const found = { strength, gate: range("gate"), shift: range("shift"), sharpening };
    const axes = { strength: axis(strength), gate: { range: [-0.05, 1.05] }, shift: { range: wide(found.shift) }, sharpening: axis(sharpening) };
    for (const [name, [least, most]] of Object.entries(found)) {
      if (most - least < UNCHANGED * Math.max(1, Math.abs(most))) axes[name].constant = most;
    }
    return axes;
  };

  function controlLines(episode, c, name) {
    const value = name === "shift" ? (t, a) => NTM.meanShift(episode.arrays.shift, t, a) : (t, a) => episode.arrays[name].at(t, a);
    return NTM.heads(episode.arrays).map((h, a) => ({
      name: h.name, colour: c[h.kind][h.index % c[h.kind].length], dash: ["solid", "dot", "dash"][Math.floor(h.index / 4)],
      y: Array.from({ length: episode.steps }, (_, t) => value(t, a)),
    }));
  }

  // The mean move of a head at one step, in rows.
  NTM.meanShift = (shift, t, a) => {
    const reach = (shift.shape[2] - 1) / 2;
    let sum = 0;
    for (let i = 0; i < shift.shape[2]; i++) sum += (i - reach) * shift.at(t, a, i);
    return sum;
  };

  // "+0.94": the same wherever a shift is given.
  NTM.signedText = (x) => {
    const size = Math.abs(Number(x.toFixed(2)));
    return size ? `${x > 0 ? "+" : "−"}${NTM.fixed(size, 2)}` : "0";
  };

  // Over a weighting: where its head is found by content, where it is too thin to see, and where memory's end is.
  function weightingMarks(episode, panel, axis, c, room) {
    const array = episode.arrays[NTM.heads(episode.arrays)[panel.head].kind === "read" ? "read_weightings" : "write_weightings"];
    const { index } = NTM.heads(episode.arrays)[panel.head];
    const [steps, , rows] = array.shape;
    const own = ownWeighting(array, index);
    const y = { yref: `${axis} domain` };
    const shapes = NTM.contentSteps(episode)[panel.head].map((t) => ({
      type: "rect", xref: "x", ...y, x0: t - 0.45, x1: t + 0.45, y0: 1, y1: 1 + CONTENT_MARK / panel.height, line: { width: 0 }, fillcolor: c.ink, name: "content",
    }));
    if (panel.wrap > 0) {
      shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: axis, y0: panel.wrap - 0.5, y1: panel.wrap - 0.5, line: { color: c.ink, width: 1, dash: "dot" }, name: "wrap" });
    }
    const labels = NTM.blankParts(own).filter(([from, to]) => to - from + 1 >= BLANK_SHARE * steps).map(([from, to]) => ({
      text: NTM.blankText(rows, ((to - from + 1) / steps) * room), x: (from + to) / 2, y: 0.5, xref: "x", ...y, showarrow: false, font: { size: 11, color: c.faint },
    }));
    return { shapes, labels };
  }

  function controlPanels(episode, c, options) {
    if (!episode.arrays.strength) return [];
    const scales = options.scales || NTM.controlScales([episode]);
    const titles = {
      strength: "key strength β", gate: "gate g (1: by content, 0: where it was)", shift: "shift s (mean, rows)", sharpening: "sharpening γ",
    };
    const changing = Object.entries(titles).filter(([name]) => !options.dense || scales[name].constant === undefined);
    const panels = changing.map(([name, title]) => ({
      ...curves(scales[name].type === "log" ? `${title} (logarithmic)` : title, controlLines(episode, c, name)), axis: scales[name],
    }));
    if (!panels.length) return panels;
    panels[0].legend = true;
    const inLine = options.width ? Math.max(1, Math.floor((options.width - 72) / LEGEND_ENTRY)) : options.wide ? 5 : 2;
    panels[0].gap = 18 * Math.ceil(NTM.heads(episode.arrays).length / inLine); // for the legend, above it
    return panels;
  }

  // Of the controls that never change, their values.
  function constants(episode, options) {
    if (!episode.arrays.strength || !options.dense) return "";
    const scales = options.scales || NTM.controlScales([episode]);
    const names = { strength: "β", gate: "g", shift: "s", sharpening: "γ" };
    const found = Object.keys(names).filter((name) => scales[name].constant !== undefined);
    const shown = (x) => (Math.abs(x) < UNCHANGED ? "0" : NTM.fixed(x, 3));
    return found.length ? `always ${found.map((name) => `${names[name]} ${shown(scales[name].constant)}`).join(", ")}` : "";
  }

  function spanShapes(episode, axis, c, wide) {
    const colour = { item: c.faint, asked: c.writeText, next: c.readText, answer: c.readText };
    const shapes = episode.spans.map((s) => ({
      type: "rect", xref: "x", yref: `${axis} domain`, x0: s.from - 0.5, x1: s.to + 0.5, y0: 0, y1: 1,
      line: { color: colour[s.role], width: s.role === "item" ? 1 : 2.5 }, fillcolor: "rgba(0,0,0,0)",
    }));
    // In a narrow figure the last two, query and answer, would touch.
    const leansLeft = (i) => !wide && i === episode.spans.length - 2;
    const labels = episode.spans.map((s, i) => ({
      text: s.role === "next" ? `${s.label} →` : s.label, x: leansLeft(i) ? s.to + 0.5 : (s.from + s.to) / 2, xanchor: leansLeft(i) ? "right" : "center", y: 1, xref: "x", yref: `${axis} domain`, yanchor: "bottom",
      yshift: 0, showarrow: false, font: { size: wide ? 11 : 10, color: colour[s.role] },
    }));
    return { shapes, labels };
  }

  // options: range ([from, to] or null), wide, and for the viewer rows (those to show), dense, errors (whether to draw
  // them), scales (see NTM.controlScales), beside (episodes in pictures beside it), width (pixels). With `step`, a cursor is the last shape.
  NTM.overTime = (episode, options) => {
    const c = NTM.colours();
    const values = valuePanels(episode, c, options);
    const weightings = weightingPanels(episode, c, options);
    // What is looked at most stands beside the memory, in the upper half.
    const errors = options.dense && options.errors !== false ? values.splice(-1) : [];
    const panels = [...values, ...weightings, ...errors, ...controlPanels(episode, c, options)];
    const bottom = 40;
    const mark = (panel) => (panel.weighting && options.dense ? CONTENT_MARK : 0);
    const gap = (panel) => (options.dense ? GAP - 6 : GAP) + (panel.gap || 0) + mark(panel);
    const total = panels.reduce((sum, p) => sum + p.height + gap(p), 0);
    const longest = Math.max(...panels.map((panel) => Math.max(0, ...(panel.ticks?.ticktext || []).map((text) => text.length))));
    const layout = NTM.layout(12 + total + bottom, { l: Math.max(options.wide ? 62 : 56, 6 * longest + 10), r: 10, t: 12, b: bottom });
    const range = options.range ? [options.range[0] - 0.5, options.range[1] + 0.5] : [-0.5, episode.steps - 0.5];
    const always = constants(episode, options);
    layout.xaxis = { title: { text: always ? `step (${always})` : "step", standoff: 4 }, range, ...NTM.axis(), ticks: "outside" };
    const data = [];
    let top = total;
    panels.forEach((panel, i) => {
      top -= gap(panel);
      const y = i === 0 ? "y" : `y${i + 1}`;
      const domain = [(top - panel.height) / total, top / total];
      layout[i === 0 ? "yaxis" : `yaxis${i + 1}`] = {
        domain, anchor: "x", ...NTM.axis(), nticks: panel.height < 60 ? 3 : 5, tickfont: { size: 10 },
        ...(panel.reversed ? { range: [panel.rows - 0.5, -0.5], showgrid: false, ...panel.ticks } : {}),
        ...(panel.axis || {}),
      };
      panel.traces.forEach((trace) => data.push({
        ...trace, xaxis: "x", yaxis: y, showlegend: Boolean(panel.legend), legend: `legend${i + 1}`, meta: panel.weighting ? "weighting" : panel.title,
      }));
      layout.shapes.push(...NTM.frame("x", y, panel.reversed));
      const spans = panel.spans && episode.spans.length > 1 ? spanShapes(episode, y, c, options.wide) : { shapes: [], labels: [] };
      layout.shapes.push(...spans.shapes);
      if (panel.weighting && options.dense) {
        const marks = weightingMarks(episode, panel, y, c, (options.width ?? Infinity) - layout.margin.l - layout.margin.r);
        layout.shapes.push(...marks.shapes);
        layout.annotations.push(...marks.labels);
      }
      layout.annotations.push({ ...NTM.title(panel.title, top / total), yshift: (spans.labels.length ? 13 : 0) + (panel.gap || 0) + mark(panel) }, ...spans.labels);
      if (panel.legend) {
        layout[`legend${i + 1}`] = {
          x: panel.gap ? 0 : 1, xanchor: panel.gap ? "left" : "right", y: top / total, yanchor: "bottom", orientation: "h", bgcolor: "rgba(0,0,0,0)", font: { size: 11 },
        };
        layout.showlegend = true;
      }
      top -= panel.height;
    });
    layout.margin.t = episode.spans.length > 1 ? 24 : 12;
    layout.height += layout.margin.t - 12;
    layout.xaxis.anchor = panels.length === 1 ? "y" : `y${panels.length}`;
    if (options.step !== undefined) {
      layout.shapes.push({
        type: "line", xref: "x", yref: "paper", x0: options.step, x1: options.step, y0: 0, y1: layout.yaxis.domain[1], line: { color: c.cursor, width: 1.5 },
      });
    }
    return { data, layout };
  };
})();
