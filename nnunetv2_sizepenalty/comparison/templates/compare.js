// Wires the comparison: one case, one slice and one lesion for all models; a table of lesions that moves them.

// A lesion that is picked is magnified until it is so many screen pixels wide.
const LESION_PIXELS = 24;

class SideBySide {
  constructor(root, cases) {
    Object.assign(this, { root, cases, lesion: null });
    this.slider = root.querySelector("input[type=range]");
    this.select = root.querySelector("select");
    this.whole = root.querySelector("[data-part=whole]");
    this.why = root.closest("section").querySelector("[data-part=why]");
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value)));
    if (this.select) this.select.addEventListener("change", () => this.showCase(this.select.value));
    this.whole.addEventListener("click", () => { this.lesion = null; this.show(this.at); });
    this.showCase(Object.keys(cases)[0]);
  }

  showCase(name, lesion = null) {
    const shown = this.cases[name];
    Object.assign(this, { shown, lesion });
    if (this.select) this.select.value = name;
    this.slider.max = shown.count - 1;
    this.slider.hidden = shown.count < 2;
    this.why.replaceChildren("Case ", Object.assign(document.createElement("b"), { textContent: name }), `, ${shown.why}.`);
    this.root.querySelectorAll("figcaption span").forEach((span, index) => { span.textContent = shown.panels[index].caption; });
    this.root.querySelector("[data-part=message]").textContent = "";
    this.show(lesion ? lesion.slice : shown.first);
  }

  /** Moves all models to a lesion; says where it lies if its case is not in the page. */
  goTo(row) {
    if (this.cases[row.case]) this.showCase(row.case, this.cases[row.case].lesions[row.lesion - 1]);
    else this.root.querySelector("[data-part=message]").textContent = `Case ${row.case} is not in this page (--case ${row.case} puts it here). The lesion lies at voxel ${row.place} of its file.`;
    this.root.dataset.lesion = row.key;
  }

  show(at) {
    const { shown, lesion } = this;
    this.at = at;
    this.slider.value = at;
    this.root.dataset.case = shown.case;
    this.root.dataset.slice = at;
    this.root.querySelector("output").textContent = `Slice ${at + 1} of ${shown.count}`;
    this.whole.hidden = !lesion;
    this.root.querySelectorAll(".picture").forEach((picture, index) => {
      picture.style.aspectRatio = shown.ratio;
      const image = picture.querySelector(".image"), layers = picture.querySelector(".layers"), ring = picture.querySelector(".ring");
      image.hidden = !shown.images;
      if (shown.images) image.src = shown.images[at];
      picture.querySelector(".overlay").src = shown.panels[index].masks[at];
      const pixels = lesion ? (lesion.wide / 100) * picture.clientWidth : 0;
      const scale = lesion && pixels ? Math.max(1, LESION_PIXELS / pixels) : 1;
      layers.style.transform = `scale(${scale})`;
      ring.hidden = !lesion || lesion.slice !== at;
      if (!lesion) return;
      layers.style.transformOrigin = `${lesion.x}% ${lesion.y}%`;
      const wide = Math.max(30, pixels * scale + 16);
      Object.assign(ring.style, { left: `${lesion.x}%`, top: `${lesion.y}%`, width: `${wide}px`, height: `${wide}px` });
    });
  }
}

const viewers = new Map([...document.querySelectorAll("[data-side]")].map((root) => {
  const label = Number(root.dataset.side);
  return [label, new SideBySide(root, DATA.labels[label].cases)];
}));

for (const holder of document.querySelectorAll("[data-lesions]")) {
  const label = Number(holder.dataset.lesions), { lesions } = DATA.labels[label];
  const agreed = ["both", "all", "none"];
  const names = [...new Set(lesions.map((row) => row.found_by))];
  const choices = { "Found by some only": (row) => !agreed.includes(row.found_by) };
  for (const name of names) choices[`Found by ${name}`] = (row) => row.found_by === name;
  choices["All lesions"] = () => true;
  const table = new RowTable(holder, {
    columns: DATA.lesion_columns, rows: lesions, choices, marks: {}, sort: { key: DATA.lesion_columns[1].key, down: true },
    onPick: (row) => {
      table.select(row.key);
      const viewer = viewers.get(label);
      if (!viewer) return;
      viewer.goTo(row);
      viewer.root.scrollIntoView({ block: "nearest" });
    },
  });
}
