"use strict";
// What can be kept of a run's part of the page: pictures that say what they show, and all numbers.
(function () {
  const WIDTH = 1200; // of a picture, whatever the window's

  const AXES = {
    inputs: ["step", "input channel"], targets: ["step", "output channel"], probabilities: ["step", "output channel"], optimal: ["step", "output channel"],
    mask: ["step"], read_weightings: ["step", "read head", "row"], write_weightings: ["step", "write head", "row"], reads: ["step", "read head", "column"],
    key: ["step", "head", "column"], strength: ["step", "head"], gate: ["step", "head"], shift: ["step", "head", "move"], sharpening: ["step", "head"],
    erase: ["step", "write head", "column"], add: ["step", "write head", "column"], memory: ["step", "row", "column"], first_memory: ["row", "column"],
    first_weightings: ["head", "row"],
  };

  const caption = (episode) =>
    `${episode.name} (${episode.task}), ${NTM.described(episode)}${episode.rows ? `, ${episode.rows} rows` : ""}${episode.update ? `, update ${episode.update}` : ""}`;

  // The figure over time with a caption, and the colour keys that the page has beside it.
  function captioned(column) {
    const { episode, rows } = column;
    const { range, scales, errors } = column.on.view();
    const { data, layout } = NTM.overTime(episode, { range, wide: true, rows, scales, errors, dense: true, step: column.step });
    const c = NTM.colours();
    const keys = new Map([[c.values, "bits"], [c.error, "error"], [c.writes, "write weight"], [c.reads, "read weight"]]);
    let count = 0;
    for (const trace of data) {
      const name = keys.get(trace.colorscale);
      if (trace.type !== "heatmap" || !name) continue;
      keys.delete(trace.colorscale);
      trace.showscale = true;
      trace.colorbar = {
        orientation: "h", len: 0.2, thickness: 9, x: 0.11 + 0.25 * count++, y: 1, yanchor: "bottom", yref: "container", ypad: 30, outlinewidth: 0,
        title: { text: name, side: "top", font: { size: 11 } }, tickvals: [0, 1], tickfont: { size: 10 },
      };
      trace.colorbar.y = (layout.height + 40) / (layout.height + 84);
    }
    layout.margin.t += 84;
    layout.height += 84;
    layout.title = { text: caption(episode), x: 0.01, xanchor: "left", y: 1, yanchor: "top", pad: { t: 10 }, font: { size: 14 } };
    return { data, layout: { ...layout, width: WIDTH } };
  }

  async function overTime(column, format) {
    const { data, layout } = captioned(column);
    const place = document.createElement("div");
    try {
      await Plotly.newPlot(place, data, layout);
      await Plotly.downloadImage(place, { format, width: WIDTH, height: layout.height, scale: format === "png" ? 2 : 1, filename: `${column.filename}-over_time` });
    } finally {
      Plotly.purge(place);
    }
  }

  // The step's canvas under its caption.
  function step(column) {
    const from = column.stage.canvas;
    const [ratio, c] = [column.stage.ratio, NTM.colours()];
    const picture = document.createElement("canvas");
    const head = Math.round(44 * ratio);
    Object.assign(picture, { width: from.width + 20 * ratio, height: from.height + head + 10 * ratio });
    const g = picture.getContext("2d");
    g.fillStyle = c.paper;
    g.fillRect(0, 0, picture.width, picture.height);
    g.fillStyle = c.ink;
    g.font = `${12 * ratio}px system-ui, sans-serif`;
    g.fillText(caption(column.episode), 10 * ratio, 18 * ratio, from.width);
    g.fillText(NTM.stepSentence(column.episode, column.step), 10 * ratio, 35 * ratio, from.width);
    g.drawImage(from, 10 * ratio, head);
    picture.toBlob((blob) => NTM.download(`${column.filename}-step_${column.step}.png`, "image/png", blob));
  }

  function json(column) {
    const { memoryScale, vectorScale, id, ...episode } = column.episode;
    const arrays = Object.fromEntries(Object.entries(episode.arrays).map(([name, array]) => [name, array.nested()]));
    const axes = Object.fromEntries(Object.keys(arrays).map((name) => [name, AXES[name]]));
    const heads = NTM.heads(column.episode.arrays).map((head) => head.name);
    NTM.download(`${column.filename}.json`, "application/json", JSON.stringify({ ...episode, axes, heads, arrays }));
  }

  NTM.downloads = (column) => {
    const button = (text, call) => {
      const made = NTM.element("button", { type: "button" }, text);
      made.addEventListener("click", call);
      return made;
    };
    const buttons = NTM.element(
      "p", { class: "buttons" },
      button("PNG over time", () => overTime(column, "png")),
      button("SVG over time", () => overTime(column, "svg")),
      button("PNG of the step", () => column.hasMemory && step(column)),
      button("JSON", () => json(column)),
    );
    return NTM.element("details", { class: "save" }, NTM.element("summary", {}, "Save"), buttons);
  };
})();
