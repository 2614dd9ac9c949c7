"use strict";
// The figure of an episode over time: one panel under another, one time axis for all of them.
(function () {
  const GAP = 30; // pixels between panels, for the titles

  // rows[channel][step] of an array [T, channels]; null where `shown` says no.
  function transpose(array, shown = () => true) {
    const [steps, channels] = array.shape;
    return Array.from({ length: channels }, (_, c) =>
      Array.from({ length: steps }, (_, t) => (shown(t) ? array.at(t, c) : null)),
    );
  }

  function head(array, index) {
    const [steps, , rows] = array.shape;
    return Array.from({ length: rows }, (_, row) =>
      Array.from({ length: steps }, (_, t) => array.at(t, index, row)),
    );
  }

  const MOST_ROWS = 256; // of a weighting, each a pixel high at least
  const HIGHEST = 1.25 * MOST_ROWS;

  function heat(title, z, options) {
    const { label, ...cells } = options.names
      ? { z, text: z.map((row, i) => row.map(() => options.names[i])), label: "%{text}" }
      : NTM.grouped(z, MOST_ROWS);
    cells.hovertemplate = `step %{x}, ${label}<br>${options.unit} %{z:.4~g}<extra></extra>`;
    return {
      title,
      height: options.height,
      reversed: true,
      rows: z.length,
      traces: [
        {
          type: "heatmap", zmin: options.range[0], zmax: options.range[1], colorscale: options.scale,
          showscale: false, hoverongaps: false, ...cells,
        },
      ],
    };
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

  // The names of the addressings, and whether each writes.
  NTM.heads = (arrays) => {
    const [reads, writes] = [arrays.read_weightings.shape[1], arrays.write_weightings.shape[1]];
    const count = arrays.strength ? arrays.strength.shape[1] : 0;
    const number = (n, i) => (n > 1 ? ` ${i + 1}` : "");
    if (count < reads + writes) {
      return Array.from({ length: count }, (_, i) => ({ name: `head${number(count, i)}`, kind: "write", index: i }));
    }
    return Array.from({ length: count }, (_, i) =>
      i < reads
        ? { name: `read head${number(reads, i)}`, kind: "read", index: i }
        : { name: `write head${number(writes, i - reads)}`, kind: "write", index: i - reads },
    );
  };

  function valuePanels(episode, c) {
    const { inputs, targets, mask, probabilities, optimal } = episode.arrays;
    const scored = (t) => mask.at(t) > 0;
    const inputRange = inputs.values.some((x) => x < 0) ? 1 : 0;
    const most = Math.max(1, ...inputs.values);
    const size = (n) => Math.min(170, Math.max(28, 10 * n));
    const names = episode.output_channels;
    const bits = { names, unit: "value", range: [0, 1], scale: c.values, height: size(names.length) };
    const error = transpose(probabilities, scored).map((row, i) =>
      row.map((p, t) => (p === null ? null : Math.abs(p - targets.at(t, i)))),
    );
    const panels = [
      heat("input", transpose(inputs), {
        names: episode.input_channels, unit: "value", height: size(inputs.shape[1]),
        range: [inputRange ? -most : 0, most], scale: inputRange ? c.signed : c.values,
      }),
      heat("target", transpose(targets, scored), bits),
      heat("prediction", transpose(probabilities, scored), { ...bits, unit: "probability" }),
      heat("error: |probability − target|", error, { ...bits, unit: "error", scale: c.error }),
    ];
    if (optimal) {
      const one = (array) => transpose(array, scored)[0];
      panels.splice(
        2, 0,
        curves("probability of a 1", [
          { name: "next bit", y: one(targets), colour: c.faint, mode: "markers" },
          { name: "optimal", y: one(optimal), colour: c.write[0], dash: "dot" },
          { name: "model", y: one(probabilities), colour: c.read[0] },
        ], 150),
      );
      panels[2].legend = true;
    }
    panels[0].spans = true;
    return panels;
  }

  function headPanels(episode, c) {
    const { read_weightings: read, write_weightings: write, strength, gate, sharpening, shift } = episode.arrays;
    const panels = [];
    for (const [kind, array] of [["write", write], ["read", read]]) {
      for (let i = 0; i < array.shape[1]; i++) {
        const number = array.shape[1] > 1 ? `, head ${i + 1}` : "";
        panels.push(
          heat(`${kind} weighting${number} (memory rows)`, head(array, i), {
            unit: "weight", range: [0, 1], scale: c.weights,
            height: Math.min(HIGHEST, Math.max(70, 1.6 * array.shape[2])),
          }),
        );
      }
    }
    if (!strength) return panels;
    const heads = NTM.heads(episode.arrays);
    const steps = strength.shape[0];
    const reach = (shift.shape[2] - 1) / 2;
    const move = (t, a) => {
      let sum = 0;
      for (let i = 0; i < shift.shape[2]; i++) sum += (i - reach) * shift.at(t, a, i);
      return sum;
    };
    const lines = (value) =>
      heads.map((h, a) => ({
        name: h.name, colour: c[h.kind][h.index % c[h.kind].length], dash: ["solid", "dot", "dash"][Math.floor(h.index / 4)],
        y: Array.from({ length: steps }, (_, t) => value(t, a)),
      }));
    const controls = [
      curves("key strength β", lines((t, a) => strength.at(t, a))),
      curves("gate g (1: by content, 0: from where it was)", lines((t, a) => gate.at(t, a))),
      curves("shift s (mean, rows)", lines(move)),
      curves("sharpening γ", lines((t, a) => sharpening.at(t, a))),
    ];
    controls[1].range = [-0.05, 1.05];
    controls[0].legend = true;
    return [...panels, ...controls];
  }

  function spanShapes(episode, axis, c) {
    const colour = { item: c.faint, asked: c.write[0], next: c.read[0], answer: c.read[0] };
    const shapes = episode.spans.map((s) => ({
      type: "rect", xref: "x", yref: `${axis} domain`, x0: s.from - 0.5, x1: s.to + 0.5, y0: 0, y1: 1,
      line: { color: colour[s.role], width: s.role === "item" ? 1 : 2.5 }, fillcolor: "rgba(0,0,0,0)",
    }));
    const labels = episode.spans.map((s) => ({
      text: s.role === "next" ? `${s.label} →` : s.label, x: (s.from + s.to) / 2, y: 1, xref: "x", yref: `${axis} domain`, yanchor: "bottom",
      yshift: 0, showarrow: false, font: { size: 11, color: colour[s.role] },
    }));
    return { shapes, labels };
  }

  // options: step (the cursor's), range ([from, to] or null), wide, memory (whether to draw heads).
  NTM.overTime = (episode, options) => {
    const c = NTM.colours();
    const panels = [...valuePanels(episode, c), ...headPanels(episode, c)];
    const bottom = 40;
    const total = panels.reduce((sum, p) => sum + p.height + GAP, 0);
    const layout = NTM.layout(24 + total + bottom, { l: options.wide ? 46 : 34, r: 10, t: 24, b: bottom });
    const range = options.range ? [options.range[0] - 0.5, options.range[1] + 0.5] : [-0.5, episode.steps - 0.5];
    layout.xaxis = { title: { text: "step", standoff: 4 }, range, ...NTM.axis(), ticks: "outside" };
    const data = [];
    let top = total;
    panels.forEach((panel, i) => {
      top -= GAP;
      const y = i === 0 ? "y" : `y${i + 1}`;
      const domain = [(top - panel.height) / total, top / total];
      layout[i === 0 ? "yaxis" : `yaxis${i + 1}`] = {
        domain, anchor: "x", ...NTM.axis(), nticks: panel.height < 60 ? 3 : 5,
        ...(panel.reversed ? { range: [panel.rows - 0.5, -0.5], showgrid: false, showticklabels: panel.rows > 1 } : {}),
        ...(panel.range ? { range: panel.range } : {}),
      };
      panel.traces.forEach((trace) => data.push({ ...trace, xaxis: "x", yaxis: y, showlegend: Boolean(panel.legend), legend: `legend${i + 1}` }));
      layout.shapes.push(...NTM.frame("x", y, panel.reversed));
      const spans = panel.spans && episode.spans.length > 1 ? spanShapes(episode, y, c) : { shapes: [], labels: [] };
      layout.shapes.push(...spans.shapes);
      layout.annotations.push({ ...NTM.title(panel.title, top / total), yshift: spans.labels.length ? 13 : 0 }, ...spans.labels);
      if (panel.legend) {
        layout[`legend${i + 1}`] = { x: 1, xanchor: "right", y: top / total, yanchor: "bottom", orientation: "h", bgcolor: "rgba(0,0,0,0)", font: { size: 11 } };
        layout.showlegend = true;
      }
      top -= panel.height;
    });
    layout.xaxis.anchor = panels.length === 1 ? "y" : `y${panels.length}`;
    layout.shapes.push({
      type: "line", xref: "x", yref: "paper", x0: options.step, x1: options.step, y0: 0, y1: 1, line: { color: c.cursor, width: 1.5 },
    });
    return { data, layout };
  };

  // Moves the cursor, which is the last shape.
  NTM.moveCursor = (figure, step) => {
    const at = `shapes[${figure.layout.shapes.length - 1}]`;
    return Plotly.relayout(figure, { [`${at}.x0`]: step, [`${at}.x1`]: step });
  };
})();
