"""A phantom case: what the images look like, what is labelled, and what must not be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nnunetv2_sizepenalty.phantom import generate_case
from nnunetv2_sizepenalty.phantom.anatomy import TissueMaps
from nnunetv2_sizepenalty.phantom.lesion_shapes import PlannedLesion
from nnunetv2_sizepenalty.phantom.parameters import DEFAULTS, LesionAge

SMALL = ((48, 64, 64), (3, 3, 3))


@pytest.fixture(scope="module")
def cases():
    return [generate_case(0, index, *SMALL) for index in range(1, 13)]


def voxel_of(case, finding):
    x, y, z = (np.linalg.inv(case.affine) @ [*finding.centre_mm, 1])[:3]
    return tuple(round(v) for v in (z, y, x))


def test_the_same_seed_and_index_give_the_same_case(cases):
    again = generate_case(0, 1, *SMALL)
    for name in ("adc", "dwi", "mask"):
        assert np.array_equal(getattr(again, name), getattr(cases[0], name))
    assert again.findings == cases[0].findings
    assert not np.array_equal(cases[0].adc, cases[1].adc)
    assert not np.array_equal(cases[0].adc, generate_case(1, 1, *SMALL).adc)


def test_physical_ranges(cases):
    for case in cases:
        brain = case.dwi > 0
        assert case.adc.shape == case.dwi.shape == case.mask.shape == SMALL[0]
        assert (case.adc.dtype, case.dwi.dtype, case.mask.dtype) == (np.float32, np.float32, np.uint8)
        assert 1000 < brain.sum() * 0.027 < 2000  # mL
        assert case.adc.min() == 0
        assert case.adc.max() <= 5
        assert 0.6 < np.percentile(case.adc[brain], 25) < 0.85  # tissue
        assert 2.5 < np.percentile(case.adc[brain], 99) < 3.8  # CSF
        assert set(np.unique(case.mask)) <= {0, 1}
        assert not case.mask[~brain].any()
        # Nothing but the medulla leaves the field of view.
        assert not case.adc[-1].any()
        assert not case.adc[:, [0, -1]].any()
        assert not case.adc[:, :, [0, -1]].any()


def test_a_brain_is_as_large_on_every_grid():
    volumes = [(generate_case(2, 4, shape).dwi > 0).mean() for shape in ((73, 112, 112), (48, 64, 64), (36, 80, 40))]
    assert volumes == pytest.approx([volumes[0]] * 3, rel=0.04)


def test_ventricles_lie_in_the_middle(cases):
    for case in cases:
        deep = ndimage.binary_erosion(case.dwi > 0, iterations=10)
        assert 4 < (deep & (case.adc > 2)).sum() * 0.027 < 60  # mL


def test_a_lesion_is_dark_on_adc_and_bright_on_dwi_beside_what_surrounds_it(cases):
    measured = [case for case in cases if case.mask.sum() * 0.027 > 1]
    assert len(measured) >= 6
    adc, dwi = [], []
    for case in measured:
        lesion = case.mask > 0
        ring = ndimage.binary_dilation(lesion, iterations=3) & ~ndimage.binary_dilation(lesion)
        ring &= (case.dwi > 0) & (case.adc < 1.1)
        adc.append(np.median(case.adc[lesion]) / np.median(case.adc[ring]))
        dwi.append(np.median(case.dwi[lesion]) / np.median(case.dwi[ring]))
        # In the subacute stage ADC is on its way back to normal.
        assert adc[-1] < (1.15 if case.age == "subacute" else 0.9)
    assert np.median(adc) < 0.85
    assert min(dwi) > 1.1
    assert np.median(dwi) > 1.4


class NoLesions:
    def plan(self, rng, subject):
        return []


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_a_lesion_lowers_adc_and_raises_dwi_of_the_same_brain(cases, index):
    case, healthy = cases[index - 1], generate_case(0, index, *SMALL, lesions=NoLesions())
    assert not healthy.mask.any()
    lesion = case.mask > 0
    assert np.median(case.adc[lesion] - healthy.adc[lesion]) < -0.05
    assert np.median(case.dwi[lesion] / healthy.dwi[lesion]) > 1.2
    assert np.array_equal(case.dwi > 0, healthy.dwi > 0)


@pytest.mark.parametrize(
    ("kind", "dwi_brighter"), [("shine_through", True), ("chronic", False)], ids=["shine_through", "chronic"]
)
def test_distractors_have_a_high_adc_and_no_label(cases, kind, dwi_brighter):
    adc, dwi = [], []
    for case in cases:
        for finding in case.findings:
            if finding.kind != kind:
                continue
            assert finding.labelled_ml == 0
            z, y, x = voxel_of(case, finding)
            if finding.volume_ml > 0.8:
                assert not case.mask[z, y, x]
                near = tuple(slice(v - 1, v + 2) for v in (z, y, x))
                around = tuple(slice(max(v - 6, 0), v + 7) for v in (z, y, x))
                tissue = (case.dwi[around] > 0) & (case.adc[around] < 1.1) & (case.mask[around] == 0)
                adc.append(np.median(case.adc[near]) / np.median(case.adc[around][tissue]))
                dwi.append(np.median(case.dwi[near]) / np.median(case.dwi[around][tissue]))
    assert len(adc) >= 5
    assert np.median(adc) > 1.25
    assert (np.median(dwi) > 1.1) == dwi_brighter


def test_a_threshold_on_dwi_does_not_solve_the_task(cases):
    def mean_dice(threshold):
        return np.mean(
            [2 * (c.mask[c.dwi > threshold]).sum() / ((c.dwi > threshold).sum() + c.mask.sum()) for c in cases]
        )

    assert max(mean_dice(threshold) for threshold in range(100, 1500, 25)) < 0.45


def test_the_labelled_volume_is_the_drawn_one(cases):
    drawn = sum(f.volume_ml for c in cases for f in c.lesions)
    labelled = sum(c.mask.sum(dtype=float) for c in cases) * 0.027
    assert labelled == pytest.approx(drawn, rel=0.06)
    for case in cases:
        assert sum(f.labelled_ml for f in case.lesions) == pytest.approx(case.mask.sum(dtype=float) * 0.027)


class Ball:
    """White matter of 62 mm around the middle of the brain, cut by a slab of CSF at x in (10, 30)."""

    centre = np.array([0.0, -18.0, 10.0], np.float32)[:, None, None, None]

    def maps(self, points_mm):
        brain = (((points_mm - self.centre) ** 2).sum(0) < 62**2).astype(np.float32)
        slab = (points_mm[0] > 10) & (points_mm[0] < 30)
        return TissueMaps(white=np.where(slab, 0, brain), grey=np.zeros_like(brain), brain=brain)


class OneSphere:
    """A lesion source of one round lesion beside the slab."""

    def plan(self, rng, subject):
        centre = np.array([36.0, -18.0, 10.0])
        return [PlannedLesion(8.0, centre, self)]

    def level_mm(self, points_mm):
        return np.sqrt(((points_mm - np.array([[36.0], [-18.0], [10.0]], np.float32)) ** 2).sum(0))


def test_any_anatomy_and_any_source_of_lesions_will_do():
    case = generate_case(0, 1, *SMALL, anatomy=Ball(), lesions=OneSphere())
    assert case.mask.sum() * 0.027 == pytest.approx(8, rel=0.1)
    (lesion,) = case.lesions
    assert lesion.volume_ml == 8
    # The lesion grew away from the CSF: none of it is labelled.
    assert np.percentile(case.adc[case.mask > 0], 95) < 1.2


def test_a_lesion_that_cannot_be_seen_is_neither_painted_nor_labelled():
    invisible = replace(DEFAULTS.lesions, ages=(LesionAge("none", 1.0, (0.98, 1.0), (1.0, 1.02)),))
    case = generate_case(0, 1, *SMALL, parameters=replace(DEFAULTS, lesions=invisible))
    assert case.lesions == ()
    assert not case.mask.any()


def test_thick_slices_hold_the_same_brain():
    thick = generate_case(3, 1, (24, 64, 64), (6, 3, 3))
    assert thick.adc.shape == (24, 64, 64)
    assert thick.affine[2, 2] == 6
    assert thick.mask.sum() * 0.054 == pytest.approx(sum(f.labelled_ml for f in thick.lesions))
    assert (thick.dwi > 0).sum() * 0.054 == pytest.approx((generate_case(3, 1, *SMALL).dwi > 0).sum() * 0.027, rel=0.04)


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "words"),
    [
        ((64, 64), None, "three whole numbers"),
        ((4, 64, 64), None, "too small"),
        ((32, 32, 32), (2, 2, 2), "more voxels or a larger spacing"),
        (None, (2, 0, 2), "positive"),
        (None, (2, 2), "three positive"),
    ],
    ids=["two numbers", "flat", "narrow", "zero spacing", "two spacings"],
)
def test_grids_without_room_for_a_brain_are_refused(shape, spacing_mm, words):
    with pytest.raises(ValueError, match=words):
        generate_case(0, 1, shape, spacing_mm)
