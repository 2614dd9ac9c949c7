"use strict";
// The figures of the acrostics' page: the memory beside a poem, and the picture of a poem to keep.
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const LEAST = 0.02; // weights below are not drawn
  const LEGIBLE = 10; // px of a character
  const USED = 0.1; // the weight from which a row is in use, as in memory_rows.py

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  const written = (x, y, text, options = {}) => element("text", { x, y, "text-anchor": "middle", ...options }, text);

  // The largest weight of any head, of [steps, heads, rows].
  function largest(weightings, step, row) {
    let most = 0;
    for (let head = 0; head < weightings.shape[1]; head++) most = Math.max(most, weightings.at(step, head, row));
    return most;
  }

  // ---- The memory

  // Sizes in px. The rows as written lie above the poem, so that a line from a character goes up and then left to its row;
  // the rows as read lie below them, beside the poem. Both have the same rows. Where the characters at the rows could not be
  // read then, the poem stands between both, and the lines go down in a gutter at the right.
  function sizes(answer, one, width) {
    const lines = one.lines.length;
    const steps = lines * (answer.width + 1);
    const narrow = width < 700;
    const [left, row, title, characters] = [narrow ? 32 : 36, narrow ? 18 : 22, 22, 24];
    const high = one.rows.length * row;
    const under = title + high + characters;
    const beside = Math.max(15, Math.min(narrow ? 25 : 38, (0.42 * width) / lines));
    const stacked = (width - left - lines * beside - 22) / steps < LEGIBLE;
    const column = stacked ? Math.min(30, (width - 4) / lines) : beside;
    const lane = Math.min(4, 60 / lines);
    const margin = stacked ? lines * lane + 6 : lines * column + 22;
    const cell = Math.max(1, Math.min(28, (width - left - margin) / steps));
    const right = left + cell * steps;
    const aside = answer.column ? column / 2 : 0; // for the first line's own, at its right
    const start = stacked ? Math.max(0, right + margin - aside - lines * column) : right + 18;
    const top = stacked ? under + 12 + lines * lane : under;
    const bottom = top + answer.width * (column + 1) + 6;
    const read = (stacked ? bottom : under) + title;
    return {
      steps, row, cell, left, right, high, written: title, read, column, glyph: 0.75 * column, stacked, pitch: (answer.width + 1) * cell,
      width: stacked ? right + margin : start + lines * column + 4,
      height: Math.max(bottom, read + high + characters),
      x: (line) => start + (lines - 1 - line + 0.5) * column,
      y: (place) => top + (place + 0.5) * (column + 1),
      rowY: (panel, index) => panel + (index + 0.5) * row,
      gutter: (line) => right + margin - 2 - line * lane,
      turn: (line) => under + 4 + (lines - 1 - line) * lane,
    };
  }

  function cells(one, arrays, size, symbols, group, index) {
    const row = one.rows[index];
    const panel = (weightings, offset, kind, top, word) => {
      for (let step = 0; step < size.steps; step++) {
        const weight = largest(weightings, offset + step, row);
        if (weight < LEAST) continue;
        const place = { x: size.left + step * size.cell, y: size.rowY(top, index) - size.row / 2 + 1, width: size.cell, height: size.row - 2 };
        const said = `${symbols[step]}: row ${row} is ${word} with weight ${weight.toFixed(2)}`;
        group.append(element("rect", { ...place, class: kind, "fill-opacity": Math.min(1, weight).toFixed(3) }, element("title", {}, said)));
      }
    };
    panel(arrays.write, 0, "write", size.written, "written to");
    panel(arrays.read, size.steps, "read", size.read, "read");
  }

  // From the row's right end along the row to the column, then down beside it to the character.
  function thread(size, answer, line, index) {
    const [x, y, from] = [size.x(line), size.y(answer.column), size.right];
    const way = size.stacked ? `H${size.gutter(line)} V${size.turn(line)} ` : "";
    const end = answer.column === 0 ? `H${x} V${y - size.glyph * 0.62}` : `H${x + size.column / 2} V${y} H${x + size.glyph * 0.56}`;
    return element("path", { class: "thread", d: `M${from} ${size.rowY(size.written, index)} ${way}${end}` });
  }

  function poem(size, answer, one, svg, groups) {
    one.lines.forEach((text, line) => {
      [...text].forEach((c, place) => {
        const given = place === answer.column && groups.has(line);
        const glyph = written(size.x(line), size.y(place), c, {
          class: given ? "han given" : "han", style: `font-size: ${size.glyph}px`, "dominant-baseline": "central", lang: "zh-Hant",
        });
        glyph.append(element("title", {}, one.pinyin[line][place]));
        (given ? groups.get(line) : svg).append(glyph);
      });
    });
  }

  function axis(size, answer, symbols, svg) {
    const shown = symbols.map((c, i) => (answer.places.includes(i) || c === "⏎" ? c : "_"));
    [[shown, size.written, "the form is shown: written to"], [symbols, size.read, "the poem is written: read"]].forEach(([texts, top, title]) => {
      svg.append(element("text", { x: size.left - 6, y: top - 9, "text-anchor": "end", class: "small" }, "row"));
      const fits = size.right - size.left > 150;
      svg.append(element("text", { x: size.left, y: top - 9, class: "small" }, fits ? title : title.split(": ")[1]));
      const all = size.cell >= LEGIBLE;
      if (!all && size.pitch < LEGIBLE) return;
      texts.forEach((c, i) => {
        const given = answer.places.includes(i) ? " given" : "";
        if (!all && !given) return;
        svg.append(written(size.left + (i + 0.5) * size.cell, top + size.high + 14, c, { class: `small han${given}`, style: `font-size: ${Math.min(14, all ? size.cell : size.pitch)}px` }));
      });
    });
    answer.places.forEach((place) => {
      const x = size.left + (place + 0.5) * size.cell;
      svg.append(element("line", { class: "due", x1: x, x2: x, y1: size.read, y2: size.read + size.high }));
    });
  }

  const listed = (words) => [words.slice(0, -1).join(", "), words[words.length - 1]].filter((part) => part !== "").join(" and ");

  // Of the rows in use that hold no red character, why they are shown.
  NTM.otherRows = (one, arrays) => {
    const symbols = one.lines.flatMap((line) => [...line, "⏎"]);
    const steps = Array.from(symbols.keys());
    const held = one.kept_in.map((kept) => kept.row);
    const isWritten = (row) => steps.some((step) => largest(arrays.write, step, row) > USED);
    const mostRead = (row) => {
      const weights = steps.map((step) => largest(arrays.read, symbols.length + step, row));
      const step = weights.indexOf(Math.max(...weights));
      return step === symbols.length - 1 ? "the last ⏎" : symbols[step];
    };
    const named = (rows) => `${rows.length > 1 ? "Rows" : "Row"} ${listed(rows.map(String))} ${rows.length > 1 ? "are" : "is"}`;
    const others = one.rows.filter((row) => !held.includes(row));
    const written = others.filter(isWritten);
    const read = others.filter((row) => !written.includes(row));
    return [
      written.length ? `${named(written)} written to as well, but no red character is kept there.` : "",
      read.length ? `${named(read)} only read, most at ${listed([...new Set(read.map(mostRead))])}: nothing of the message was written there.` : "",
    ].filter(Boolean).join(" ");
  };

  // Draws the rows in use, the poem and the lines between them. Arrays are the weightings, [2 S, heads, rows].
  NTM.drawMemory = (place, answer, one, arrays) => {
    const size = sizes(answer, one, place.clientWidth);
    const symbols = one.lines.flatMap((line) => [...line, "⏎"]);
    const said = one.kept_in.map((kept) => `${symbols[kept.place]} was kept in row ${kept.row} and read with weight ${kept.due.toFixed(2)} when due`);
    const svg = element("svg", { width: size.width, height: size.height, role: "img", "aria-label": `${said.join("; ")}.` });
    const groups = new Map(); // of a line of the poem: its character, thread and row, lit together
    one.kept_in.forEach((_, line) => groups.set(line, element("g", { "data-line": line })));
    one.rows.forEach((row, index) => {
      const line = one.kept_in.findIndex((kept) => kept.row === row);
      const group = groups.get(line) || element("g");
      [size.written, size.read].forEach((top) => {
        const y = size.rowY(top, index);
        group.append(element("text", { x: size.left - 6, y: y + 4, "text-anchor": "end", class: "small" }, String(row)));
        group.append(element("rect", { class: "lane", "data-row": row, x: size.left, y: y - size.row / 2 + 1, width: size.right - size.left, height: size.row - 2 }));
      });
      cells(one, arrays, size, symbols, group, index);
      svg.append(group);
    });
    groups.forEach((group) => svg.append(group)); // also of a character that shares its row
    one.kept_in.forEach((kept, line) => groups.get(line).append(thread(size, answer, line, one.rows.indexOf(kept.row))));
    axis(size, answer, symbols, svg);
    poem(size, answer, one, svg, groups);
    groups.forEach((group) => {
      group.addEventListener("mouseenter", () => group.classList.add("lit"));
      group.addEventListener("mouseleave", () => group.classList.remove("lit"));
    });
    place.replaceChildren(svg);
  };

  // ---- A picture to keep

  const FONT = "'Noto Serif CJK TC','Noto Serif TC','Source Han Serif TC','Songti TC',PMingLiU,serif";
  const [PAPER, INK, SEAL, FAINT] = ["#fbf6ea", "#211d18", "#b3261e", "#756b5c"];

  // A red square with up to four characters of the message, right column first.
  function seal(characters, x, y, edge) {
    const group = element("g", {}, element("rect", { x, y, width: edge, height: edge, rx: 4, fill: SEAL }));
    const two = characters.length > 2;
    const half = edge / 2;
    characters.forEach((c, i) => {
      const across = characters.length === 1 || !two ? half : i < 2 ? half * 1.48 : half * 0.52;
      const down = characters.length === 1 ? half : (i % 2 ? 1.48 : 0.52) * half;
      const fontSize = characters.length === 1 ? edge * 0.7 : edge * 0.4;
      group.append(written(x + across, y + down, c, { "font-size": fontSize, fill: PAPER, "dominant-baseline": "central" }));
    });
    return group;
  }

  // Returns an SVG of a poem that needs no style of the page.
  NTM.poemPicture = (answer, one, caption, link) => {
    const [pitch, glyph, margin] = [84, 56, 78];
    const lines = one.lines.length;
    const width = Math.max(2 * margin + lines * pitch + 40, 460);
    const height = 2 * margin + answer.width * (glyph + 14) + 40;
    const left = (width - lines * pitch + 40) / 2;
    const count = [...answer.asked].length;
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, lang: "zh-Hant" });
    svg.append(element("title", {}, one.lines.join("，")), element("desc", {}, `${caption.join(". ")}. ${link}`));
    svg.append(element("rect", { width, height, fill: PAPER }));
    [14, 20].forEach((at, i) => svg.append(element("rect", {
      x: at, y: at, width: width - 2 * at, height: height - 2 * at, fill: "none", stroke: SEAL, "stroke-width": i ? 0.8 : 2,
    })));
    one.lines.forEach((text, line) => {
      [...text].forEach((c, place) => {
        const given = place === answer.column && line < count;
        const at = [left + (lines - 1 - line + 0.5) * pitch, margin - 12 + (place + 0.5) * (glyph + 14)];
        svg.append(written(...at, c, { "font-size": glyph, fill: given ? SEAL : INK, "font-weight": given ? 700 : 400, "dominant-baseline": "central" }));
      });
    });
    const characters = [...answer.asked];
    if (characters.length <= 4) svg.append(seal(characters, left - 52, margin - 12 + answer.width * (glyph + 14) - 58, 52));
    caption.forEach((text, i) => svg.append(written(width / 2, height - 58 + 16 * i, text, { "font-size": 12, fill: FAINT, "font-family": "system-ui,sans-serif" })));
    return svg;
  };

  // The PNG of an SVG, twice as large, as a Blob.
  NTM.toPng = async (svg) => {
    const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
    try {
      const image = new Image();
      image.src = address;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * svg.getAttribute("width"), 2 * svg.getAttribute("height")];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    } finally {
      URL.revokeObjectURL(address);
    }
  };
})();
