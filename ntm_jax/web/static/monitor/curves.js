"use strict";
// The training curves, one under another over updates.
(function () {
  const GAP = 32;
  const EDGE = 0.012; // of the width, beside the first and the last point, that their marks are whole
  const BELOW = 0.06; // of the greatest value
  const FAR = 2.5; // times the usual distance of two points

  const PANELS = (c) => [
    {
      title: "bits per sequence", height: 230, log: true,
      lines: [
        { name: "training", rows: "rows", value: "loss_bits_per_sequence", colour: c.read[0] },
        { name: "evaluation", rows: "evaluation", value: "bits_per_sequence", colour: c.write[0], markers: true },
      ],
    },
    {
      title: "wrong bits per sequence", height: 130, quiet: true, low: true,
      lines: [
        { name: "training", rows: "rows", value: "bit_errors_per_sequence", colour: c.read[0] },
        { name: "evaluation", rows: "evaluation", value: "bit_errors_per_sequence", colour: c.write[0], markers: true },
      ],
    },
    { title: "gradient norm, before clipping", height: 110, log: true, lines: [{ name: "gradient norm", rows: "rows", value: "gradient_norm", colour: c.read[1] }] },
    { title: "learning rate", height: 90, lines: [{ name: "learning rate", rows: "rows", value: "learning_rate", colour: c.read[2] }] },
    { title: "sequences per second", height: 90, axis: { tickformat: "," }, lines: [{ name: "sequences/s", rows: "speed", value: "speed", colour: c.read[3] }] },
  ];

  // From a little below 0, so that marks at 0 are whole.
  const fromBelow = (values) => {
    const most = values.reduce((a, b) => Math.max(a, b || 0), 0) || 1;
    return [-BELOW * most, (1 + BELOW) * most];
  };

  // "6.04×10⁻⁶", as an axis has it.
  NTM.power = (x) => {
    const [number, exponent] = x.toExponential(2).split("e");
    const raised = [...String(Number(exponent))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
    return `${Number(number)}×10${raised}`;
  };

  // From each row to the next.
  NTM.speed = (rows) =>
    rows.slice(1).map((row, i) => ({
      update: row.update,
      speed: row.seconds > rows[i].seconds ? (row.sequences - rows[i].sequences) / (row.seconds - rows[i].seconds) : null,
    }));

  // Without a value between points that are much further apart than usual, so that no line claims what nobody measured.
  // Of two points alone nobody knows what is usual.
  NTM.withGaps = (rows) => {
    const gaps = rows.slice(1).map((row, i) => row.update - rows[i].update);
    const usual = gaps.length > 1 ? [...gaps].sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)] : 0;
    return rows.flatMap((row, i) => (i > 0 && gaps[i - 1] > FAR * usual ? [{ update: (row.update + rows[i - 1].update) / 2 }, row] : [row]));
  };

  // numbers: {rows, evaluation}, as the server sends them.
  // In a narrow figure, the legend needs a line of its own.
  NTM.trainingCurves = (numbers, updates, wide = true) => {
    const c = NTM.colours();
    const panels = PANELS(c);
    const all = { ...numbers, speed: NTM.speed(numbers.rows) };
    const room = wide ? 0 : 16;
    const total = panels.reduce((sum, p) => sum + p.height + GAP, room);
    const layout = NTM.layout(total + 44 + 24, { l: 58, r: 30, t: 24, b: 44 });
    const last = Math.max(1, ...all.rows.map((row) => row.update));
    const axis = NTM.axis();
    layout.uirevision = "kept"; // a zoom stays when points are added
    layout.xaxis = { ...axis, title: { text: `update (of ${NTM.count(updates)})`, standoff: 4 }, range: [-EDGE * last, (1 + EDGE) * last], ticks: "outside", tickformat: ",", tickangle: 0, nticks: wide ? 7 : 4, anchor: `y${panels.length}` };
    layout.showlegend = true;
    const data = [];
    let top = total;
    panels.forEach((panel, i) => {
      top -= i === 0 ? GAP + room : GAP;
      const y = i === 0 ? "y" : `y${i + 1}`;
      layout[i === 0 ? "yaxis" : `yaxis${i + 1}`] = {
        ...axis, domain: [(top - panel.height) / total, top / total], anchor: "x", nticks: panel.height > 150 ? 6 : 3, type: panel.log ? "log" : "linear",
        exponentformat: "power", ...(panel.log ? { tickformat: ",~g" } : { rangemode: "tozero", ...panel.axis }),
      };
      layout.shapes.push(...NTM.frame("x", y, false));
      layout.annotations.push({ ...NTM.title(panel.title, top / total), yshift: i === 0 ? room : 0 });
      if (panel.low) layout[i === 0 ? "yaxis" : `yaxis${i + 1}`].range = fromBelow(panel.lines.flatMap((line) => all[line.rows].map((row) => row[line.value])));
      const legend = i === 0 ? "legend" : `legend${i + 1}`;
      layout[legend] = { x: wide ? 1 : 0, xanchor: wide ? "right" : "left", y: top / total, yanchor: "bottom", orientation: "h", bgcolor: "rgba(0,0,0,0)", font: { size: 11 } };
      for (const line of panel.lines) {
        const rows = NTM.withGaps(all[line.rows]);
        const positive = (value) => (value === undefined || (panel.log && !(value > 0)) ? null : value);
        const marked = line.markers || all[line.rows].length < 3; // which have no line
        data.push({
          type: "scatter", mode: marked ? "lines+markers" : "lines", name: line.name, x: rows.map((row) => row.update),
          y: rows.map((row) => positive(row[line.value])), xaxis: "x", yaxis: y, legend, showlegend: panel.lines.length > 1 && !panel.quiet,
          line: { color: line.colour, width: 1.8 }, marker: { size: 5, color: line.colour },
          hovertemplate: `update %{x}<br>${line.name} %{y:.4~g}<extra></extra>`,
        });
      }
      top -= panel.height;
    });
    return { data, layout };
  };
})();
