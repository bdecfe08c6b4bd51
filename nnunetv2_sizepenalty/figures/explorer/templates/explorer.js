// Hands the controls' values to the charts as signals, and reads the numbers back from them: no formula stands here.
const views = new Map(); // element -> what vegaEmbed returned
let model; // the view that computes the numbers, drawn nowhere

// Sliders: position 0 to 1000 <-> value in voxels

const SCALES = {
  linear: [(t, { low, high }) => low + t * (high - low), (v, { low, high }) => (v - low) / (high - low)],
  log: [(t, { low, high }) => low * (high / low) ** t, (v, { low, high }) => Math.log(v / low) / Math.log(high / low)],
  zero: [(t, { high }) => Math.expm1(t * Math.log1p(high)), (v, { high }) => Math.log1p(v) / Math.log1p(high)],
};
const held = {}; // where a slider was left: rounding its value must not push it back
function positionOf(signal, value) {
  if (held[signal] && held[signal].value === value) return held[signal].position;
  const s = DATA.sliders[signal];
  return Math.round(1000 * Math.min(1, Math.max(0, SCALES[s.scale][1](value, s))));
}
const round = (value) => (value === 0 ? 0 : Number(value.toPrecision(3)));
function within(signal, value) { const { low, high } = DATA.sliders[signal]; return Math.min(high, Math.max(low, value)); }
function valueAt(signal, position) {
  const s = DATA.sliders[signal];
  if (position === 1000) return s.high;
  // Where both sliders stand at one volume they mean the same volume.
  const other = { v_p: "v_g", v_g: "v_p" }[signal];
  if (other && positionOf(signal, state[other]) === position) return within(signal, state[other]);
  return within(signal, round(SCALES[s.scale][0](position / 1000, s)));
}

// One state, shown everywhere

let waiting = false;
function set(changes) {
  const redraw = "unit" in changes && changes.unit !== state.unit;
  Object.assign(state, changes);
  for (const [name, value] of Object.entries(changes)) model.signal(name, value);
  model.run();
  showText();
  if (redraw) { draw(); return; }
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; for (const element of views.keys()) hand(element); });
}

function hand(element) {
  const result = views.get(element);
  if (!result) return;
  for (const [name, value] of Object.entries(state)) result.view.signal(name, value);
  result.view.runAsync();
}

const values = () => Object.fromEntries(DATA.numbers.params.map(({ name }) => [name, model.signal(name)]));
const holds = (condition) => {
  const [, name, no, value] = condition.match(/^(\w+)(!?)=(.*)$/);
  return (String(state[name]) === value) !== Boolean(no);
};

function showText() {
  const at = values();
  [document.getElementById("headline").textContent, document.getElementById("lead").textContent] = headline(at);
  document.body.classList.toggle("silent-here", at.slope === 0 && at.silence !== "");
  for (const element of document.querySelectorAll("[data-number]")) {
    const value = at[element.dataset.number];
    element.textContent = (element.dataset.number.includes("slope") && value > 0 ? "+" : "") + number(value);
    element.dataset.value = String(value);
  }
  const brief = { penalty: number(at.penalty), slope: number(at.slope), silence: at.silence.split(":")[0] };
  for (const element of document.querySelectorAll("[data-brief]")) element.textContent = brief[element.dataset.brief];
  for (const [name, sentence] of Object.entries(SENTENCES)) document.querySelector(`[data-sentence=${name}]`).textContent = sentence(at);
  for (const element of document.querySelectorAll("[data-when]")) element.hidden = !holds(element.dataset.when);
  for (const [signal, slider] of Object.entries(DATA.sliders)) {
    const [range, field] = [document.getElementById(signal), document.getElementById(`${signal}-number`)];
    range.value = positionOf(signal, state[signal]);
    range.setAttribute("aria-valuetext", slider.volume ? volume(state[signal]) : number(state[signal]));
    if (document.activeElement !== field) field.value = Number((state[signal] * factor(slider)).toPrecision(6));
    field.nextElementSibling.textContent = slider.volume ? (inMl() ? "mL" : "voxels") : "";
  }
  const size = document.getElementById("voxel_ml");
  if (document.activeElement !== size) size.value = state.voxel_ml;
  for (const group of document.querySelectorAll("[data-choice]"))
    for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(String(state[group.dataset.choice]) === button.value));
  for (const button of document.querySelectorAll("[data-preset]")) {
    const wanted = preset(button);
    button.setAttribute("aria-pressed", String(Object.keys(wanted).every((name) => wanted[name] === state[name])));
  }
}

function preset(button) {
  const { set: wanted } = DATA.presets[button.dataset.preset];
  return Object.fromEntries(Object.entries(wanted).map(([name, value]) =>
    name.endsWith("_ml") && !(name in state) ? [name.slice(0, -3), within(name.slice(0, -3), value / state.voxel_ml)] : [name, value]));
}

// Charts

async function drawOne(element) {
  views.get(element)?.finalize();
  const unit = inMl() ? "mL" : "voxels";
  const spec = JSON.parse(JSON.stringify(themed(DATA.charts[element.dataset.chart])).replaceAll(DATA.unit_token, unit));
  spec.config = themed(DATA.chart_config);
  spec.config.font = getComputedStyle(document.body).fontFamily.replaceAll('"', "'");
  spec.width = "container";
  spec.autosize = { type: "fit-x", contains: "padding" };
  const renderer = element.dataset.chart === "map" ? "canvas" : "svg";
  views.set(element, await vegaEmbed(element, spec, { actions: false, renderer }));
  element.view = views.get(element).view;
  hand(element);
}
async function draw() { await Promise.all([...document.querySelectorAll(".chart")].map(drawOne)); }

/** Pressing or dragging in a chart moves the sliders of its axes. */
function followPointer(element, axes) {
  const move = (event) => {
    const view = element.view, box = element.querySelector("svg, canvas").getBoundingClientRect(), [left, top] = view.origin();
    const pixel = { x: event.clientX - box.left - left, y: event.clientY - box.top - top };
    const size = { x: view.width(), y: view.height() };
    const changes = {};
    for (const [axis, signal] of Object.entries(axes)) {
      const value = view.scale(axis).invert(Math.min(size[axis], Math.max(0, pixel[axis])));
      changes[signal] = valueAt(signal, positionOf(signal, value));
    }
    set(changes);
  };
  element.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") element.setPointerCapture(event.pointerId); move(event); });
  element.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
}

// Controls

for (const [signal, slider] of Object.entries(DATA.sliders)) {
  document.getElementById(signal).addEventListener("input", (event) => {
    const position = Number(event.target.value), value = valueAt(signal, position);
    held[signal] = { value, position };
    set({ [signal]: value });
  });
  const field = document.getElementById(`${signal}-number`);
  field.addEventListener("input", () => {
    const value = field.valueAsNumber / factor(slider);
    if (Number.isFinite(value)) set({ [signal]: within(signal, value) });
  });
  field.addEventListener("change", () => { field.blur(); showText(); });
}
document.getElementById("voxel_ml").addEventListener("input", (event) => {
  if (event.target.valueAsNumber > 0) set({ voxel_ml: event.target.valueAsNumber });
});
for (const group of document.querySelectorAll("[data-choice]"))
  for (const button of group.querySelectorAll("button"))
    button.addEventListener("click", () => set({ [group.dataset.choice]: typeof state[group.dataset.choice] === "number" ? Number(button.value) : button.value }));
for (const button of document.querySelectorAll("[data-preset]")) button.addEventListener("click", () => set(preset(button)));
for (const element of document.querySelectorAll(".chart")) {
  const axes = { loss: { x: "v_p" }, gradient: { x: "v_p" }, error: { x: "v_p" }, weight: { x: "v_g" }, map: { x: "v_g", y: "v_p" } }[element.dataset.chart];
  if (axes) followPointer(element, axes);
}
dark.addEventListener("change", draw);
if (matchMedia("(max-width: 900px)").matches) document.getElementById("settings").open = false;
(async () => {
  model = (await vegaEmbed(document.createElement("div"), DATA.numbers, { actions: false, renderer: "svg" })).view;
  showText();
  await draw();
  document.documentElement.dataset.ready = "yes";
})();
