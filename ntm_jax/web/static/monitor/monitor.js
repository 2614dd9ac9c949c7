"use strict";
// The monitor's page: asks for what is new every second, and draws it.
(function () {
  const $ = (id) => document.getElementById(id);
  const EVERY = 1000; // milliseconds
  const numbers = { rows: [], evaluation: [] };
  let session = null;
  let newest = null; // the last answer
  let episode = null;
  let trouble = ""; // with the last click
  const moments = NTM.moments($("moments"), (update) => NTM.get(`/api/moment?update=${update}`));

  const duration = (seconds) => {
    if (seconds === null) return "…";
    const s = Math.round(seconds);
    const parts = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
    return parts[0] ? `${parts[0]} h ${parts[1]} min` : parts[1] ? `${parts[1]} min ${parts[2]} s` : `${parts[2]} s`;
  };

  const lastOf = (list) => list[list.length - 1];

  function add(answer) {
    if (answer.session !== session) {
      session = answer.session;
      numbers.rows = [];
      numbers.evaluation = [];
    }
    // Both are asked for from the same update on, so some are sent twice.
    for (const name of ["rows", "evaluation"]) {
      const known = numbers[name].length ? lastOf(numbers[name]).update : -1;
      numbers[name].push(...answer[name].filter((row) => row.update > known));
    }
    newest = answer;
  }

  function after() {
    if (!numbers.rows.length) return -1;
    return Math.min(lastOf(numbers.rows).update, numbers.evaluation.length ? lastOf(numbers.evaluation).update : -1);
  }

  function tiles() {
    const row = lastOf(numbers.rows);
    const evaluated = lastOf(numbers.evaluation);
    const shown = (value, least = 1e-4) => (value === undefined || value === null ? "…" : value && Math.abs(value) < least ? NTM.power(value) : NTM.fixed(value));
    const time = newest.state === "training" ? ["Time left", newest.lost ? "…" : duration(newest.seconds_left)] : ["Time taken", duration(row ? row.seconds : null)];
    const list = [
      ["Update", `${NTM.count(row ? row.update : 0)} of ${NTM.count(newest.updates)}`],
      ["Loss, bits/sequence", shown(row && row.loss_bits_per_sequence)],
      ["Evaluation, bits/sequence", shown(evaluated && evaluated.bits_per_sequence), evaluated ? `at update ${NTM.count(evaluated.update)}` : ""],
      ["Sequences/s", newest.sequences_per_second === null ? "…" : NTM.count(Math.round(newest.sequences_per_second))],
      time,
      ["Learning rate", shown(row && row.learning_rate, 1e-3)], // from where the axis has powers too
      ["Gradient norm", shown(row && row.gradient_norm)],
    ];
    $("tiles").replaceChildren(
      ...list.map(([name, value, aside]) => {
        const small = aside ? [" ", NTM.element("small", {}, aside)] : []; // its own update, which may be long ago
        return NTM.element("div", {}, NTM.element("dt", {}, name), NTM.element("dd", {}, value, ...small));
      }),
    );
  }

  // Words of a command, between which a line may break, and not at their hyphens.
  const unbroken = (command) => command.split(" ").flatMap((word, i) => [i ? " " : "", NTM.element("span", {}, word)]);

  function say(words) {
    const text = words + trouble;
    if ($("state").textContent !== text) $("state").textContent = text;
  }

  function showNumbers() {
    const row = lastOf(numbers.rows);
    $("name").textContent = `${newest.name} (${newest.task}, ${newest.model})`;
    document.title = `${newest.name}: ntm_jax monitor`;
    say(words(row));
    $("progress").value = row ? row.update / newest.updates : 0;
    $("print").setAttribute("aria-pressed", String(newest.printing));
    $("print").textContent = newest.printing ? "Stop printing" : "Print episodes";
    if ($("command").textContent !== newest.viewer) $("command").replaceChildren(...unbroken(newest.viewer));
    $("asked").hidden = false;
    $("viewer").hidden = newest.state === "training"; // until there is a trained model
    tiles();
    cases();
    $("learning").hidden = !newest.moments.length;
    moments.show(newest.moments);
  }

  function words(row) {
    if (newest.state === "evaluated") return "trained and evaluated";
    if (newest.state === "evaluating") return `trained, now evaluating${newest.cases.length ? `: ${NTM.plural(newest.cases.length, "case")} so far` : ""}`;
    return row ? "training" : "compiling, the first numbers come soon";
  }

  // With its zeros at the end, for the numbers below one another are as exact.
  const exact = (x) => (x === null ? "…" : x >= 1000 ? NTM.count(Math.round(x)) : x >= 1e-4 ? x.toPrecision(4) : NTM.fixed(x));

  function cases() {
    $("evaluated").hidden = !newest.cases.length;
    const cells = (c) => [c.name.replaceAll("_", " "), exact(c.bits_per_sequence), exact(c.bit_errors_per_sequence), `${(100 * c.perfect_fraction).toFixed(1)}%`];
    $("cases").tBodies[0].replaceChildren(
      ...newest.cases.map((c) => {
        const line = document.createElement("tr");
        cells(c).forEach((text, i) => {
          const cell = document.createElement(i ? "td" : "th");
          if (!i) cell.scope = "row";
          cell.textContent = text;
          line.append(cell);
        });
        return line;
      }),
    );
  }

  // Training's process is gone, and this page's with it; what was shown stays.
  function lost() {
    if (!newest) return say("no answer: training has ended or was stopped; asking again every few seconds");
    $("asked").hidden = newest.state === "evaluated"; // nobody answers any more
    if (newest.state === "evaluated") return say("trained and evaluated; this page has ended and no longer changes");
    newest.lost = true;
    $("viewer").hidden = false;
    tiles();
    const command = `To look at what was saved, run the command below.`;
    say(`no answer: training has ended or was stopped at update ${NTM.count(numbers.rows.length ? lastOf(numbers.rows).update : 0)}. ${command} Asking again every few seconds.`);
  }

  async function drawCurves() {
    $("no-curves").hidden = true;
    await NTM.draw($("curves"), NTM.trainingCurves(numbers, newest.updates, $("curves").clientWidth > 560), "training_curves");
  }

  async function drawEpisode() {
    const wide = $("episode").clientWidth > 560;
    const drawn = NTM.overTime(episode, { range: null, wide, rows: NTM.shownRows(episode) });
    await NTM.draw($("episode"), drawn, "latest_episode");
    $("episode-text").textContent = NTM.episodeWords(episode);
  }

  async function look() {
    try {
      const known = numbers.rows.length + numbers.evaluation.length;
      const answer = await NTM.get(`/api/progress?after=${after()}`);
      add(answer);
      showNumbers();
      if (numbers.rows.length && numbers.rows.length + numbers.evaluation.length !== known) await drawCurves();
      const evaluated = lastOf(numbers.evaluation);
      if (evaluated && (!episode || episode.update !== evaluated.update)) {
        episode = await NTM.unpackAll(await NTM.get("/api/episode"));
        await drawEpisode();
      }
    } catch (error) {
      lost();
      if (newest?.state === "evaluated") return; // nobody will answer again
    }
    setTimeout(look, document.hidden ? 5 * EVERY : EVERY);
  }

  async function redraw() {
    if ($("curves").data) await drawCurves();
    if (episode) await drawEpisode();
    moments.redraw();
  }

  $("print").addEventListener("click", async () => {
    trouble = "";
    try {
      const answer = await fetch("/PrintDebug", { method: "POST" });
      if (!answer.ok) throw new Error(await answer.text());
      newest.printing = !newest.printing;
      showNumbers();
    } catch (error) {
      trouble = " (printing cannot be changed)";
      lost();
    }
  });
  $("theme").addEventListener("change", () => {
    NTM.setTheme($("theme").value);
    NTM.writeLink({ theme: $("theme").value });
    redraw();
  });
  $("theme").value = NTM.readLink().theme || "";
  NTM.setTheme($("theme").value);
  NTM.onSystemTheme(redraw);
  NTM.onWidth($("curves"), redraw);
  look();
})();
