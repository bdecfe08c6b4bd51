"""Acute lesions and the findings that imitate them: their effect on ADC and S0, and the label."""

from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.lesions import component_voxels, label_components
from nnunetv2_sizepenalty.phantom.fields import SmoothField
from nnunetv2_sizepenalty.phantom.grid import CENTRE_MM, average
from nnunetv2_sizepenalty.phantom.lesion_shapes import Ellipsoid, LesionSource, PlannedLesion, TissuePlaces
from nnunetv2_sizepenalty.phantom.painting import Canvas
from nnunetv2_sizepenalty.phantom.parameters import LesionAppearance, PhantomParameters
from nnunetv2_sizepenalty.phantom.signal import TissueProperties


@dataclass(frozen=True)
class FindingTruth:
    """The truth about one lesion or distractor.

    Attributes:
        kind: "lesion", or a distractor's name.
        volume_ml: as drawn, grown to in brain tissue.
        labelled_ml: in the mask; 0 for distractors.
        centre_mm: x, y, z (RAS, the affine's world) of its centre of mass.
        adc_factor: its ADC over the tissue's in its core.
        dwi_factor: its b1000 signal over the tissue's in its core.
    """

    kind: str
    volume_ml: float
    labelled_ml: float
    centre_mm: tuple[float, float, float]
    adc_factor: float
    dwi_factor: float


@dataclass
class Findings:
    """What findings do to a subject: factors on ADC and S0 (thin grid), and for acute lesions the label (scan grid)."""

    adc_factor: np.ndarray
    s0_factor: np.ndarray
    fraction: np.ndarray
    label: np.ndarray
    findings: list[FindingTruth]
    age: str = ""

    @classmethod
    def none(cls, canvas: Canvas, parts: tuple[int, int, int]) -> "Findings":
        shape = canvas.subject.grid.shape
        ones = np.ones(shape, np.float32)
        label = np.zeros([n // p for n, p in zip(shape, parts, strict=True)], bool)
        return cls(ones, ones.copy(), np.zeros(shape, np.float32), label, [])

    def paint(self, box: tuple, fraction: np.ndarray, adc_factor: float, s0_factor: float, patches: np.ndarray) -> None:
        """Blends a finding in; `patches` varies its contrast."""
        weight = fraction * patches
        self.adc_factor[box] *= 1 + np.float32(adc_factor - 1) * weight
        self.s0_factor[box] *= 1 + np.float32(s0_factor - 1) * weight
        self.fraction[box] = np.maximum(self.fraction[box], fraction)


def paint_lesions(
    canvas: Canvas,
    healthy: TissueProperties,
    source: LesionSource,
    look: LesionAppearance,
    parts: tuple[int, int, int],
    rng: np.random.Generator,
) -> Findings:
    """A case's acute lesions. One that adds less than `look.visible_gain` to the signal, or fills no voxel by half, is
    neither painted nor labelled."""
    axes = canvas.subject.grid.axes_mm
    painted = Findings.none(canvas, parts)
    age = look.ages[rng.choice(len(look.ages), p=[a.chance for a in look.ages])]
    painted.age = age.name
    patches = _patches(canvas, look, rng)
    slack = average(
        np.float32(look.rater_slack) * SmoothField(rng, look.rater_mm, centre_mm=CENTRE_MM).on_axes(*axes), parts
    )
    tissue = average(np.where(canvas.subject.brain, canvas.subject.csf(look.swelling), 1), parts) < 0.5
    adc_case, s0_case = rng.uniform(*age.adc), rng.uniform(*age.s0)
    for lesion in source.plan(rng, canvas.subject):
        contrast = rng.uniform(*(look.small_contrast if lesion.volume_ml < look.small_ml else look.large_contrast))
        adc_factor = max(look.lowest_adc_factor, 1 + contrast * (adc_case - 1))
        s0_factor = 1 + contrast * (s0_case - 1)
        grown = canvas.grow(lesion, rng.uniform(*look.edge_mm))
        if grown is None:
            continue
        box, fraction = grown
        scan_box, whole = _scan_voxels(box, fraction, parts)
        label = (average(whole, parts) > 0.5 + slack[scan_box]) & tissue[scan_box]
        label, flecks = _without_flecks(label, look.smallest_piece)
        fraction[_thin_voxels(flecks, scan_box, box, parts)] = 0
        core = np.median(healthy.adc[box][fraction >= fraction.max() * 0.9])
        dwi_factor = float(s0_factor * np.exp(core * (1 - adc_factor)))
        if dwi_factor < 1 + look.visible_gain or not label.any():
            continue
        painted.paint(box, fraction, adc_factor, s0_factor, patches[box])
        painted.label[scan_box] |= label
        labelled = float(label.sum() * np.prod(parts) * canvas.subject.grid.voxel_ml)
        painted.findings.append(
            FindingTruth("lesion", lesion.volume_ml, labelled, _centre(canvas, box, fraction), adc_factor, dwi_factor)
        )
    return painted


def paint_distractors(
    canvas: Canvas,
    healthy: TissueProperties,
    parameters: PhantomParameters,
    parts: tuple[int, int, int],
    rng: np.random.Generator,
) -> Findings:
    """Chronic and shine-through findings in the tissue that acute lesions left free."""
    look = parameters.lesions
    painted = Findings.none(canvas, parts)
    patches = _patches(canvas, look, rng)
    places = TissuePlaces(canvas.subject)
    for kind in parameters.distractors:
        for _ in range(rng.integers(kind.number[0], kind.number[1] + 1)):
            volume = float(np.exp(rng.uniform(*np.log(kind.volume_ml))))
            centre = places.draw(rng, volume)
            shape = Ellipsoid.draw(rng, centre, volume, look)
            adc_factor, dwi_factor = rng.uniform(*kind.adc), rng.uniform(*kind.dwi)
            grown = canvas.grow(PlannedLesion(volume, centre, shape), rng.uniform(*look.edge_mm))
            if grown is None:
                continue
            box, fraction = grown
            core = np.median(healthy.adc[box][fraction >= fraction.max() * 0.9])
            # The b1000 signal is given, so S0 makes up for what the higher ADC takes.
            s0_factor = float(dwi_factor * np.exp(core * (adc_factor - 1)))
            painted.paint(box, fraction, adc_factor, s0_factor, patches[box])
            painted.findings.append(
                FindingTruth(kind.name, volume, 0.0, _centre(canvas, box, fraction), adc_factor, dwi_factor)
            )
    return painted


def _patches(canvas: Canvas, look: LesionAppearance, rng: np.random.Generator) -> np.ndarray:
    """Contrast inside findings, 1 on average."""
    field = SmoothField(rng, look.patch_mm, centre_mm=CENTRE_MM).on_axes(*canvas.subject.grid.axes_mm)
    return np.clip(1 + np.float32(look.patchiness) * field, 0.3, 1.6)


def _scan_voxels(box: tuple, fraction: np.ndarray, parts: tuple) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """The scan's voxels that a box of thin ones touches, and the fractions padded to fill them."""
    scan = tuple(slice(s.start // p, -(-s.stop // p)) for s, p in zip(box, parts, strict=True))
    pads = [(s.start - c.start * p, c.stop * p - s.stop) for s, c, p in zip(box, scan, parts, strict=True)]
    return scan, np.pad(fraction, pads)


def _thin_voxels(scan: np.ndarray, scan_box: tuple, box: tuple, parts: tuple) -> np.ndarray:
    """A mask of the scan's voxels on the thin ones of `box`."""
    for axis, n in enumerate(parts):
        scan = scan.repeat(n, axis)
    inside = (slice(b.start - s.start * p, b.stop - s.start * p) for b, s, p in zip(box, scan_box, parts, strict=True))
    return scan[tuple(inside)]


def _without_flecks(label: np.ndarray, smallest_piece: float) -> tuple[np.ndarray, np.ndarray]:
    """The label without pieces below that share of it, and those pieces: sulci split a lesion, but not into dust."""
    pieces, n = label_components(label)
    small = np.concatenate([[False], component_voxels(pieces, n) < smallest_piece * label.sum()])[pieces]
    return label & ~small, small


def _centre(canvas: Canvas, box: tuple, fraction: np.ndarray) -> tuple[float, float, float]:
    axes = canvas.subject.grid.box(box).axes_mm
    total = fraction.sum(dtype=float)
    z, y, x = (
        float((fraction.sum(tuple(a for a in range(3) if a != i), dtype=float) @ axes[i]) / total) for i in range(3)
    )
    return x, y, z
