"""Every knob of the phantom but the template brain's geometry (`anatomy`), in one place.

Lengths in mm, ADC in 1e-3 mm^2/s, volumes in mL, b in 1e3 s/mm^2.
A pair (low, high) is a uniform range over cases or lesions, a pair named mean_sd a normal distribution.
"""

from dataclasses import dataclass

# Field of view (z, y, x) of the ISLES 2022 grid, 73 x 112 x 112 voxels of 2 mm.
DEFAULT_SHAPE = (73, 112, 112)
DEFAULT_FIELD_OF_VIEW_MM = (146.0, 224.0, 224.0)
# Smaller ones cut the brain off or leave nothing to see of it.
SMALLEST_FIELD_OF_VIEW_MM = (100.0, 150.0, 120.0)
SMALLEST_SHAPE = (8, 16, 16)


@dataclass(frozen=True)
class AnatomyVariation:
    """How one person's brain differs from the template, and how the cortex is folded."""

    scale_mean_sd: tuple[float, float] = (0.93, 0.045)
    rotation_sd_deg: float = 4.0
    shear_sd: float = 0.03
    shift_sd_mm: float = 2.5
    # (knot spacing, sd) of the smooth displacements
    warps_mm: tuple[tuple[float, float], ...] = ((44.0, 3.2), (16.0, 1.0))
    ventricle_widening: tuple[float, float] = (-0.10, 0.35)
    ventricle_reach_mm: float = 30.0
    # template maps are averages: grey against white is a sigmoid of (grey - white + noise)
    sharpness: float = 9.0
    border_noise_sd: float = 0.10
    border_noise_mm: float = 6.0
    groove_field_mm: float = 3.0
    groove_depth_mm: float = 18.0
    groove_half_width_mm: tuple[float, float] = (0.7, 1.3)
    ribbon_mm: float = 2.4
    # no grooves nearer to the middle than this share of the brain's half axes
    groove_inner_radius: float = 0.5
    # 0: grooves run straight inwards; 1: they wind as freely inwards as along the surface
    groove_radial_change: float = 0.4
    cerebellar_folding: float = 0.35


@dataclass(frozen=True)
class TissueSignal:
    """ADC (mean, sd over cases) and S0 of the tissues, and what varies them inside one brain."""

    adc_white: tuple[float, float] = (0.70, 0.03)
    adc_grey: tuple[float, float] = (0.80, 0.03)
    adc_csf: tuple[float, float] = (3.1, 0.15)
    s0_white: float = 590.0
    s0_grey: float = 800.0
    s0_csf: float = 2400.0
    texture_sd: float = 0.045
    texture_mm: float = 4.0
    regional_adc_sd: float = 0.06
    regional_s0_sd: float = 0.09
    regional_mm: float = 22.0
    periventricular_chance: float = 0.60
    periventricular_reach_mm: tuple[float, float] = (3.0, 9.0)
    periventricular_adc: tuple[float, float] = (1.05, 1.35)
    periventricular_s0: tuple[float, float] = (1.05, 1.30)


@dataclass(frozen=True)
class Acquisition:
    """The scanner: b-value, coil, air cells, noise, slices."""

    b_value: float = 1.0
    bias_sd: float = 0.24
    bias_mm: float = 40.0
    gain_log_sd: float = 0.30
    noise_sd: tuple[float, float] = (11.0, 24.0)
    noise_b0_ratio: float = 1.3
    noise_blur_voxels: float = 0.45
    air_brightening: tuple[float, float] = (0.1, 0.6)
    air_reach_mm: float = 9.0
    # slices thicker than this are simulated as several thin ones
    thin_slice_mm: float = 2.0
    adc_ceiling: float = 5.0


@dataclass(frozen=True)
class LesionSizes:
    """Percentiles of the 1,449 cases of the SOOP cohort, and how a case's volume is shared among its lesions."""

    total_ml: tuple[tuple[float, float], ...] = (
        (0, 0.03),
        (5, 0.30),
        (25, 2.0),
        (50, 12.7),
        (75, 51.9),
        (95, 197.0),
        (100, 320.0),
    )
    # 32 % of the cases hold one lesion
    number: tuple[tuple[float, float], ...] = ((0, 1), (32, 1.5), (50, 2.3), (75, 6.5), (95, 14.5), (100, 40))
    most: int = 96
    number_volume_correlation: float = 0.42
    # logit of the largest lesion's share: normal, mean max(floor, a - b ln n), sd c + d / n
    share_logit: tuple[float, float, float] = (5.0, 1.4, 1.2)
    share_logit_sd: tuple[float, float] = (1.5, 2.4)
    # the others' volumes relative to one another: log-normal
    split_log_sd: float = 1.5
    smallest_ml: float = 0.001


@dataclass(frozen=True)
class MaskPlacement:
    """How one patient's real lesions become another's."""

    mirror_chance: float = 0.5
    shift_sd_mm: float = 3.0
    # in this share of the cases a second patient's lesions below that volume come on top
    added_chance: float = 0.40
    added_below_ml: float = 1.0


@dataclass(frozen=True)
class LesionAge:
    """What an infarct of one age does to ADC, and to S0 by T2."""

    name: str
    chance: float
    adc: tuple[float, float]
    s0: tuple[float, float]


@dataclass(frozen=True)
class LesionAppearance:
    """Contrast, shape and place of infarcts, and what a rater calls lesion."""

    ages: tuple[LesionAge, ...] = (
        LesionAge("hyperacute", 0.20, (0.45, 0.70), (1.10, 1.30)),
        LesionAge("acute", 0.50, (0.50, 0.78), (1.35, 1.75)),
        LesionAge("subacute", 0.30, (0.68, 0.90), (1.50, 2.00)),
    )
    small_ml: float = 0.3
    small_contrast: tuple[float, float] = (0.8, 1.5)
    large_contrast: tuple[float, float] = (0.75, 1.0)
    lowest_adc_factor: float = 0.30
    edge_mm: tuple[float, float] = (0.6, 1.4)
    patchiness: float = 0.25
    patch_mm: float = 5.0
    swelling: float = 0.8
    elongation_log_sd: float = 0.28
    irregularity: float = 0.30
    near_chance: float = 0.5
    near_mm: tuple[float, float] = (6.0, 30.0)
    rater_slack: float = 0.10
    rater_mm: float = 5.0
    # pieces below this share of a lesion are dropped
    smallest_piece: float = 0.08
    visible_gain: float = 0.10


@dataclass(frozen=True)
class Distractor:
    """A finding that is bright or dark but is no acute infarct: ADC and b1000 signal relative to the tissue."""

    name: str
    number: tuple[int, int]
    adc: tuple[float, float]
    dwi: tuple[float, float]
    volume_ml: tuple[float, float] = (0.05, 3.0)


@dataclass(frozen=True)
class PhantomParameters:
    """The whole model."""

    anatomy: AnatomyVariation = AnatomyVariation()
    tissue: TissueSignal = TissueSignal()
    acquisition: Acquisition = Acquisition()
    sizes: LesionSizes = LesionSizes()
    masks: MaskPlacement = MaskPlacement()
    lesions: LesionAppearance = LesionAppearance()
    distractors: tuple[Distractor, ...] = (
        Distractor("chronic", (0, 5), (1.5, 2.6), (0.6, 1.0)),
        Distractor("shine_through", (0, 5), (1.3, 1.9), (1.1, 1.5)),
    )


DEFAULTS = PhantomParameters()
