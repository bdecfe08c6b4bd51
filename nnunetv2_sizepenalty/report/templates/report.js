// Wires the report: one label at a time; a click on a dot or a row marks it everywhere and moves the viewer there.
const panels = [...document.querySelectorAll(".label-panel")];
const tabs = [...document.querySelectorAll(".tabs button")];
const aside = document.getElementById("viewer");
const beside = aside && aside.parentElement;
const narrow = matchMedia("(max-width: 1080px)");
let current = 0;
const tables = [];
const volume = `volume_${DATA.unit.key}`;

const lesionsOf = (name, label) => {
  const order = { missed: 0, "false positive": 1, found: 2, unmatched: 3 };
  return DATA.labels[label].datasets.lesions
    .filter((row) => row.case === name)
    .sort((a, b) => order[a.fate] - order[b.fate] || b[volume] - a[volume]);
};
const caseOf = (name, label) => DATA.labels[label].datasets.cases.find((row) => row.case === name);

const pick = async (row, label = current) => {
  Charts.select(row.key);
  for (const table of tables) table.select(row.key);
  if (!viewer) return;
  await viewer.goTo(row, label);
  // Half of the picture may be out of sight, the lesion in its middle never.
  const { top, bottom, height } = aside.querySelector(".stage").getBoundingClientRect();
  if (bottom < 0.6 * height || top > innerHeight - 0.6 * height) aside.scrollIntoView({ block: "start" });
};

const viewer = aside && new Viewer(aside, DATA.scans, { lesionsOf, caseOf, onPick: pick, marks: DATA.fates });

const LESION_CHOICES = {
  "Missed lesions": (row) => row.fate === "missed",
  "Found lesions": (row) => row.fate === "found",
  "False positives": (row) => row.fate === "false positive",
  "All lesions": () => true,
};
const CASE_CHOICES = {
  "All cases": () => true,
  "With a missed lesion": (row) => row.missed > 0,
  "With a false positive": (row) => row.false_positives > 0,
  "Lesion-free": (row) => row.n_reference === 0,
};

function fillTables(panel, label) {
  const { cases, lesions } = DATA.labels[label].datasets;
  const common = { marks: DATA.fates, onPick: (row) => pick(row, label) };
  for (const holder of panel.querySelectorAll("[data-table]")) {
    const isCases = holder.dataset.table === "cases";
    tables.push(new RowTable(holder, {
      ...common, columns: isCases ? DATA.case_columns : DATA.lesion_columns, rows: isCases ? cases : lesions,
      choices: isCases ? CASE_CHOICES : LESION_CHOICES,
      sort: isCases ? { key: "dice", down: false } : { key: volume, down: true },
    }));
  }
}

/** The mark's links move the viewer to the component that is far larger than what it touches. */
function linkOversized(panel, label) {
  for (const button of panel.querySelectorAll("[data-oversized]")) {
    const link = DATA.labels[label].oversized.links[Number(button.dataset.oversized)];
    button.addEventListener("click", () => pick({ ...link, key: "" }, label));
  }
}

/** Beside the text where there is room, below the first answer where there is not. */
function placeViewer() {
  if (aside) (narrow.matches ? panels[current].querySelector(".viewer-slot") : beside).append(aside);
}

async function showLabel(label) {
  current = label;
  panels.forEach((panel, index) => { panel.hidden = index !== label; });
  tabs.forEach((tab, index) => tab.setAttribute("aria-selected", String(index === label)));
  placeViewer();
  const panel = panels[label];
  if (!panel.dataset.filled) {
    panel.dataset.filled = "yes";
    fillTables(panel, label);
    linkOversized(panel, label);
  }
  await Charts.show(panel);
  if (viewer && viewer.drawing && viewer.label !== label) {
    viewer.label = label;
    await viewer.showCase(viewer.scan.case);
  }
}

Charts.onPick(pick);
Charts.listen();
narrow.addEventListener("change", placeViewer);
tabs.forEach((tab, index) => tab.addEventListener("click", () => showLabel(index)));
(async () => {
  await showLabel(0);
  if (viewer) await viewer.start(0);
  document.documentElement.dataset.ready = "yes";
})();
