// Asks every 15 seconds for the live part of the page, as long as somebody can see it and nobody is working in it.
(() => {
  "use strict";
  const PERIOD = 15000;
  const live = () => document.querySelector("[data-live]");

  const inUse = (area) => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && area.contains(selection.anchorNode);
    return selecting || area.contains(document.activeElement) || area.querySelector("details[open]");
  };

  const refresh = () => {
    const area = live();
    if (area && document.visibilityState === "visible" && !inUse(area)) {
      area.dispatchEvent(new CustomEvent("live-refresh"));
    }
  };

  const offline = (state) => document.body.classList.toggle("is-offline", state);

  document.addEventListener("htmx:beforeSwap", (event) => {
    // A session that has ended answers with the sign-in page, which must not land inside this one.
    const asked = new URL(event.detail.pathInfo.requestPath, location.href).pathname;
    const answered = new URL(event.detail.xhr.responseURL, location.href).pathname;
    if (asked !== answered) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });
  document.addEventListener("htmx:afterSwap", () => offline(false));
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:responseError", () => offline(true));
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, PERIOD);
})();
