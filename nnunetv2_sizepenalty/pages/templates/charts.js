// Charts: one spec a chart for light paper; dark pages swap its colours. A click hands the dot's row to `onPick`.
const Charts = (() => {
  const shown = new Map(); // element -> {name, label, view}
  const listeners = [];

  async function draw(element) {
    const { chart, label } = element.dataset;
    const entry = DATA.labels[label];
    const spec = themed(entry.charts[chart]);
    spec.datasets = { ...spec.datasets, ...entry.datasets };
    spec.config = themed(DATA.chart_config);
    spec.config.font = getComputedStyle(document.body).fontFamily.replaceAll('"', "'");
    spec.width ??= "container";
    spec.autosize = { type: "fit-x", contains: "padding" };
    const rows = Math.max(0, ...Object.values(entry.datasets).map((rows) => rows.length));
    const result = await vegaEmbed(element, spec, {
      actions: false, renderer: rows > 1500 ? "canvas" : "svg", tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    const view = result.view;
    view.addEventListener("click", (event, item) => {
      if (item && item.datum && item.datum.key) for (const listener of listeners) listener(item.datum, Number(label));
    });
    shown.set(element, { result, view });
  }

  return {
    onPick: (listener) => listeners.push(listener),
    /** Draws the charts inside `root` that are not drawn yet. */
    async show(root) {
      const missing = [...root.querySelectorAll(".chart")].filter((element) => !shown.has(element));
      missing.forEach((element) => shown.set(element, {}));
      await Promise.all(missing.map(draw));
    },
    /** Marks a lesion or case in every chart that knows of a selection. */
    select(key) {
      for (const { view } of shown.values()) {
        if (view && view.getState().signals.selected !== undefined) view.signal("selected", key).runAsync();
      }
    },
    listen() {
      dark.addEventListener("change", async () => {
        const elements = [...shown.keys()];
        for (const { result } of shown.values()) if (result) result.finalize();
        shown.clear();
        await Promise.all(elements.map((element) => draw(element)));
      });
    },
  };
})();
