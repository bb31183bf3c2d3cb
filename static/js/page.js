// Small things of every page: "/" goes to the search, copy buttons, forms without their empty fields.
(() => {
  "use strict";
  const typing = (target) => target.closest("input, select, textarea, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-search]");
    if (event.key === "/" && search && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) {
      event.preventDefault();
      search.focus();
    }
  });

  const addCopyButtons = (root) => {
    for (const command of root.querySelectorAll(".command:not([data-copy])")) {
      command.dataset.copy = "";
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.textContent = "Copy";
      command.append(button);
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".command > .button");
    if (!button) {
      return;
    }
    const text = button.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed"; // plain http, or a browser that asks first
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-lean]")) {
      for (const field of event.target.elements) {
        field.disabled = field.name && field.value === "";
      }
    }
  });
  // Coming back with the Back button must not find the fields disabled.
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("[data-lean] :disabled")) {
      field.disabled = false;
    }
  });

  // navigator.clipboard exists on https and localhost only.
  if (navigator.clipboard) {
    addCopyButtons(document);
    document.addEventListener("htmx:afterSwap", () => addCopyButtons(document));
  }
})();
