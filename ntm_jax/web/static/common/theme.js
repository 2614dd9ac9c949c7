"use strict";
// Colours of the figures in both themes, and what all figures share.
(function () {
  const LIGHT = {
    ink: "#1b1f24", faint: "#5b6470", grid: "#e6e9ee", line: "#b9c0c9", paper: "#ffffff", empty: "#e8ebef", cursor: "#c2410c",
    values: [[0, "#ffffff"], [0.5, "#7fb0dc"], [1, "#08407a"]],
    error: [[0, "#ffffff"], [0.5, "#f2937f"], [1, "#a50f15"]],
    weights: [[0, "#ffffff"], [0.1, "#d9cbf0"], [0.5, "#8656cc"], [1, "#2b0a57"]],
    signed: [[0, "#0b5394"], [0.5, "#ffffff"], [1, "#b1400c"]],
    writes: [[0, "#ffffff"], [0.1, "#f9dde0"], [0.5, "#e3828f"], [1, "#d1495b"]],
    reads: [[0, "#ffffff"], [0.1, "#d6e5ee"], [0.5, "#7ba8c2"], [1, "#2e6f95"]],
    write: ["#d1495b", "#a23b72", "#b3661a", "#7f2f1f"], read: ["#2e6f95", "#1f7a6d", "#4656b3", "#3c6a2b"],
    writeText: "#b8364a", readText: "#2e6f95",
  };
  const DARK = {
    ink: "#e8eaed", faint: "#a9b2bd", grid: "#2b313a", line: "#4a535f", paper: "#15181d", empty: "#2a3039", cursor: "#ffb35c",
    values: [[0, "#0b0d10"], [0.5, "#2f6fa8"], [1, "#a8d8ff"]],
    error: [[0, "#0b0d10"], [0.5, "#b03a2e"], [1, "#ffb3a1"]],
    weights: [[0, "#0b0d10"], [0.1, "#3a2768"], [0.5, "#a273f0"], [1, "#ffeab0"]],
    signed: [[0, "#6cb8ff"], [0.5, "#0b0d10"], [1, "#ff9a5c"]],
    writes: [[0, "#0b0d10"], [0.1, "#3d1a20"], [0.5, "#a8505d"], [1, "#ff8e9c"]],
    reads: [[0, "#0b0d10"], [0.1, "#152a38"], [0.5, "#427f9f"], [1, "#7cc4ee"]],
    write: ["#ff8e9c", "#d08bff", "#f5c542", "#c8805a"], read: ["#7cc4ee", "#63d0bd", "#a9b5ff", "#a5d68a"],
    writeText: "#ff8e9c", readText: "#7cc4ee",
  };
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  NTM.isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  NTM.colours = () => (NTM.isDark() ? DARK : LIGHT);
  NTM.setTheme = (name) => {
    if (name === "light" || name === "dark") root.dataset.theme = name;
    else delete root.dataset.theme;
  };
  NTM.onSystemTheme = (call) => system.addEventListener("change", call);

  // What every layout begins with.
  NTM.layout = (height, margin) => {
    const c = NTM.colours();
    return {
      height,
      margin,
      paper_bgcolor: c.paper,
      plot_bgcolor: c.paper,
      font: { family: "system-ui, sans-serif", size: 12, color: c.ink },
      hoverlabel: { font: { family: "system-ui, sans-serif" } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: c.faint, activecolor: c.ink },
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      showlegend: false,
      shapes: [],
      annotations: [],
    };
  };

  // Only buttons that work offline. Plotly's own `responsive` would forget a figure's height.
  NTM.config = (filename) => ({
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "png", scale: 2, filename },
    doubleClick: "reset",
  });

  // Draws a figure as wide as its place.
  NTM.draw = (figure, { data, layout }, filename) =>
    Plotly.react(figure, data, { ...layout, width: figure.clientWidth }, NTM.config(filename));

  // Calls when an element has become wider or narrower.
  NTM.onWidth = (element, call) => {
    let width = element.clientWidth;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      call();
    });
    observer.observe(element);
    return observer;
  };

  // A heatmap's rows, or groups of them where there are more than can be seen, of each the value furthest from 0.
  // `numbers` are the rows' own, if they are not 0, 1, ...
  NTM.grouped = (rows, most, numbers = rows.map((_, row) => row)) => {
    const size = Math.ceil(rows.length / most);
    const places = { y0: (size - 1) / 2, dy: size };
    if (size <= 1) return { z: rows, text: rows.map((row, i) => row.map(() => numbers[i])), ...places, label: "row %{text}" };
    const further = (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);
    const [z, text] = [[], []];
    for (let from = 0; from < rows.length; from += size) {
      const group = rows.slice(from, from + size);
      z.push(group[0].map((_, i) => group.reduce((value, row) => further(value, row[i]), 0)));
      text.push(group[0].map(() => `${numbers[from]} to ${numbers[from + group.length - 1]}`));
    }
    return { z, text, ...places, label: "rows %{text}" };
  };

  NTM.axis = () => {
    const c = NTM.colours();
    return { color: c.faint, gridcolor: c.grid, zeroline: false };
  };

  // A line around a panel, so that white cells do not melt into a white page; and, for a heatmap, what is seen
  // where it has no cells.
  NTM.frame = (x, y, hasCells) => {
    const place = { type: "rect", xref: `${x} domain`, yref: `${y} domain`, x0: 0, x1: 1, y0: 0, y1: 1 };
    const c = NTM.colours();
    const frame = { ...place, layer: "above", fillcolor: "rgba(0,0,0,0)", line: { width: 1, color: c.line } };
    return hasCells ? [{ ...place, layer: "below", fillcolor: c.empty, line: { width: 0 } }, frame] : [frame];
  };

  NTM.title = (text, y, x = 0) => ({
    text, x, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false,
    font: { size: 12, color: NTM.colours().ink },
  });

  NTM.fixed = (x, digits = 4) => (Math.abs(x) < 1e-4 && x !== 0 ? x.toExponential(2) : String(Number(x.toPrecision(digits))));
  // With the zeros at its end, which tell how exact it is and keep a column's numbers under each other.
  NTM.digits = (x, digits) => (Math.abs(x) < 10 ** digits ? x.toPrecision(digits) : NTM.fixed(x, digits));
  NTM.count = (n) => n.toLocaleString("en");
  NTM.plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  // ---- Colours for a canvas

  const SHADES = 256;
  const tables = new Map();

  // Of a colour scale, 256 shades as r, g, b, one after another.
  NTM.table = (scale) => {
    if (!tables.has(scale)) {
      const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      const table = new Uint8Array(3 * SHADES);
      for (let i = 0; i < SHADES; i++) {
        const at = i / (SHADES - 1);
        const next = Math.max(1, scale.findIndex(([place]) => place >= at));
        const [[from, low], [to, high]] = [scale[next - 1], scale[next]];
        const [a, b] = [parts(low), parts(high)];
        for (let k = 0; k < 3; k++) table[3 * i + k] = Math.round(a[k] + ((b[k] - a[k]) * (at - from)) / (to - from));
      }
      tables.set(scale, table);
    }
    return tables.get(scale);
  };

  // A function from 0 to 1 to a colour.
  NTM.ramp = (scale) => {
    const table = NTM.table(scale);
    return (x) => {
      const i = 3 * Math.min(SHADES - 1, Math.max(0, Math.round(x * (SHADES - 1))));
      return `rgb(${table[i]}, ${table[i + 1]}, ${table[i + 2]})`;
    };
  };
})();
