"""The signal: noise, partial volume, slices, fields and the grid that they lie on."""

from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_sizepenalty.phantom.fields import SmoothField
from nnunetv2_sizepenalty.phantom.grid import SamplingGrid, average
from nnunetv2_sizepenalty.phantom.parameters import Acquisition
from nnunetv2_sizepenalty.phantom.signal import TissueProperties, acquire, rician

NOISELESS = replace(Acquisition(), noise_sd=(0.0, 0.0), gain_log_sd=0.0)


@pytest.mark.parametrize("blur_voxels", [0.0, 0.45, 0.8])
def test_noise_without_signal_is_rayleigh_and_beside_a_strong_signal_gaussian(blur_voxels):
    rng = np.random.default_rng(0)
    background = rician(np.zeros((40, 40, 40), np.float32), 12, rng, blur_voxels)
    assert background.min() >= 0
    assert background.mean() == pytest.approx(12 * np.sqrt(np.pi / 2), rel=0.03)
    assert background.std() == pytest.approx(12 * np.sqrt(2 - np.pi / 2), rel=0.03)
    strong = rician(np.full((40, 40, 40), 1000, np.float32), 12, rng, blur_voxels)
    assert strong.std() == pytest.approx(12, rel=0.03)
    assert strong.mean() == pytest.approx(1000, abs=0.5)


def test_adc_comes_back_from_the_pair():
    b0 = np.full((2, 2, 2), 800, np.float32)
    adc, dwi = acquire(b0, b0 * np.exp(-np.float32(0.8)), (1, 1, 1), np.random.default_rng(0), NOISELESS)
    assert adc == pytest.approx(0.8, abs=1e-3)
    assert dwi == pytest.approx(800 * np.exp(-0.8), abs=0.5)


def test_a_voxel_adds_signals_not_adcs():
    tissue = TissueProperties(np.full((1, 1, 1), 0.7), np.full((1, 1, 1), 600.0), adc_csf=3.0, s0_csf=2400.0)
    b0, dwi = tissue.signals(np.full((1, 1, 1), 0.5), b_value=1.0)
    assert b0.item() == pytest.approx(1500)
    assert dwi.item() == pytest.approx(300 * np.exp(-0.7) + 1200 * np.exp(-3))


def test_thick_slices_average_the_signal_before_adc():
    b0 = np.array([600, 2400], np.float32).reshape(2, 1, 1)
    dwi = b0 * np.exp(-np.array([0.7, 3.0], np.float32)).reshape(2, 1, 1)
    adc, _ = acquire(b0, dwi, (2, 1, 1), np.random.default_rng(0), NOISELESS)
    assert adc.shape == (1, 1, 1)
    assert adc.item() == pytest.approx(np.log(b0.mean() / dwi.mean()), abs=1e-3)
    assert abs(adc.item() - (0.7 + 3.0) / 2) > 0.1


@pytest.mark.parametrize(
    ("spacing_mm", "parts"),
    [((2, 2, 2), (1, 1, 1)), ((3, 3, 3), (1, 1, 1)), ((6, 0.9, 0.9), (3, 1, 1)), ((6, 3, 3), (2, 1, 1))],
)
def test_thin_slices_lie_inside_their_thick_one(spacing_mm, parts):
    grid = SamplingGrid.centred((60, 250, 250), spacing_mm)
    thin, found = grid.thin(2.0)
    assert found == parts
    for thick_mm, thin_mm, n in zip(grid.axes_mm, thin.axes_mm, parts, strict=True):
        assert thin_mm.reshape(-1, n).mean(1) == pytest.approx(thick_mm)
    assert average(np.ones(thin.shape, np.float32), parts).shape == grid.shape


def test_a_box_keeps_its_place():
    grid = SamplingGrid.centred((60, 100, 110), (2.5, 2, 1.8))
    box = grid.box((slice(5, 20), slice(7, 50), slice(11, 90)))
    assert (box.affine @ [0, 0, 0, 1])[:3] == pytest.approx((grid.affine @ [11, 7, 5, 1])[:3])


@pytest.mark.parametrize("smoothing_mm", [3.0, 8.0])
def test_fields_have_unit_variance_and_the_smoothness_asked_for(smoothing_mm):
    axes = tuple(np.arange(-60, 60, 1.5) for _ in range(3))
    field = SmoothField(np.random.default_rng(0), smoothing_mm).on_axes(*axes)
    assert field.std() == pytest.approx(1, abs=0.08)
    # White noise smoothed by a Gaussian of sd s has a gradient of variance 1 / (2 s^2) along each axis.
    gradient = np.diff(field, axis=0) / 1.5
    assert gradient.std() == pytest.approx(1 / (np.sqrt(2) * smoothing_mm), rel=0.15)


def test_fields_are_functions_of_millimetres():
    field = SmoothField(np.random.default_rng(0), 6.0)
    coarse, fine = (np.arange(-30, 30, step) for step in (4.0, 2.0))
    whole = field.on_axes(fine, fine, fine)
    assert whole[::2, ::2, ::2] == pytest.approx(field.on_axes(coarse, coarse, coarse))
    points = np.stack(np.meshgrid(fine, fine, fine, indexing="ij")[::-1]).astype(np.float32)
    assert np.corrcoef(whole.ravel(), field.at(points).ravel())[0, 1] > 0.98
