// Wires the comparison: one slider for the slices of all models.
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
