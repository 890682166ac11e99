// Before anything is drawn: light, dark, or as the system says. Runs in the head of every page, as no module, so that
// the page never flashes in the wrong colors.
(() => {
  "use strict";
  const root = document.documentElement;
  root.dataset.script = "on";
  try {
    const chosen = localStorage.getItem("wetread-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    // storage is switched off in this browser: as the system says
  }
})();
