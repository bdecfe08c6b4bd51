// One label at a time, by the tabs; its charts are drawn when it is shown first.
const panels = [...document.querySelectorAll(".label-panel")];
const tabs = [...document.querySelectorAll(".tabs button")];

async function showLabel(label) {
  panels.forEach((panel, index) => { panel.hidden = index !== label; });
  tabs.forEach((tab, index) => tab.setAttribute("aria-selected", String(index === label)));
  await Charts.show(panels[label]);
}

tabs.forEach((tab, index) => tab.addEventListener("click", () => showLabel(index)));
Charts.listen();
(async () => {
  await showLabel(0);
  document.documentElement.dataset.ready = "yes";
})();
