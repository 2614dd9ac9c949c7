"use strict";
// The gallery's index: the theme goes along to the pages of the models.
(function () {
  const theme = document.getElementById("theme");

  function set(name) {
    NTM.setTheme(name);
    for (const link of document.querySelectorAll(".card h3 a")) link.hash = name ? `theme=${name}` : "";
  }

  theme.value = NTM.readLink().theme || "";
  set(theme.value);
  theme.addEventListener("change", () => { set(theme.value); NTM.writeLink({ theme: theme.value }); });
})();
