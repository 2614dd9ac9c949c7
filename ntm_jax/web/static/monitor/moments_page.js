"use strict";
// The viewer's page of a run's moments; the run is in the link, as in the viewer's own.
(function () {
  const $ = (id) => document.getElementById(id);
  let shown = null;

  async function begin() {
    try {
      const runs = await NTM.get("/api/runs");
      const options = runs.flatMap((run, place) => (run.moments ? [new Option(run.name, place)] : []));
      if (!options.length) throw new Error("No run here has kept moments. The monitor keeps them while a run trains.");
      $("run").replaceChildren(...options);
      $("run-label").hidden = options.length < 2;
      const asked = NTM.readLink().run;
      const found = options.find((option) => option.value === asked || option.text === asked);
      if (found) found.selected = true;
      if (asked !== undefined && !found) $("state").textContent = `The run ${asked} has kept no moments; this is another.`;
      await show();
    } catch (error) {
      $("state").textContent = error.message;
    }
  }

  async function show() {
    const run = $("run").value;
    const answer = await NTM.get(`/api/moments?${new URLSearchParams({ run })}`);
    $("name").textContent = `${answer.name} (${answer.task})`;
    document.title = `${answer.name}: while it learned`;
    $("moments").replaceChildren();
    shown = NTM.moments($("moments"), (update) => NTM.get(`/api/moment?${new URLSearchParams({ run, update })}`));
    shown.show(answer.updates);
  }

  $("run").addEventListener("change", () => {
    NTM.writeLink({ run: $("run").selectedOptions[0].text });
    show();
  });
  $("theme").addEventListener("change", () => {
    NTM.setTheme($("theme").value);
    if (shown) shown.redraw();
  });
  NTM.onSystemTheme(() => shown && shown.redraw());
  begin();
})();
