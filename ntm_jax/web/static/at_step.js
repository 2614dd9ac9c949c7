"use strict";
// What happened at one step: the memory after it, what changed, and every head's weighting beside the rows.
(function () {
  const STRIP = 15; // pixels for each vector
  const MOST_ROWS = 512; // of memory, each a pixel high at least

  const rowsOf = (array) => Array.from({ length: array.shape[0] }, (_, i) => Array.from(array.part(i).values));

  function largest(values) {
    let most = 0;
    for (const x of values) most = Math.max(most, Math.abs(x));
    return most || 1;
  }

  // The scales stay the same from step to step, or nothing could be compared.
  NTM.prepareSteps = (episode) => {
    const { memory, reads, add, first_memory: first } = episode.arrays;
    if (!memory) return;
    episode.memoryScale = Math.max(largest(memory.values), largest(first.values));
    episode.vectorScale = Math.max(largest(reads.values), largest(add.values), 1);
  };

  function signed(z, most, c, template) {
    return {
      type: "heatmap", z, zmin: -most, zmax: most, colorscale: c.signed, showscale: false, hovertemplate: template,
    };
  }

  function vectors(episode, step) {
    const { erase, add, reads, write_weightings: write } = episode.arrays;
    const number = (n, i) => (n > 1 ? ` ${i + 1}` : "");
    const writes = [];
    for (let i = 0; i < write.shape[1]; i++) {
      writes.push([`erase${number(write.shape[1], i)}`, erase.part(step).part(i).values]);
      writes.push([`add${number(write.shape[1], i)}`, add.part(step).part(i).values]);
    }
    const read = Array.from({ length: reads.shape[1] }, (_, i) => [
      `read${number(reads.shape[1], i)}`, reads.part(step).part(i).values,
    ]);
    return { writes, read };
  }

  function strip(list, most, c, axes) {
    const names = list.map(([name]) => name);
    return {
      ...signed(list.map(([, values]) => Array.from(values)), most, c, "%{text}, column %{x}<br>%{z:.4~g}<extra></extra>"),
      text: list.map(([name, values]) => Array.from(values, () => name)), y: names, ...axes,
    };
  }

  NTM.atStep = (episode, step, wide) => {
    const c = NTM.colours();
    const { memory, first_memory: first, read_weightings: read, write_weightings: write } = episode.arrays;
    const after = memory.part(step);
    const before = step > 0 ? memory.part(step - 1) : first;
    const change = new NTM.NdArray(after.shape, after.values.map((x, i) => x - before.values[i]));
    const { writes, read: reads } = vectors(episode, step);
    const strips = STRIP * Math.max(writes.length, reads.length) + 6;
    const body = Math.min(620, Math.max(240, 5 * after.shape[0]));
    const [gapTop, middle, margin] = [48, 50, 44];
    const total = gapTop + strips + middle + body;
    const layout = NTM.layout(total + margin, { l: wide ? 40 : 30, r: 8, t: 0, b: margin });
    const [stripTop, bodyTop] = [1 - gapTop / total, body / total];
    const columns = wide ? [[0, 0.2], [0.27, 0.61], [0.69, 1]] : [[0, 0.2], [0.31, 0.63], [0.68, 1]];
    const axis = NTM.axis();
    const rowRange = [after.shape[0] - 0.5, -0.5];
    Object.assign(layout, {
      xaxis: { ...axis, domain: columns[0], range: [0, 1.02], anchor: "y", nticks: 3, title: { text: "weight", standoff: 4 } },
      xaxis2: { ...axis, domain: columns[1], anchor: "y", showgrid: false, nticks: 5, title: { text: "column", standoff: 4 } },
      xaxis3: { ...axis, domain: columns[2], anchor: "y", showgrid: false, nticks: 5, title: { text: "column", standoff: 4 } },
      yaxis: { ...axis, domain: [0, bodyTop], range: rowRange, showgrid: false, anchor: "x" },
      yaxis2: { ...axis, domain: [stripTop - strips / total, stripTop], anchor: "x2", autorange: "reversed", showgrid: false, tickfont: { size: 10 } },
      yaxis3: { ...axis, domain: [stripTop - strips / total, stripTop], anchor: "x3", autorange: "reversed", showgrid: false, tickfont: { size: 10 }, side: wide ? "left" : "right" },
      barmode: "overlay",
    });
    if (wide) layout.xaxis3.domain = [0.7, 1];
    else layout.margin.r = 40;
    for (const [x, y] of [["x", "y"], ["x2", "y"], ["x3", "y"], ["x2", "y2"], ["x3", "y3"]]) layout.shapes.push(...NTM.frame(x, y, false));
    layout.annotations = [
      NTM.title("weightings", bodyTop),
      NTM.title(wide ? "memory after the step" : "memory after", bodyTop, layout.xaxis2.domain[0]),
      NTM.title("change", bodyTop, layout.xaxis3.domain[0]),
      NTM.title("what was read", stripTop, layout.xaxis2.domain[0]),
      NTM.title("what was written", stripTop, layout.xaxis3.domain[0]),
    ];
    const rows = (array, axis) => {
      const { label, z, ...places } = NTM.grouped(rowsOf(array), MOST_ROWS);
      const template = `${label}, column %{x}<br>%{z:.4~g}<extra></extra>`;
      return { ...signed(z, episode.memoryScale, c, template), ...places, xaxis: axis, yaxis: "y" };
    };
    const data = [
      rows(after, "x2"),
      rows(change, "x3"),
      strip(reads, episode.vectorScale, c, { xaxis: "x2", yaxis: "y2" }),
      strip(writes, episode.vectorScale, c, { xaxis: "x3", yaxis: "y3" }),
    ];
    for (const [kind, array] of [["write", write], ["read", read]]) {
      for (let i = 0; i < array.shape[1]; i++) {
        const name = `${kind}${array.shape[1] > 1 ? ` ${i + 1}` : ""}`;
        const x = Array.from(array.part(step).part(i).values);
        data.push({
          type: "scatter", mode: "lines+markers", x, y: x.map((_, row) => row), name, xaxis: "x", yaxis: "y",
          line: { color: c[kind][i % c[kind].length], width: 1.6, dash: kind === "read" ? "dot" : "solid" },
          marker: { size: 3, color: c[kind][i % c[kind].length] },
          hovertemplate: `${name}, row %{y}<br>weight %{x:.4~g}<extra></extra>`,
        });
      }
    }
    return { data, layout };
  };

  // Priority sort: where each item was written, against its priority.
  NTM.sorted = (episode) => {
    const c = NTM.colours();
    const { inputs, mask, write_weightings: write } = episode.arrays;
    const steps = [];
    for (let t = 0; inputs.at(t, episode.priority_channel + 1) === 0; t++) steps.push(t);
    const priorities = steps.map((t) => inputs.at(t, episode.priority_channel));
    const kept = mask.values.reduce((sum, x) => sum + x, 0);
    const least = [...priorities].sort((a, b) => b - a)[kept - 1];
    const layout = NTM.layout(350, { l: 50, r: 10, t: 56, b: 72 });
    layout.annotations = [NTM.title("where each item was written, by its priority", 1)];
    layout.xaxis = { title: { text: "priority", standoff: 4 }, ...NTM.axis() };
    layout.yaxis = { title: { text: "memory row" }, ...NTM.axis(), autorange: "reversed" };
    layout.legend = { x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom", orientation: "h" };
    layout.showlegend = true;
    const data = [];
    for (let i = 0; i < write.shape[1]; i++) {
      for (const [label, has, symbol] of [["to be given back", (p) => p >= least, "circle"], ["to be left out", (p) => p < least, "circle-open"]]) {
        const chosen = steps.filter((t) => has(priorities[t]));
        data.push({
          type: "scatter", mode: "markers", name: label, legendgroup: label, showlegend: i === 0,
          x: chosen.map((t) => priorities[t]), y: chosen.map((t) => NTM.strongest(write.part(t).part(i).values).row),
          customdata: chosen, marker: { symbol, size: 9, color: c.write[i % c.write.length] },
          hovertemplate: `item %{customdata}, priority %{x:.3f}<br>head ${i + 1}, row %{y}<extra></extra>`,
        });
      }
    }
    return { data, layout };
  };

  NTM.strongest = (values) => {
    let row = 0;
    for (let i = 1; i < values.length; i++) if (values[i] > values[row]) row = i;
    return { row, weight: values[row] };
  };
})();
