"use strict";
// The viewer's page of a run's moments; the run is named in the link, as in the viewer's own.
(function () {
  const $ = (id) => document.getElementById(id);
  const run = NTM.readLink().run || "0";
  const ask = (more) => new URLSearchParams({ run, ...more });
  const shown = NTM.moments($("moments"), (update) => NTM.get(`/api/moment?${ask({ update })}`));

  async function begin() {
    try {
      const answer = await NTM.get(`/api/moments?${ask({})}`);
      $("name").textContent = `${answer.name} (${answer.task})`;
      document.title = `${answer.name}: one episode while it learns`;
      shown.show(answer.updates);
    } catch (error) {
      $("state").textContent = error.message;
    }
  }

  $("theme").addEventListener("change", () => {
    NTM.setTheme($("theme").value);
    shown.redraw();
  });
  NTM.onSystemTheme(() => shown.redraw());
  begin();
})();
