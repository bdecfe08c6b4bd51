"""One phantom case: anatomy, findings, signal, label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.phantom import signal
from nnunetv2_sizepenalty.phantom.anatomy import AnalyticAnatomy, Anatomy
from nnunetv2_sizepenalty.phantom.findings import FindingTruth, paint_distractors, paint_lesions
from nnunetv2_sizepenalty.phantom.grid import SamplingGrid, average
from nnunetv2_sizepenalty.phantom.lesion_shapes import EllipsoidLesions, LesionSource
from nnunetv2_sizepenalty.phantom.painting import Canvas
from nnunetv2_sizepenalty.phantom.parameters import DEFAULTS, PhantomParameters
from nnunetv2_sizepenalty.phantom.subject import Pose, brain_extent_mm, make_subject


@dataclass(frozen=True)
class PhantomCase:
    """A synthetic patient.

    Attributes:
        adc: float32 (z, y, x), 1e-3 mm^2/s, 0 outside the brain.
        dwi: float32 (z, y, x), the b = 1000 s/mm^2 image in a scanner's units, 0 outside the brain.
        mask: uint8 (z, y, x), 1 in acute lesions.
        spacing_mm: along z, y, x.
        affine: 4 x 4, voxel (x, y, z) to RAS mm, for NIfTI.
        age: name of the lesions' age.
        findings: lesions and distractors in the image, each with its true volume and centre.
        seed, index: what the case was made of.
    """

    adc: np.ndarray
    dwi: np.ndarray
    mask: np.ndarray
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray
    age: str
    findings: tuple[FindingTruth, ...]
    seed: int
    index: int

    @property
    def lesions(self) -> tuple[FindingTruth, ...]:
        """The findings that `mask` labels."""
        return tuple(f for f in self.findings if f.kind == "lesion")


def generate_case(
    seed: int,
    index: int,
    shape: Sequence[int] | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    anatomy: Anatomy | None = None,
    lesions: LesionSource | None = None,
    parameters: PhantomParameters = DEFAULTS,
) -> PhantomCase:
    """Makes case `index` of the series `seed`; it depends on nothing else.

    On another grid the same person shows with lesions of the same volumes at other places.

    Args:
        seed, index: whole numbers >= 0.
        shape: voxels along z, y, x; ISLES's 73 x 112 x 112 when None.
        spacing_mm: along z, y, x; when None, such that the field of view is ISLES's 146 x 224 x 224 mm.
        anatomy: the template brain; the analytic one when None.
        lesions: where lesions come from; `EllipsoidLesions` when None.
        parameters: the model's knobs.

    Raises:
        ValueError: a shape or spacing that holds no brain.
    """
    full = SamplingGrid.centred(shape, spacing_mm)
    anatomy = anatomy or AnalyticAnatomy()
    lesions = lesions or EllipsoidLesions(parameters.sizes, parameters.lesions)
    # A stream for each stage, so that one stage's draws don't move the next one's.
    streams = np.random.SeedSequence(seed, spawn_key=(index,)).spawn(6)
    body, tissue_rng, lesion_rng, distractor_rng, coil, noise = map(np.random.default_rng, streams)

    pose = Pose.draw(body, parameters.anatomy)
    low, high = brain_extent_mm(anatomy, pose)
    full = full.placed_over(low, high, body.normal(0, parameters.anatomy.shift_sd_mm, 3))
    box = full.box_around(low, high, margin_mm=8.0)
    thin, parts = full.box(box).thin(parameters.acquisition.thin_slice_mm)
    subject = make_subject(anatomy, pose, thin, body, parameters.anatomy)
    healthy = signal.tissue_properties(subject, tissue_rng, parameters.tissue)

    canvas = Canvas(subject, parameters.lesions.swelling)
    acute = paint_lesions(canvas, healthy, lesions, parameters.lesions, parts, lesion_rng)
    others = paint_distractors(canvas, healthy, parameters, parts, distractor_rng)
    csf = subject.csf(parameters.lesions.swelling * acute.fraction)
    altered = signal.TissueProperties(
        healthy.adc * acute.adc_factor * others.adc_factor,
        healthy.s0 * acute.s0_factor * others.s0_factor,
        healthy.adc_csf,
        healthy.s0_csf,
    )
    factor = signal.sensitivity(subject, coil, parameters.acquisition)
    b0, dwi = (factor * s for s in altered.signals(csf, parameters.acquisition.b_value))
    adc, dwi = signal.acquire(b0, dwi, parts, noise, parameters.acquisition)
    brain = average(subject.brain.astype(np.float32), parts) > 0.5
    adc, dwi, mask = (_placed(np.where(brain, a, 0), box, full.shape) for a in (adc, dwi, acute.label))
    findings = tuple(acute.findings + others.findings)
    return PhantomCase(adc, dwi, mask.astype(np.uint8), full.spacing_mm, full.affine, acute.age, findings, seed, index)


def _placed(values: np.ndarray, box: tuple[slice, slice, slice], shape: tuple[int, int, int]) -> np.ndarray:
    whole = np.zeros(shape, values.dtype)
    whole[box] = values
    return whole
