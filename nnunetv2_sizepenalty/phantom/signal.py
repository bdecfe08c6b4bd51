"""From tissue to what a scanner stores: S = S0 exp(-b ADC), coil, air, slices, Rician noise, and ADC from the pair."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.phantom.fields import SmoothField
from nnunetv2_sizepenalty.phantom.grid import CENTRE_MM, average
from nnunetv2_sizepenalty.phantom.parameters import Acquisition, TissueSignal
from nnunetv2_sizepenalty.phantom.subject import Subject

# Air cells that brighten the brain beside them: frontal sinus, ethmoid, petrous bones, (x, y, z) in MNI mm.
_AIR_MM = ((6, 62, -18), (-6, 62, -18), (0, 34, -28), (48, -28, -34), (-48, -28, -34), (48, 8, -40), (-48, 8, -40))
# The regional offsets are the same in every case.
_REGIONAL_SEED = 22


@dataclass(frozen=True)
class TissueProperties:
    """ADC and S0 of brain tissue and of CSF on a grid, float32; CSF's are one number each."""

    adc: np.ndarray
    s0: np.ndarray
    adc_csf: float
    s0_csf: float

    def signals(self, csf: np.ndarray, b_value: float) -> tuple[np.ndarray, np.ndarray]:
        """Noise-free signal at b = 0 and at `b_value`; the parts of a voxel add their signals, not their ADCs."""
        b0 = (1 - csf) * self.s0 + csf * np.float32(self.s0_csf)
        dwi = (1 - csf) * self.s0 * np.exp(-np.float32(b_value) * self.adc)
        return b0, dwi + csf * np.float32(self.s0_csf * np.exp(-b_value * self.adc_csf))


def tissue_properties(subject: Subject, rng: np.random.Generator, tissue: TissueSignal) -> TissueProperties:
    """Healthy tissue of one case."""
    axes = subject.grid.axes_mm
    white, grey, csf = (rng.normal(*pair) for pair in (tissue.adc_white, tissue.adc_grey, tissue.adc_csf))
    total = np.maximum(subject.maps.white + subject.maps.grey, 1e-3)
    share = np.clip(subject.maps.grey / total, 0, 1)
    fixed = np.random.default_rng(_REGIONAL_SEED)
    properties = []
    for low, high, regional_sd in (
        (white, grey, tissue.regional_adc_sd),
        (tissue.s0_white, tissue.s0_grey, tissue.regional_s0_sd),
    ):
        values = np.float32(low) + np.float32(high - low) * share
        texture = SmoothField(rng, tissue.texture_mm, centre_mm=CENTRE_MM).on_axes(*axes)
        regional = SmoothField(fixed, tissue.regional_mm, centre_mm=CENTRE_MM).on_axes(*axes)
        values *= np.exp(np.float32(tissue.texture_sd) * texture + np.float32(regional_sd) * regional)
        properties.append(values)
    adc, s0 = properties
    has_change = rng.random() < tissue.periventricular_chance
    reach = rng.uniform(*tissue.periventricular_reach_mm)
    adc_gain, s0_gain = rng.uniform(*tissue.periventricular_adc), rng.uniform(*tissue.periventricular_s0)
    if has_change:
        near = np.exp(-((subject.ventricle_mm / np.float32(reach)) ** 2)) * (1 - share)
        adc *= 1 + np.float32(adc_gain - 1) * near
        s0 *= 1 + np.float32(s0_gain - 1) * near
    return TissueProperties(adc, s0, float(csf), tissue.s0_csf)


def sensitivity(subject: Subject, rng: np.random.Generator, scanner: Acquisition) -> np.ndarray:
    """Factor on both signals: the coil's bias field, and brightening beside air cells. float32 (z, y, x)."""
    field = SmoothField(rng, scanner.bias_mm, centre_mm=CENTRE_MM).on_axes(*subject.grid.axes_mm)
    factor = np.exp(np.float32(scanner.bias_sd) * field)
    for centre in _AIR_MM:
        strength = np.float32(rng.uniform(*scanner.air_brightening))
        squared = sum((subject.points_mm[i] - np.float32(centre[i])) ** 2 for i in range(3))
        factor *= 1 + strength * np.exp(-squared / np.float32(2 * scanner.air_reach_mm**2))
    return factor


def acquire(
    b0: np.ndarray,
    dwi: np.ndarray,
    parts: tuple[int, int, int],
    rng: np.random.Generator,
    scanner: Acquisition,
) -> tuple[np.ndarray, np.ndarray]:
    """ADC (1e-3 mm^2/s) and b1000 image (arbitrary units) of noise-free signals on the thin grid.

    Thin slices are averaged as signal, noise comes on top, and ADC is computed from the noisy pair.
    """
    noise_sd = rng.uniform(*scanner.noise_sd)
    gain = np.exp(rng.normal(0, scanner.gain_log_sd))
    b0 = rician(average(b0, parts), scanner.noise_b0_ratio * noise_sd, rng, scanner.noise_blur_voxels)
    dwi = rician(average(dwi, parts), noise_sd, rng, scanner.noise_blur_voxels)
    adc = np.log(np.maximum(b0, 1e-3) / np.maximum(dwi, 1e-3)) / np.float32(scanner.b_value)
    # Stored as scanners do: whole units of signal, ADC in whole 1e-6 mm^2/s.
    adc = np.round(np.clip(adc, 0, scanner.adc_ceiling), 3)
    return adc.astype(np.float32), np.round(np.float32(gain) * dwi).astype(np.float32)


def rician(signal: np.ndarray, sd: float, rng: np.random.Generator, blur_voxels: float = 0.0) -> np.ndarray:
    """Magnitude of the signal with complex Gaussian noise of sd `sd`, correlated over `blur_voxels`. float32."""
    real, imaginary = rng.standard_normal((2, *signal.shape), dtype=np.float32)
    if blur_voxels:
        # Blurring takes variance away; what it leaves is the squared weights' sum, the same for each voxel.
        unit = np.zeros(9)
        unit[4] = 1
        left = (ndimage.gaussian_filter1d(unit, blur_voxels) ** 2).sum() ** (signal.ndim / 2)
        real, imaginary = (
            ndimage.gaussian_filter(n, blur_voxels, mode="wrap") / np.float32(left) for n in (real, imaginary)
        )
    sd = np.float32(sd)
    return np.hypot(signal + sd * real, sd * imaginary)
