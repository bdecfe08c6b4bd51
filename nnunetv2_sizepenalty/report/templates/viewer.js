// The slice viewer. Two ways of drawing with one interface: show(scan, label), moveTo([x, y, z]), style({...}).
// Voxels are indices (x, y, z) of the embedded volume, which is turned to RAS+.

/** NiiVue on WebGL2: three planes, interpolated image. */
class NiivueDrawing {
  planes = true;
  static async create(stage, onMove, onLoss) {
    const canvas = document.createElement("canvas");
    if (!canvas.getContext("webgl2")) return null;
    stage.replaceChildren(canvas);
    const nv = new niivue.Niivue({
      isRadiologicalConvention: true, crosshairColor: [1, 1, 1, 0.75], crosshairWidth: 0.3, crosshairWidthUnit: "percent", crosshairGap: 5, show3Dcrosshair: false,
      backColor: [0, 0, 0, 1], dragAndDropEnabled: false, scrollRequiresFocus: true, isResizeCanvas: true,
      multiplanarShowRender: 0, fontSizeScaling: 0.3, logLevel: "error",
    });
    await nv.attachToCanvas(canvas, false);
    canvas.addEventListener("webglcontextlost", onLoss);
    nv.onLocationChange = (location) => onMove([...location.vox].slice(0, 3).map(Math.round));
    return Object.assign(new NiivueDrawing(), { nv });
  }
  async show(scan, label) {
    const load = (base64, name, options) => niivue.NVImage.loadFromBase64({ base64, name, ...options });
    const image = await load(scan.image, "image.nii.gz", { colormap: "gray", cal_min: 0, cal_max: 255 });
    const masks = await load(scan.masks[label], "masks.nii.gz", {});
    while (this.nv.volumes.length) this.nv.removeVolume(this.nv.volumes[0]);
    this.nv.addVolume(image);
    this.nv.addVolume(masks);
    this.paint();
  }
  style(style) {
    this.look = style;
    if (this.nv.volumes.length === 2) this.paint();
  }
  paint() {
    const { reference, prediction, opacity, three } = this.look;
    this.zoom();
    const [first, second, both] = [1, 2, 3].map((code) => DATA.mask_colours[code]);
    const rgb = [[0, 0, 0], first, second, reference && prediction ? both : reference ? first : second];
    const alpha = [0, reference, prediction, reference || prediction].map((on) => (on ? 255 : 0));
    const [R, G, B] = [0, 1, 2].map((channel) => rgb.map((colour) => colour[channel]));
    this.nv.volumes[1].setColormapLabel({ R, G, B, A: alpha, I: [0, 1, 2, 3], labels: ["", "", "", ""] });
    this.nv.setSliceType(three ? this.nv.sliceTypeMultiplanar : this.nv.sliceTypeAxial);
    this.nv.setOpacity(1, opacity);
  }
  moveTo(voxel) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(voxel);
    this.zoom();
    this.nv.drawScene();
  }
  /** Magnifies around the cross-hair, which stays where it is on the screen. */
  zoom() {
    const { zoom } = this.look;
    const mm = this.nv.frac2mm(this.nv.scene.crosshairPos);
    this.nv.opts.crosshairWidth = 0.3 / zoom;
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((axis) => (1 - zoom) * mm[axis]), zoom];
  }
}

/** Pictures of the slices that hold lesions, with a cross-hair of two lines. */
class PictureDrawing {
  planes = false;
  constructor(stage, onMove) {
    this.onMove = onMove;
    this.frame = document.createElement("div");
    this.frame.className = "pictures";
    this.image = document.createElement("img");
    this.overlay = Object.assign(document.createElement("img"), { className: "overlay" });
    this.across = Object.assign(document.createElement("i"), { className: "across" });
    this.down = Object.assign(document.createElement("i"), { className: "down" });
    this.frame.append(this.image, this.overlay, this.across, this.down);
    this.frame.addEventListener("click", (event) => {
      const box = this.frame.getBoundingClientRect();
      const [nx, ny] = this.scan.shape;
      const x = nx - 1 - Math.floor(((event.clientX - box.left) / box.width) * nx);
      const y = ny - 1 - Math.floor(((event.clientY - box.top) / box.height) * ny);
      this.moveTo([Math.max(0, x), Math.max(0, y), this.voxel[2]]);
      this.onMove(this.voxel);
    });
    stage.replaceChildren(this.frame);
  }
  async show(scan, label) {
    Object.assign(this, { scan, label });
    const [nx, ny] = scan.shape, [sx, sy] = scan.spacing_mm;
    const ratio = (nx * sx) / (ny * sy);
    Object.assign(this.frame.style, { aspectRatio: ratio, width: ratio >= 1 ? "100%" : "auto", height: ratio >= 1 ? "auto" : "100%" });
  }
  style({ opacity, zoom }) {
    this.overlay.style.opacity = opacity;
    this.frame.style.setProperty("--zoom", zoom);
  }
  moveTo([x, y, z]) {
    const { slices, shape } = this.scan;
    const nearest = slices.z.reduce((best, at, i) => (Math.abs(at - z) < Math.abs(slices.z[best] - z) ? i : best), 0);
    this.voxel = [x, y, slices.z[nearest]];
    this.image.hidden = !slices.images;
    if (slices.images) this.image.src = slices.images[nearest];
    this.image.alt = `Slice ${this.voxel[2] + 1} of ${this.scan.case}`;
    this.overlay.src = slices.masks[this.label][nearest];
    this.overlay.alt = "Reference and prediction";
    this.frame.style.setProperty("--x", `${(100 * (shape[0] - 0.5 - x)) / shape[0]}%`);
    this.frame.style.setProperty("--y", `${(100 * (shape[1] - 0.5 - y)) / shape[1]}%`);
  }
}

class Viewer {
  constructor(root, scans, { lesionsOf, caseOf, onPick, marks }) {
    Object.assign(this, { root, scans, lesionsOf, caseOf, onPick, marks, label: 0, key: "" });
    this.find = (name) => root.querySelector(`[data-part="${name}"]`);
    this.fill();
    this.find("case").addEventListener("change", (event) => this.showCase(event.target.value));
    this.find("slice").addEventListener("input", (event) => {
      const at = Number(event.target.value);
      this.move([this.voxel[0], this.voxel[1], this.drawing.planes ? at : this.scan.slices.z[at]]);
    });
    for (const part of ["reference", "prediction", "opacity", "zoom"]) this.find(part).addEventListener("input", () => this.restyle());
    for (const button of root.querySelectorAll("[data-planes]")) {
      button.addEventListener("click", () => {
        for (const other of root.querySelectorAll("[data-planes]")) other.setAttribute("aria-pressed", String(other === button));
        this.restyle();
      });
    }
  }

  fill() {
    const groups = new Map();
    for (const scan of Object.values(this.scans)) groups.set(scan.why, [...(groups.get(scan.why) ?? []), scan.case]);
    this.find("case").replaceChildren(...[...groups].map(([why, cases]) => {
      const group = Object.assign(document.createElement("optgroup"), { label: why });
      group.append(...cases.map((name) => Object.assign(document.createElement("option"), { value: name, textContent: name })));
      return group;
    }));
  }

  async start(label) {
    this.label = label;
    const first = Object.values(this.scans)[0];
    const usePictures = () => {
      this.drawing = new PictureDrawing(this.find("stage"), (voxel) => this.moved(voxel));
      this.root.classList.add("pictures-only");
      this.find("planes").hidden = true;
      this.find("layers").hidden = true;
    };
    const onLoss = async () => { usePictures(); this.restyle(); await this.showCase(this.scan.case, this.voxel); };
    try {
      const volumes = !first.flat && typeof niivue !== "undefined";
      this.drawing = volumes && (await NiivueDrawing.create(this.find("stage"), (voxel) => this.moved(voxel), onLoss));
    } catch {
      this.drawing = null;
    }
    if (!this.drawing) usePictures();
    this.restyle();
    await this.showCase(first.case);
    this.root.dataset.ready = this.drawing.planes ? "volumes" : "pictures";
  }

  restyle() {
    this.drawing.style({
      reference: this.find("reference").checked, prediction: this.find("prediction").checked,
      opacity: Number(this.find("opacity").value), zoom: Number(this.find("zoom").value), three: this.find("three").getAttribute("aria-pressed") === "true",
    });
  }

  /** Shows a case, at `voxel` or at its first lesion: a missed one, else the largest. */
  async showCase(name, voxel) {
    this.scan = this.scans[name];
    this.find("case").value = name;
    await this.drawing.show(this.scan, DATA.labels[this.label].name);
    const slices = this.drawing.planes ? this.scan.shape[2] : this.scan.slices.z.length;
    Object.assign(this.find("slice"), { max: slices - 1, disabled: slices < 2 });
    this.find("slice-row").hidden = slices < 2;
    const lesions = this.lesionsOf(name, this.label);
    const first = lesions.find((lesion) => lesion.fate === "missed") ?? lesions[0];
    if (!voxel) this.key = first ? first.key : "";
    this.describe(lesions);
    this.say("");
    this.move(voxel ?? (first ? first.at : this.scan.shape.map((n) => Math.floor(n / 2))));
  }

  describe(lesions) {
    const text = (value) => RowTable.text(value, {});
    const { key, name } = DATA.unit;
    const size = (row, of) => `${text(row[`${of}_${key}`])} ${name}`;
    const row = this.caseOf(this.scan.case, this.label);
    const about = this.find("about");
    about.replaceChildren();
    const put = (title, value) => about.append(title, Object.assign(document.createElement("b"), { textContent: value }));
    put("Reference ", size(row, "reference"));
    put(" · prediction ", size(row, "prediction"));
    put(" · Dice ", text(row.dice));
    put(" · missed ", `${row.missed} of ${row.n_reference}`);
    put(" · false positives ", text(row.false_positives));
    if (this.scan.shrink > 1) about.append(` · drawn ${this.scan.shrink} times coarser`);
    this.find("lesions").replaceChildren(...lesions.map((lesion) => {
      const [role, , mark] = this.marks[lesion.fate];
      const button = Object.assign(document.createElement("button"), { type: "button", title: lesion.fate });
      button.dataset.key = lesion.key;
      const sign = Object.assign(document.createElement("span"), { className: `fate-${role}`, textContent: mark });
      button.append(sign, ` ${size(lesion, "volume")}`);
      button.classList.toggle("selected", lesion.key === this.key);
      button.addEventListener("click", () => this.onPick(lesion));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }

  /** Moves to a lesion, of another case if need be; says so where its case is not in the page. */
  async goTo(lesion, label) {
    if (!this.scans[lesion.case]) {
      const at = lesion.kind ? ` The lesion lies at voxel z ${Math.round(lesion.z)}, y ${Math.round(lesion.y)}, x ${Math.round(lesion.x)} of its file.` : "";
      this.say(`Case ${lesion.case} is not embedded in this page: evaluate again with --cases ${lesion.case} to see it here.${at}`);
      return;
    }
    const changed = label !== this.label || this.scan.case !== lesion.case;
    this.label = label;
    this.key = lesion.kind ? lesion.key : "";
    if (changed) await this.showCase(lesion.case, lesion.at);
    else if (lesion.at) this.move(lesion.at);
    this.say("");
    for (const button of this.find("lesions").querySelectorAll("button")) button.classList.toggle("selected", button.dataset.key === this.key);
  }

  move(voxel) {
    this.drawing.moveTo(voxel);
    this.moved(this.drawing.planes ? voxel : this.drawing.voxel);
  }

  moved(voxel) {
    this.voxel = voxel;
    const slider = this.find("slice");
    slider.value = this.drawing.planes ? voxel[2] : this.scan.slices.z.indexOf(voxel[2]);
    this.find("where").textContent = `Slice ${Number(slider.value) + 1} of ${Number(slider.max) + 1}`;
    this.root.dataset.voxel = voxel.join(",");
    this.root.dataset.case = this.scan.case;
  }

  say(message) { this.find("message").textContent = message; }
}
