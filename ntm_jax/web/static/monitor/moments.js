"use strict";
// One episode over training: a slider over the moments of a run, and what the model did at each.
(function () {
  const HIGHEST = 240; // pixels of a picture
  const LINE = 14; // pixels of a picture of one row
  const FAINT = 0.2; // the largest weight below which hardly anything is seen
  const EVERY = 400; // milliseconds between two moments while it plays

  const MEANING = "A stronger colour means a larger value, from 0 to 1. Grey: no answer is asked for.";
  const ROWS = " Rows of memory are those in use, from the top down.";

  const create = (name, text, more) => Object.assign(document.createElement(name), text === undefined ? {} : { textContent: text }, more);

  // rows[row][step]: values from 0 to 1, null where nothing is scored.
  function paint(canvas, { rows, scale, height: high }) {
    const table = NTM.table(scale);
    const empty = [1, 3, 5].map((i) => parseInt(NTM.colours().empty.slice(i, i + 2), 16));
    const [height, width] = [rows.length, rows[0].length];
    Object.assign(canvas, { height, width });
    canvas.style.height = `${high ?? Math.min(HIGHEST, Math.max(40, 7 * height))}px`;
    const image = new ImageData(width, height);
    rows.forEach((row, y) =>
      row.forEach((value, x) => {
        const place = 3 * Math.round(255 * Math.min(1, Math.max(0, value)));
        for (let i = 0; i < 3; i++) image.data[4 * (y * width + x) + i] = value === null ? empty[i] : table[place + i];
        image.data[4 * (y * width + x) + 3] = 255;
      }),
    );
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // The greatest of each block of rows, so that a thin line keeps its pixels when there are more rows than those.
  function pooled(rows, most) {
    const size = Math.ceil(rows.length / most);
    const result = [];
    for (let from = 0; from < rows.length; from += size) {
      const block = rows.slice(from, from + size);
      result.push(block[0].map((_, step) => Math.max(...block.map((row) => row[step]))));
    }
    return result;
  }

  function channels(array, mask) {
    const [steps, count] = array.shape;
    return Array.from({ length: count }, (_, c) =>
      Array.from({ length: steps }, (_, t) => (mask === null || mask.at(t) > 0 ? array.at(t, c) : null)),
    );
  }

  // Rows from the top down. Memory is a circle, of which a head may walk over the end.
  function rowsText(rows, count) {
    const last = rows[rows.length - 1];
    const span = (from, to) => (from === to ? `${from}` : `${from} to ${to}`);
    if (rows[0] <= last) return `rows ${span(rows[0], last)}`;
    return `rows ${span(rows[0], count - 1)}, then ${span(0, last)}`;
  }

  // What a picture that looks empty leaves unsaid: its head is nowhere in particular.
  function faint(weights) {
    const most = weights.reduce((a, row) => Math.max(a, ...row), 0);
    return most < FAINT ? `; largest weight ${NTM.fixed(most, 2)}` : "";
  }

  // Heads that read and write have one weighting for both. Moments of earlier versions do not say so.
  function heads({ arrays, addressings = Infinity }, rows) {
    const pictures = [];
    const shared = addressings < arrays.write_weightings.shape[1] + arrays.read_weightings.shape[1];
    for (const kind of shared ? ["write"] : ["write", "read"]) {
      const array = arrays[`${kind}_weightings`];
      const [steps, count, all] = array.shape;
      for (let head = 0; head < count; head++) {
        const weights = rows.map((row) => Array.from({ length: steps }, (_, t) => array.at(t, head, row)));
        const name = `${shared ? "read and write" : kind} weighting${count > 1 ? `, head ${head + 1}` : ""}`;
        pictures.push({ name: `${name}, ${rowsText(rows, all)}${faint(weights)}`, rows: pooled(weights, HIGHEST), scale: NTM.colours()[`${kind}s`] });
      }
    }
    return pictures;
  }

  // What is 0 or 1, and below it a count or a priority, which may be negative, each from the least to the greatest.
  function inputPictures(rows, names, scale) {
    const isNumber = rows.map((row) => row.some((x) => x !== 0 && x !== 1));
    const bits = rows.filter((_, i) => !isNumber[i]);
    const numbers = rows.flatMap((row, i) => {
      if (!isNumber[i]) return [];
      const most = Math.max(...row.map(Math.abs));
      const name = `input: ${names[i]} (−${NTM.fixed(most, 3)} to ${NTM.fixed(most, 3)})`;
      return [{ name, rows: [row.map((x) => 0.5 + x / (2 * most))], scale: NTM.colours().signed, height: LINE }];
    });
    return [...(bits.length ? [{ name: "input", rows: bits, scale }] : []), ...numbers];
  }

  function pictures(moment, rows) {
    const { inputs, targets, mask, probabilities } = moment.arrays;
    const scale = NTM.colours().values;
    const list = [
      ...inputPictures(channels(inputs, null), moment.input_channels, scale),
      { name: "target", rows: channels(targets, mask), scale },
      { name: "prediction", rows: channels(probabilities, mask), scale },
    ];
    return rows ? [...list, ...heads(moment, rows)] : list;
  }

  // What became of an episode, in words.
  NTM.episodeWords = ({ update, scores }) =>
    `after update ${NTM.count(update)}: ${NTM.plural(scores.wrong_bits, "wrong bit")} of ${NTM.count(scores.scored_bits)}, cost ${NTM.fixed(scores.bits)} bits`;

  // get(update) fetches a moment. Gives {show(updates), redraw()}; the element is filled once.
  NTM.moments = (element, get) => {
    const cache = new Map();
    let [updates, at, shown, follow, timer] = [[], 0, null, true, null];
    element.className = "moments";
    const player = create("div", undefined, { className: "player" });
    const play = create("button", "Play", { type: "button" });
    const slider = create("input", undefined, { type: "range", min: 0, value: 0 });
    slider.setAttribute("aria-label", "Moment of training");
    const text = create("p", "", { className: "summary" });
    text.setAttribute("role", "status");
    const save = create("button", "Picture (PNG)", { type: "button" });
    const figures = create("div");
    const scale = create("p", undefined, { className: "scale" }); // of the steps, below all pictures
    const meaning = create("p", "", { className: "summary" });
    player.append(play, slider, save);
    element.append(player, text, figures, scale, meaning);

    // A promise of a moment, asked for once, and again only if there was no answer.
    function fetched(update) {
      if (!cache.has(update)) {
        const asked = get(update).then(NTM.unpackAll);
        asked.catch(() => cache.delete(update));
        cache.set(update, asked);
      }
      return cache.get(update);
    }

    async function draw() {
      const wanted = updates[at];
      if (wanted === undefined) return;
      let [moment, last] = [null, null];
      try {
        [moment, last] = await Promise.all([fetched(wanted), fetched(updates[updates.length - 1])]);
      } catch (error) {
        text.textContent = `update ${NTM.count(wanted)} is not there any more`;
        return;
      }
      if (updates[at] !== wanted) return; // the slider has moved on
      shown = moment;
      const rows = last.arrays.read_weightings.values.length ? NTM.shownRows(last) : null;
      const list = pictures(moment, rows);
      while (figures.children.length > list.length) figures.lastChild.remove();
      list.forEach((picture, i) => {
        if (!figures.children[i]) {
          const figure = create("figure");
          figure.append(create("figcaption"), create("canvas"));
          figures.append(figure);
        }
        const [caption, canvas] = figures.children[i].children;
        caption.textContent = picture.name;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${picture.name}, ${NTM.episodeWords(moment)}`);
        paint(canvas, picture);
      });
      const end = moment.arrays.inputs.shape[0] - 1;
      scale.replaceChildren(...["step 0", Math.round(end / 2), end].map((step) => create("span", step)));
      meaning.textContent = `${MEANING}${rows ? ROWS : ""}`;
      text.textContent = NTM.episodeWords(moment);
      slider.setAttribute("aria-valuetext", NTM.episodeWords(moment));
    }

    function move(to) {
      at = Math.max(0, Math.min(updates.length - 1, to));
      follow = at === updates.length - 1;
      slider.value = at;
      return draw();
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    }

    play.addEventListener("click", () => {
      if (timer) return stop();
      if (at === updates.length - 1) move(0);
      play.textContent = "Pause";
      timer = setInterval(() => (at < updates.length - 1 ? move(at + 1) : stop()), EVERY);
    });
    slider.addEventListener("input", () => {
      stop();
      move(Number(slider.value));
    });
    save.addEventListener("click", () => shown && NTM.saveMoment(figures, shown, NTM.episodeWords(shown)));

    return {
      redraw: draw,
      // At the end, the slider follows what comes; elsewhere it stays at its update.
      show: (list) => {
        if (list.join() === updates.join()) return;
        const before = updates[at];
        updates = list;
        list.forEach(fetched); // all of them, for training's server ends with it
        slider.max = Math.max(0, list.length - 1);
        const nearest = list.findIndex((update) => update >= before);
        move(follow || nearest < 0 ? list.length - 1 : nearest);
      },
    };
  };

  // All pictures under one another as a PNG, with their names, the task, the update and what the colours mean.
  NTM.saveMoment = (figures, moment, words) => {
    const [width, margin, line] = [1200, 20, 26];
    const parts = [...figures.children].map((figure) => ({
      name: figure.firstChild.textContent, canvas: figure.lastChild, height: 2 * parseFloat(figure.lastChild.style.height),
    }));
    const whole = document.createElement("canvas");
    whole.width = width;
    whole.height = parts.reduce((sum, part) => sum + part.height + 1.6 * line, 3 * line + margin);
    const pen = whole.getContext("2d");
    const style = getComputedStyle(document.body);
    pen.fillStyle = style.backgroundColor;
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = pen.strokeStyle = style.color;
    pen.font = "20px system-ui, sans-serif";
    pen.fillText(`${document.title.split(":")[0]} (${moment.task}), ${words}`, margin, line);
    pen.fillText("From the paper's colour (0) to the full colour (1). Red: write weights, blue: read weights and bits.", margin, 2 * line);
    let top = 3 * line;
    for (const part of parts) {
      pen.fillText(part.name, margin, top + 8);
      top += 0.7 * line;
      pen.drawImage(part.canvas, margin, top, width - 2 * margin, part.height);
      pen.strokeRect(margin, top, width - 2 * margin, part.height);
      top += part.height + 0.9 * line;
    }
    whole.toBlob((content) => NTM.download(`${moment.task}-update-${moment.update}.png`, "image/png", content));
  };
})();
