// Two ways of drawing a case with one interface: show(scan, label, channel), moveTo([x, y, z]), style({...}), scale().
// Voxels are indices (x, y, z) of the embedded volume, which is turned to RAS+; a style's `window` is in its bytes.

/** Half of the cross-hair's gap in screen pixels: what is looked at stays free. */
const gapPixels = ({ wide }, scale) => Math.max(9, (wide * scale) / 2 + 5);

/** NiiVue on WebGL2: three planes, interpolated image. */
class NiivueDrawing {
  planes = true;
  static async create(stage, onMove, onLoss) {
    const canvas = document.createElement("canvas");
    if (!canvas.getContext("webgl2")) return null;
    stage.replaceChildren(canvas);
    const nv = new niivue.Niivue({
      isRadiologicalConvention: true, crosshairColor: [1, 1, 1, 0.75], crosshairWidthUnit: "mm", show3Dcrosshair: false,
      backColor: [0, 0, 0, 1], dragAndDropEnabled: false, dragMode: niivue.DRAG_MODE?.none ?? 0, scrollRequiresFocus: true, isResizeCanvas: true,
      multiplanarShowRender: 0, fontSizeScaling: 0.35, fontColor: [1, 1, 1, 0.8], logLevel: "error",
    });
    await nv.attachToCanvas(canvas, false);
    canvas.addEventListener("webglcontextlost", onLoss);
    nv.onLocationChange = (location) => onMove([...location.vox].slice(0, 3).map(Math.round));
    return Object.assign(new NiivueDrawing(), { nv, canvas });
  }
  async show(scan, label, channel) {
    const load = (base64, name, options) => niivue.NVImage.loadFromBase64({ base64, name, ...options });
    const image = await load(scan.channels[channel].data, "image.nii.gz", { colormap: "gray", cal_min: 0, cal_max: 255 });
    const masks = await load(scan.masks[label], "masks.nii.gz", {});
    while (this.nv.volumes.length) this.nv.removeVolume(this.nv.volumes[0]);
    this.nv.addVolume(image);
    this.nv.addVolume(masks);
    this.scan = scan;
    this.paint();
  }
  style(style) {
    this.look = style;
    if (this.nv.volumes.length === 2) this.paint();
  }
  paint() {
    const { reference, prediction, opacity, three, window: [low, high] } = this.look;
    const [image, masks] = this.nv.volumes;
    Object.assign(image, { cal_min: low, cal_max: high });
    const [first, second, both] = [1, 2, 3].map((code) => DATA.mask_colours[code]);
    const rgb = [[0, 0, 0], first, second, reference && prediction ? both : reference ? first : second];
    const alpha = [0, reference, prediction, reference || prediction].map((on) => (on ? 255 : 0));
    const [R, G, B] = [0, 1, 2].map((channel) => rgb.map((colour) => colour[channel]));
    masks.setColormapLabel({ R, G, B, A: alpha, I: [0, 1, 2, 3], labels: ["", "", "", ""] });
    this.nv.setSliceType(three ? this.nv.sliceTypeMultiplanar : this.nv.sliceTypeAxial);
    this.zoom();
    this.nv.setOpacity(1, opacity);
  }
  moveTo(voxel) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(voxel);
    this.zoom();
    this.nv.drawScene();
  }
  /** Screen pixels per mm of the axial plane, not magnified: what is drawn now is magnified by the scene's zoom. */
  scale() {
    const tile = this.nv.screenSlices.find((slice) => slice.axCorSag === this.nv.sliceTypeAxial);
    if (tile) return Math.abs(tile.leftTopWidthHeight[2] / tile.fovMM[0]) / this.nv.uiData.dpr / this.nv.scene.pan2Dxyzmm[3];
    const [nx, ny] = this.scan.shape, [sx, sy] = this.scan.spacing_mm;
    return Math.min(this.canvas.clientWidth / (nx * sx), this.canvas.clientHeight / (ny * sy));
  }
  /** Magnifies around the cross-hair, which stays where it is on the screen. */
  zoom() {
    const { zoom } = this.look, pixel_mm = 1 / (this.scale() * zoom);
    const mm = this.nv.frac2mm(this.nv.scene.crosshairPos);
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((axis) => (1 - zoom) * mm[axis]), zoom];
    // NiiVue counts the gap in radii of the line, and keeps a cross-hair until it is moved.
    Object.assign(this.nv.opts, { crosshairWidth: 1.4 * pixel_mm, crosshairGap: gapPixels(this.look, 1 / pixel_mm) / 0.7 });
    this.nv.crosshairs3D = null;
  }
}

/** Canvases, where there is no WebGL2 and for 2D images: one plane. */
class PictureDrawing {
  planes = false;
  constructor(stage, onMove) {
    this.onMove = onMove;
    this.frame = document.createElement("div");
    this.frame.className = "pictures";
    this.image = Object.assign(document.createElement("canvas"), { className: "image" });
    this.overlay = Object.assign(document.createElement("canvas"), { className: "overlay" });
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
  async show(scan, label, channel) {
    const { data } = scan.channels[channel];
    const [image, masks] = await Promise.all([data.startsWith("data:") ? decodePicture(data) : decodeNifti(data), decodeNifti(scan.masks[label])]);
    Object.assign(this, { scan, masks, pixels: image, colours: data.startsWith("data:"), voxel: scan.shape.map(() => 0) });
    const [nx, ny] = scan.shape, [sx, sy] = scan.spacing_mm;
    for (const canvas of [this.image, this.overlay]) Object.assign(canvas, { width: nx, height: ny });
    const ratio = (nx * sx) / (ny * sy);
    Object.assign(this.frame.style, { aspectRatio: ratio, width: ratio >= 1 ? "100%" : "auto", height: ratio >= 1 ? "auto" : "100%" });
  }
  style(style) {
    this.look = style;
    if (this.scan) this.paint();
  }
  scale() {
    return this.frame.clientWidth / (this.scan.shape[0] * this.scan.spacing_mm[0]);
  }
  moveTo(voxel) {
    this.voxel = voxel;
    this.paint();
  }
  paint() {
    const { reference, prediction, opacity, zoom, window: [low, high] } = this.look;
    const [nx, ny] = this.scan.shape, [x, y, z] = this.voxel;
    const grey = Uint8ClampedArray.from({ length: 256 }, (_, byte) => ((byte - low) * 255) / (high - low));
    // Rows run down from the front, columns from the patient's right; a photograph came as rows of RGBA already.
    const voxelOf = (pixel) => (z * ny + ny - 1 - Math.floor(pixel / nx)) * nx + nx - 1 - (pixel % nx);
    fill(this.image, (out, pixel) => {
      const at = this.colours ? 4 * pixel : voxelOf(pixel), step = this.colours ? 1 : 0;
      for (let c = 0; c < 3; c++) out[4 * pixel + c] = grey[this.pixels[at + step * c]];
      out[4 * pixel + 3] = 255;
    });
    const shown = { 1: reference ? 1 : 0, 2: prediction ? 2 : 0, 3: (reference ? 1 : 0) + (prediction ? 2 : 0) };
    fill(this.overlay, (out, pixel) => {
      const code = shown[this.masks[voxelOf(pixel)]];
      if (code) out.set([...DATA.mask_colours[code], 255], 4 * pixel);
    });
    this.overlay.style.opacity = opacity;
    const place = { "--zoom": zoom, "--x": `${(100 * (nx - 0.5 - x)) / nx}%`, "--y": `${(100 * (ny - 0.5 - y)) / ny}%`, "--gap": `${gapPixels(this.look, this.scale() * zoom) / zoom}px` };
    for (const [name, value] of Object.entries(place)) this.frame.style.setProperty(name, value);
  }
}

/** Draws every pixel of a canvas: draw(RGBA bytes, number of the pixel). */
function fill(canvas, draw) {
  const { width, height } = canvas;
  const picture = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) draw(picture.data, pixel);
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** The voxels of a gzipped NIfTI file of bytes. */
async function decodeNifti(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const file = await new Response(unpacked).arrayBuffer();
  return new Uint8Array(file, new DataView(file).getFloat32(108, true));
}

/** RGBA bytes of a picture. */
async function decodePicture(url) {
  const picture = Object.assign(new Image(), { src: url });
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.naturalWidth, height: picture.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}
