"use strict";
// Which rows of memory are shown, and how many of them share a line of the picture.
(function () {
  const USED = 0.05; // the weight from which a row counts as used, as in evaluation/memory_figures.py

  const every = (count) => Array.from({ length: count }, (_, row) => row);

  // The greatest weight that each row ever gets from any head.
  function greatest(episode) {
    const { read_weightings: read, write_weightings: write } = episode.arrays;
    const most = new Float32Array(read.shape[2]);
    for (const array of [read, write]) {
      const rows = array.shape[2];
      for (let i = 0; i < array.values.length; i++) {
        const row = i % rows;
        if (array.values[i] > most[row]) most[row] = array.values[i];
      }
    }
    return most;
  }

  // The rows in use and those between them, in the order in which a head walks over them. Memory is a circle: it is
  // cut open where the most unused rows are beside each other.
  NTM.rowsInUse = (most) => {
    const count = most.length;
    const used = every(count).filter((row) => most[row] >= USED);
    if (!used.length) return every(count);
    let widest = 0;
    const gap = (i) => ((i + 1 < used.length ? used[i + 1] : used[0] + count) - used[i]);
    for (let i = 0; i < used.length; i++) if (gap(i) >= gap(widest)) widest = i;
    const first = used[(widest + 1) % used.length];
    const length = ((used[widest] - first + count) % count) + 1;
    return Array.from({ length }, (_, i) => (first + i) % count);
  };

  // `beside` are all episodes that are shown; those of as many rows show the same ones, so that they are level.
  NTM.shownRows = (episode, all, beside = [episode]) => {
    const count = episode.arrays.read_weightings.shape[2];
    if (all || !count) return every(count);
    const alike = beside.filter((other) => other.arrays.read_weightings.shape[2] === count).map(greatest);
    return NTM.rowsInUse(alike.reduce((a, b) => a.map((weight, row) => Math.max(weight, b[row]))));
  };

  // Lists of rows, each list a line of a picture of at most `most` lines.
  NTM.rowGroups = (rows, most) => {
    const size = Math.max(1, Math.ceil(rows.length / most));
    const groups = [];
    for (let from = 0; from < rows.length; from += size) groups.push(rows.slice(from, from + size));
    return groups;
  };

  NTM.rowName = (group) => (group.length === 1 ? `row ${group[0]}` : `rows ${group[0]} to ${group[group.length - 1]}`);

  // Of several values, the one furthest from 0: a single row that is in use has to be seen.
  NTM.furthest = (values, group) => {
    let most = values[group[0]];
    for (let i = 1; i < group.length; i++) if (Math.abs(values[group[i]]) > Math.abs(most)) most = values[group[i]];
    return most;
  };
})();
