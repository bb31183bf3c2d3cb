// Draws the figures that the server put into the page, in the page's own colours, and again when the theme changes.
(() => {
  "use strict";
  const HEALTHS = ["failing", "stale", "at-risk", "progressing", "unknown", "healthy"];

  const palette = () => {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(`--${name}`).trim();
    const names = [...HEALTHS, "ink", "soft", "faint", "line", "panel", "font"];
    return Object.fromEntries(names.map((name) => [name, value(name)]));
  };

  const coloured = (trace, colours) => {
    const copy = structuredClone(trace);
    for (const part of [copy.marker, copy.line]) {
      if (part && part.color) {
        part.color = colours[part.color];
      }
    }
    if (copy.marker && copy.marker.pattern) {
      copy.marker.pattern.fgcolor = colours.panel;
    }
    return copy;
  };

  const layout = (figure, colours) => {
    const copy = structuredClone(figure.layout);
    const font = { family: colours.font, size: 11, color: colours.faint };
    Object.assign(copy, { font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true });
    copy.hoverlabel = {
      bgcolor: colours.panel,
      bordercolor: colours.line,
      font: { family: colours.font, size: 12, color: colours.ink },
      align: "left",
    };
    Object.assign(copy.xaxis, { gridcolor: colours.line, linecolor: colours.line });
    return copy;
  };

  const draw = (holder) => {
    const figure = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
    const colours = palette();
    const traces = figure.data.map((trace) => coloured(trace, colours));
    const options = { displayModeBar: false, responsive: true, doubleClick: false };
    Plotly.react(holder, traces, layout(figure, colours), options).then(() => {
      if (!holder.dataset.drawn) {
        holder.dataset.drawn = "true";
        holder.on("plotly_click", () => document.getElementById(holder.dataset.rows).scrollIntoView());
      }
    });
  };

  const drawAll = () => document.querySelectorAll("[data-figure]").forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSwap", drawAll);
  drawAll();
})();
