// What the page says at the point where the sliders stand; `at` holds the numbers there.
const state = { ...DATA.inputs };

/** Three digits, without an exponent between 1e-4 and 1e6. */
function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e6 ? value.toExponential(2) : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  return text.replaceAll("-", "−");
}
const plain = (value) => number(value).replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
const inMl = () => state.unit === "mL";
const factor = (slider) => (slider.volume && inMl() ? state.voxel_ml : 1);
const volume = (voxels) => (inMl() ? `${plain(voxels * state.voxel_ml)} mL` : `${voxels < 1000 ? plain(voxels) : Math.round(voxels).toLocaleString("en")} voxels`);

function headline(at) {
  const predicted = volume(state.v_p), reference = volume(state.v_g), tooMuch = state.v_p > state.v_g;
  if (at.gate_factor === 0) return ["The gate is closed here: S is off.", `The lesion of ${reference} is larger than the gate's ${volume(state.gate_voxels)}.`];
  if (at.silence && !state.soft_cap) return ["The cap is reached here: no gradient.", `${predicted} predicted for a lesion of ${reference}. The other terms alone must bring the volume ${tooMuch ? "down" : "up"}.`];
  if (at.kept < 0.001) return ["Far beyond the soft cap: as good as no gradient.", `${predicted} predicted for a lesion of ${reference}. The cap leaves ${plain(at.kept)} times the gradient.`];
  if (at.silence) return ["Beyond the cap, softly: the gradient fades.", `${predicted} predicted for a lesion of ${reference}. ${plain(100 * at.kept)} % of the gradient is left.`];
  if (state.v_p === state.v_g) return ["The volume is right: S is 0.", `${reference}, wherever the prediction lies.`];
  if (at.weight * at.gate_factor < 0.02) return ["A large lesion: S hardly counts.", `At ${reference} its weight is ${plain(at.weight * at.gate_factor)}, so the other terms decide.`];
  if (state.v_p === 0) return [`Nothing is predicted: S costs ${plain(at.penalty)}.`, `The whole patch would cost ${plain(at.whole_patch)}. Where the other terms are weak, a network can stay here.`];
  return [`Too ${tooMuch ? "much" : "little"} is predicted: S asks for ${tooMuch ? "less" : "more"}.`, `${predicted} for a lesion of ${reference}. S costs ${plain(at.penalty)}.`];
}

const SENTENCES = {
  loss: (at) => at.gate_factor === 0 ? "The gate is closed here: S is 0, whatever is predicted."
    : state.soft_cap ? `The soft cap has no end: S nears ${plain(state.cap * at.gate_factor)} ever more slowly.`
    : at.silence ? "The cap is reached here: S is flat, more or less makes no difference."
    : `S is 0 at the right volume; nothing predicted costs ${plain(at.nothing)}, the whole patch ${plain(at.whole_patch)}.`,
  gradient: (at) => state.gate === "predicted" ? "The gate sees a detached volume: it scales the gradient and adds none of its own."
    : at.slope === 0 && at.silence ? "In the shaded region S says nothing: the gradient is exactly 0."
    : state.log_ratio ? "The more is predicted, the weaker the push per voxel."
    : `Equally strong for a little and for much too much, until the cap ${state.soft_cap ? "lets it fade" : "ends it"}.`,
  map: () => state.soft_cap ? "Deep colour is costly; the line is the cut that Loss shows. Drag the point." : "Red: the cap or the gate leaves no gradient. The line is the cut that Loss shows. Drag the point.",
  picture: (at) => state.v_p === 0 ? "Nothing is predicted, so there is no place to be wrong in." : `Two predictions of ${volume(state.v_p)}: S is ${plain(at.penalty)} for both. It needs a spatial loss beside it.`,
  error: (at) => state.log_ratio ? "Half and twice the volume cost the same, but for the one voxel added." : `Too little ends at 1, too much has no end. ${at.cap_error > at.largest_error ? "At this weight no error reaches the cap." : `At this weight the cap is reached at an error of ${plain(at.cap_error)}.`}`,
  weight: (at) => `A lesion of ${volume(state.v_g)} counts ${plain(at.weight)} times as much as the smallest` + (at.gate_factor === 1 ? "." : `, with the gate ${plain(at.weight * at.gate_factor)} times.`),
};
