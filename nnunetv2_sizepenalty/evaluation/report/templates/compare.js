// Wires the comparison: one label at a time, and one slider for the slices of all models.
const panels = [...document.querySelectorAll(".label-panel")];
const tabs = [...document.querySelectorAll(".tabs button")];

async function showLabel(label) {
  panels.forEach((panel, index) => { panel.hidden = index !== label; });
  tabs.forEach((tab, index) => tab.setAttribute("aria-selected", String(index === label)));
  await Charts.show(panels[label]);
}

for (const side of document.querySelectorAll("[data-side]")) {
  const { images, panels: models } = DATA.labels[Number(side.dataset.side)].case;
  const slider = side.querySelector("input");
  const show = (at) => {
    side.querySelectorAll(".picture").forEach((picture, index) => {
      const image = picture.querySelector(".image");
      image.hidden = !images;
      if (images) image.src = images[at];
      picture.querySelector(".overlay").src = models[index].masks[at];
    });
    if (slider) side.querySelector("output").textContent = `Slice ${at + 1} of ${Number(slider.max) + 1}`;
  };
  if (slider) slider.addEventListener("input", () => show(Number(slider.value)));
  show(Number(side.dataset.first));
}

tabs.forEach((tab, index) => tab.addEventListener("click", () => showLabel(index)));
Charts.listen();
(async () => {
  await showLabel(0);
  document.documentElement.dataset.ready = "yes";
})();
