"""Against panoptica 2.1.7 and MONAI on random masks. Both are oracles, not dependencies: pip install --no-deps."""

import contextlib
import io
import math

import numpy as np
import pytest
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.protocols import Protocol

pytestmark = pytest.mark.integration

KINDS = ("isotropic", "anisotropic", "2D", "hundreds", "touching", "empty")
PAIRS = [(kind, seed) for kind in KINDS for seed in range(10)]


def random_pair(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """A reference mask, a prediction that shares most of it, and the spacing in mm."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    shape, spacing = {
        "isotropic": ((24, 40, 40), (1.0, 1.0, 1.0)),
        "anisotropic": ((16, 40, 36), (5.0, 0.6, 0.7)),
        "2D": ((90, 80), (0.8, 1.1)),
        "hundreds": ((40, 60, 60), (2.0, 1.5, 1.5)),
        "touching": ((20, 40, 40), (3.0, 1.0, 1.0)),
        "empty": ((12, 20, 20), (1.0, 2.0, 2.0)),
    }[kind]
    smooth = {"hundreds": 0.9, "touching": 1.2}.get(kind, 2.0)
    share = {"hundreds": 0.12, "touching": 0.15}.get(kind, 0.06)
    field = ndimage.gaussian_filter(rng.normal(size=shape), smooth)
    other = ndimage.gaussian_filter(rng.normal(size=shape), smooth)
    reference = field > np.quantile(field, 1 - share)
    mixed = field + rng.uniform(0.1, 0.9) * other
    prediction = mixed > np.quantile(mixed, 1 - share * rng.uniform(0.6, 1.4))
    if kind == "touching":
        # Lesions that touch by an edge or a corner: split or joined by the connectivity alone.
        reference &= (np.indices(shape).sum(axis=0) % 11) > 0
    if kind == "empty":
        reference &= seed % 3 == 0
        prediction &= seed % 3 == 1
    return reference, prediction, spacing


@pytest.mark.parametrize(("kind", "seed"), PAIRS)
def test_lesion_metrics_equal_panoptica(kind, seed):
    pytest.importorskip("panoptica", reason="oracle: pip install --no-deps panoptica==2.1.7")
    from panoptica import InputType, Metric, NaiveThresholdMatching, Panoptica_Evaluator

    reference, prediction, spacing = random_pair(kind, seed)
    protocol = Protocol()
    ours = score_case(reference, prediction, spacing, protocol).metrics
    labels = [
        find_instances(mask, spacing, protocol, is_reference=True).labels.astype(np.uint16)
        for mask in (prediction, reference)
    ]
    evaluator = Panoptica_Evaluator(
        InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(),
        instance_metrics=[Metric.DSC, Metric.IOU, Metric.ASSD],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = evaluator.evaluate(*labels, voxelspacing=spacing, verbose=False)["ungrouped"]
        expected = {name: getattr(theirs, name) for name in ("tp", "fp", "fn", "pq", "sq", "rq", "sq_assd")}
    lesion_masd = expected.pop("sq_assd")
    assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
    if expected["tp"]:
        assert ours["lesion_masd"] == pytest.approx(lesion_masd, rel=0, abs=1e-9)
    else:
        assert math.isnan(ours["lesion_masd"])


@pytest.mark.parametrize(("kind", "seed"), PAIRS)
def test_surface_distances_equal_monai(kind, seed):
    pytest.importorskip("monai", reason="oracle: pip install --no-deps monai")
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    reference, prediction, spacing = random_pair(kind, seed)
    ours = score_case(reference, prediction, spacing, Protocol(nsd_mm=1.5)).metrics
    if not reference.any() or not prediction.any():
        assert all(math.isnan(ours[name]) for name in ("assd", "masd", "hd95", "nsd"))
        return
    y_pred, y = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    common = {"include_background": True, "spacing": spacing}
    expected = {
        "assd": compute_average_surface_distance(y_pred, y, symmetric=True, **common).item(),
        "hd95": compute_hausdorff_distance(y_pred, y, percentile=95, **common).item(),
        "nsd": compute_surface_dice(y_pred, y, class_thresholds=[1.5], **common).item(),
    }
    # MONAI computes in float32.
    assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_pairs_hold_what_they_claim():
    lesions = [score_case(*random_pair("hundreds", seed), Protocol()).metrics["n_reference"] for seed in range(10)]
    assert min(lesions) >= 100
    for kind in ("isotropic", "anisotropic", "2D", "touching"):
        assert all(score_case(*random_pair(kind, seed), Protocol()).metrics["tp"] > 0 for seed in range(10)), kind
    for seed in range(10):
        pair = random_pair("touching", seed)
        by_face, ours = (score_case(*pair, Protocol(connectivity=c)).metrics["n_reference"] for c in (6, 18))
        assert by_face > 2 * ours
    empty = [tuple(bool(mask.any()) for mask in random_pair("empty", seed)[:2]) for seed in range(10)]
    assert set(empty) == {(True, False), (False, True), (False, False)}
