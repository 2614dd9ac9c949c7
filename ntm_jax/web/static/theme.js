"use strict";
// Colours of the figures in both themes, and what all figures share.
(function () {
  const LIGHT = {
    ink: "#1b1f24", faint: "#5b6470", grid: "#e6e9ee", line: "#b9c0c9", paper: "#ffffff", empty: "#e8ebef", cursor: "#c2410c",
    values: [[0, "#ffffff"], [0.5, "#7fb0dc"], [1, "#08407a"]],
    error: [[0, "#ffffff"], [0.5, "#f2937f"], [1, "#a50f15"]],
    weights: [[0, "#ffffff"], [0.1, "#d9cbf0"], [0.5, "#8656cc"], [1, "#2b0a57"]],
    signed: [[0, "#0b5394"], [0.5, "#ffffff"], [1, "#b1400c"]],
    write: ["#b1400c", "#7a2e5d", "#8a6100", "#5e4b00"], read: ["#0b5f9e", "#00695c", "#3f4fb0", "#2f5d1e"],
  };
  const DARK = {
    ink: "#e8eaed", faint: "#a9b2bd", grid: "#2b313a", line: "#4a535f", paper: "#15181d", empty: "#2a3039", cursor: "#ffb35c",
    values: [[0, "#0b0d10"], [0.5, "#2f6fa8"], [1, "#a8d8ff"]],
    error: [[0, "#0b0d10"], [0.5, "#b03a2e"], [1, "#ffb3a1"]],
    weights: [[0, "#0b0d10"], [0.1, "#3a2768"], [0.5, "#a273f0"], [1, "#ffeab0"]],
    signed: [[0, "#6cb8ff"], [0.5, "#0b0d10"], [1, "#ff9a5c"]],
    write: ["#ff9a5c", "#e8c547", "#f29ac9", "#d9b98c"], read: ["#6cb8ff", "#4fd1b5", "#a9b5ff", "#a5d68a"],
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
  NTM.grouped = (rows, most) => {
    const size = Math.ceil(rows.length / most);
    const places = { y0: (size - 1) / 2, dy: size };
    if (size === 1) return { z: rows, ...places, label: "row %{y}" };
    const further = (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);
    const [z, text] = [[], []];
    for (let from = 0; from < rows.length; from += size) {
      const group = rows.slice(from, from + size);
      z.push(group[0].map((_, i) => group.reduce((value, row) => further(value, row[i]), 0)));
      text.push(group[0].map(() => `${from} to ${from + group.length - 1}`));
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

  NTM.fixed = (x) => (Math.abs(x) < 1e-4 && x !== 0 ? x.toExponential(2) : String(Number(x.toPrecision(4))));
})();
