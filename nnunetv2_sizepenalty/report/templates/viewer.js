// The slice viewer: cases, channels, window and level, lesions. `drawings.js` draws.

// A lesion that is clicked is magnified until it is so many screen pixels wide.
const LESION_PIXELS = 30;

class Viewer {
  constructor(root, scans, { lesionsOf, caseOf, onPick, marks }) {
    Object.assign(this, { root, scans, lesionsOf, caseOf, onPick, marks, label: 0, key: "", channel: "", magnified: 1 });
    this.find = (name) => root.querySelector(`[data-part="${name}"]`);
    this.fill();
    this.find("case").addEventListener("change", (event) => this.showCase(event.target.value));
    this.find("channel").addEventListener("change", (event) => this.showChannel(event.target.value));
    this.find("slice").addEventListener("input", (event) => this.move([this.voxel[0], this.voxel[1], Number(event.target.value)]));
    for (const part of ["reference", "prediction", "opacity", "window", "level"]) this.find(part).addEventListener("input", () => this.restyle());
    this.find("zoom").addEventListener("input", (event) => {
      this.magnified = Number(event.target.value);
      this.restyle();
    });
    this.find("reset").addEventListener("click", () => { this.resetWindow(); this.restyle(); });
    for (const button of root.querySelectorAll("[data-planes]")) {
      button.addEventListener("click", () => {
        for (const other of root.querySelectorAll("[data-planes]")) other.setAttribute("aria-pressed", String(other === button));
        this.restyle();
      });
    }
    this.dragWindow(this.find("stage"));
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

  /** Across with the right button is the window, up and down the level. */
  dragWindow(stage) {
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("pointermove", (event) => {
      if (!(event.buttons & 2)) return;
      for (const [part, by] of [["window", event.movementX], ["level", -event.movementY]]) this.find(part).value = Number(this.find(part).value) + by;
      this.restyle();
    });
  }

  async start(label) {
    this.label = label;
    const first = Object.values(this.scans)[0];
    const usePictures = () => {
      this.drawing = new PictureDrawing(this.find("stage"), (voxel) => this.moved(voxel));
      this.root.classList.add("pictures-only");
      this.find("planes").hidden = true;
    };
    const onLoss = async () => { usePictures(); await this.showCase(this.scan.case, this.voxel); };
    try {
      const volumes = !first.flat && typeof niivue !== "undefined";
      this.drawing = volumes && (await NiivueDrawing.create(this.find("stage"), (voxel) => this.moved(voxel), onLoss));
    } catch {
      this.drawing = null;
    }
    if (!this.drawing) usePictures();
    await this.showCase(first.case);
    this.root.dataset.ready = this.drawing.planes ? "volumes" : "pictures";
  }

  style() {
    const [width, level] = ["window", "level"].map((part) => Number(this.find(part).value));
    const shown = [level - width / 2, level + width / 2];
    const { low, high } = this.image;
    const value = (byte) => RowTable.text(low + (byte / 255) * (high - low), { digits: 3 });
    this.find("range").textContent = `${value(shown[0])} to ${value(shown[1])}`;
    this.root.dataset.window = shown.join(",");
    return {
      reference: this.find("reference").checked, prediction: this.find("prediction").checked,
      opacity: Number(this.find("opacity").value), zoom: Number(this.find("zoom").value), three: this.find("three").getAttribute("aria-pressed") === "true",
      window: shown, wide: this.wide ?? 0,
    };
  }

  restyle() {
    this.drawing.style(this.style());
  }

  resetWindow() {
    const [first, last] = this.image.window;
    Object.assign(this.find("window"), { value: last - first });
    Object.assign(this.find("level"), { value: (first + last) / 2 });
  }

  /** Offers the case's channels; the one that was chosen before stays where the case has it. */
  chooseChannel(name) {
    const { channels, left_out } = this.scan;
    this.image = channels.find((channel) => channel.name === name) ?? channels[0];
    const option = (value, disabled) => Object.assign(document.createElement("option"), { value, disabled, textContent: disabled ? `${value} (not in this page)` : value });
    this.find("channel").replaceChildren(...channels.map((channel) => option(channel.name, false)), ...left_out.map((channel) => option(channel, true)));
    this.find("channel").value = this.image.name;
    this.find("channels").hidden = channels.length + left_out.length < 2;
    this.find("windowing").hidden = !this.image.name;
    this.resetWindow();
  }

  async showChannel(name) {
    this.channel = name;
    const { voxel } = this;
    this.chooseChannel(name);
    await this.draw();
    this.move(voxel);
  }

  async draw() {
    this.drawing.look = this.style();
    await this.drawing.show(this.scan, DATA.labels[this.label].name, this.scan.channels.indexOf(this.image));
  }

  /** Shows a case, at `voxel` or at its first lesion: a missed one, else the largest. */
  async showCase(name, voxel) {
    this.scan = this.scans[name];
    this.find("case").value = name;
    this.chooseChannel(this.channel);
    await this.draw();
    const slices = this.scan.shape[2];
    Object.assign(this.find("slice"), { max: slices - 1, disabled: slices < 2 });
    this.find("slice-row").hidden = slices < 2;
    const lesions = this.lesionsOf(name, this.label);
    const first = lesions.find((lesion) => lesion.fate === "missed") ?? lesions[0];
    if (!voxel) this.key = first ? first.key : "";
    this.describe(lesions);
    this.say("");
    this.magnify(first && !voxel ? first.wide_mm : 0, false);
    this.move(voxel ?? (first ? first.at : this.scan.shape.map((n) => Math.floor(n / 2))));
  }

  /** Leaves the cross-hair's gap for a lesion of that width in mm, and magnifies where it would be too small to see. */
  magnify(wide_mm, zoom = true) {
    this.wide = wide_mm ?? 0;
    const wanted = zoom && this.wide ? LESION_PIXELS / (this.wide * this.drawing.scale()) : 1;
    this.find("zoom").value = Math.max(this.magnified, wanted);
    this.restyle();
    this.root.dataset.pixels = (this.wide * this.drawing.scale() * Number(this.find("zoom").value)).toFixed(1);
  }

  describe(lesions) {
    this.find("about").replaceChildren(...caseFacts(this.caseOf(this.scan.case, this.label), this.scan.shrink));
    this.find("lesions").replaceChildren(...lesionButtons(lesions, this));
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
    if (lesion.at) {
      this.move(lesion.at);
      this.magnify(lesion.wide_mm);
    }
    this.say("");
    for (const button of this.find("lesions").querySelectorAll("button")) button.classList.toggle("selected", button.dataset.key === this.key);
  }

  move(voxel) {
    this.drawing.moveTo(voxel);
    this.moved(voxel);
  }

  /** The voxel's index (x, y, z) in the file. */
  inFile(voxel) {
    return this.scan.to_file.map((row, axis) => {
      const at = row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3];
      return Math.min(this.scan.file_shape[axis] - 1, Math.max(0, Math.round(at)));
    });
  }

  moved(voxel) {
    this.voxel = voxel;
    this.find("slice").value = voxel[2];
    const file = this.inFile(voxel), { slice_axis: axis, file_shape: shape, flat } = this.scan;
    this.find("where").textContent = `${"xyz"[axis]} ${file[axis]} of 0 to ${shape[axis] - 1}`;
    this.find("voxel").textContent = flat ? `pixel x ${file[0]}, y ${file[1]}` : `voxel x ${file[0]}, y ${file[1]}, z ${file[2]}`;
    this.root.dataset.voxel = voxel.join(",");
    this.root.dataset.fileVoxel = file.join(",");
    this.root.dataset.case = this.scan.case;
  }

  say(message) { this.find("message").textContent = message; }
}
