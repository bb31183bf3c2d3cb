// Draws the figures that the server put into the page, in the page's own colours, and again when the theme changes.
(() => {
  "use strict";
  const source = document.currentScript.dataset.plotly;
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
    if (copy.fillcolor) {
      copy.fillcolor = colours[copy.fillcolor];
    }
    for (const pattern of [copy.marker && copy.marker.pattern, copy.fillpattern]) {
      if (pattern) {
        pattern.fgcolor = colours.panel;
        pattern.bgcolor = copy.fillcolor || copy.marker.color;
      }
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
    for (const axis of [copy.xaxis, copy.yaxis]) {
      Object.assign(axis, { gridcolor: colours.line, linecolor: colours.line });
    }
    return copy;
  };

  // A point leads to the page of its moment where the chart names one (Plotly gives times without a zone: they are UTC),
  // otherwise to the rows below.
  const follow = (holder, point) => {
    if (holder.dataset.at) {
      const moment = new Date(`${String(point.x).replace(" ", "T")}Z`);
      if (!Number.isNaN(moment.getTime())) {
        location.assign(`${holder.dataset.at}&at=${moment.toISOString().slice(0, 19)}Z`);
      }
    } else {
      document.getElementById(holder.dataset.rows).scrollIntoView();
    }
  };

  const draw = (holder) => {
    const figure = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
    const colours = palette();
    const traces = figure.data.map((trace) => coloured(trace, colours));
    const options = { displayModeBar: false, responsive: true, doubleClick: false };
    Plotly.react(holder, traces, layout(figure, colours), options).then(() => {
      if (!holder.dataset.drawn) {
        holder.dataset.drawn = "true";
        holder.on("plotly_click", (event) => follow(holder, event.points[0]));
      }
    });
  };

  const drawAll = () => {
    if (window.Plotly) {
      document.querySelectorAll("[data-figure]").forEach(draw);
    }
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSwap", drawAll);

  // Plotly has 4.8 MB. Loaded like this it holds up neither the page nor htmx, which begins when the document is ready.
  const script = document.createElement("script");
  script.src = source;
  script.fetchPriority = "low";
  script.addEventListener("load", drawAll);
  document.head.append(script);
})();
