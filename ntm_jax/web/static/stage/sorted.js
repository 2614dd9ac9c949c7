"use strict";
// Priority sort: where each item was written, against its priority.
(function () {
  const LEAST_WEIGHT = 0.1; // of a row that counts as written to
  const BODY = 222; // height in pixels
  const [NARROW, LEGEND_LINE] = [480, 20]; // pixels: a narrower legend has a name a line, each so high

  // A figure of Plotly, `width` pixels wide.
  NTM.sorted = (episode, width) => {
    const c = NTM.colours();
    const { inputs, mask, write_weightings: write } = episode.arrays;
    const steps = [];
    for (let t = 0; inputs.at(t, episode.priority_channel + 1) === 0; t++) steps.push(t);
    const priorities = steps.map((t) => inputs.at(t, episode.priority_channel));
    const kept = mask.values.reduce((sum, x) => sum + x, 0);
    const least = [...priorities].sort((a, b) => b - a)[kept - 1];
    const layout = NTM.layout(0, { l: 50, r: 10, t: 56, b: 0 });
    layout.annotations = [NTM.title("where each item was written, by its priority", 1)];
    layout.xaxis = { title: { text: "priority", standoff: 4 }, ...NTM.axis() };
    layout.yaxis = { title: { text: "memory row" }, ...NTM.axis(), autorange: "reversed" };
    layout.legend = { x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom", orientation: "h" };
    layout.showlegend = true;
    const data = [];
    for (let i = 0; i < write.shape[1]; i++) {
      for (const [label, has, symbol] of [["to be given back", (p) => p >= least, "circle"], ["to be left out", (p) => p < least, "circle-open"]]) {
        const at = (t) => NTM.strongest(write.part(t).part(i).values);
        // A head that is nowhere in particular has no place to show.
        const chosen = steps.filter((t) => has(priorities[t]) && at(t).weight >= LEAST_WEIGHT);
        const head = write.shape[1] > 1 ? `head ${i + 1}, ` : "";
        data.push({
          type: "scatter", mode: "markers", name: `${head}${label}`, showlegend: chosen.length > 0,
          x: chosen.map((t) => priorities[t]), y: chosen.map((t) => at(t).row), customdata: chosen.map((t) => [t, at(t).weight]),
          marker: { symbol, size: 9, color: c.write[i % c.write.length], opacity: chosen.map((t) => Math.max(0.25, at(t).weight)) },
          hovertemplate: `item %{customdata[0]}, priority %{x:.3f}<br>${head}row %{y}, weight %{customdata[1]:.2f}<extra></extra>`,
        });
      }
    }
    const lines = Math.ceil(data.filter((trace) => trace.showlegend).length / (width < NARROW ? 1 : 2));
    layout.margin.b = 48 + LEGEND_LINE * lines;
    layout.height = layout.margin.t + BODY + layout.margin.b;
    return { data, layout };
  };
})();
