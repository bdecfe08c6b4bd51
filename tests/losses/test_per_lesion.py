"""S per lesion: against the float64 restatement, and on cells known by hand."""

import numpy as np
import pytest
import torch
from loss_restatement import LEVELS, Case, assert_equals_restatement, gates, variant_cases, with_cells
from torch.nn.functional import interpolate

from nnunetv2_sizepenalty.lesions import label_components, lesion_cells
from nnunetv2_sizepenalty.losses import DeepSupervision, Gate, SizeTerm, build_loss, logit_gradient_norms
from nnunetv2_sizepenalty.losses.cells import lesion_volumes
from nnunetv2_sizepenalty.losses.size_penalty import size_penalty
from nnunetv2_sizepenalty.losses.sums.volumes import Batch

CASES = variant_cases(
    code=("S", "SD", "DTS", "DTFS", "FS", "DCS", "DKS"),
    **LEVELS,
    target_dtype=("float32", "int16", "int32", "int64"),
    tau=(600.0, 20.0),
    log_ratio=(False, True),
    soft_cap=(False, True),
    gate=gates(5.0),
)


@pytest.mark.parametrize(("case", "variant"), CASES.values(), ids=CASES)
def test_value_and_gradient_equal_the_restatement(case, variant):
    assert_equals_restatement(case, per_lesion=True, **variant)


@pytest.mark.parametrize("weighting", ["balanced", "learned"])
@pytest.mark.parametrize("heads", ["regions2", "softmax2", "softmax4"])
def test_weightings_see_the_lesions(heads, weighting):
    case = Case("DTS", heads, (9, 8), "many", "some", False, 1.0, torch.float64, "int16", 20.0)
    assert_equals_restatement(case, per_lesion=True, weighting=weighting)


def box_lesions() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (3, 1, 8, 16, 16) and a mask: lesions of 60, 12 and 2 voxels in one sample, of 8 in the next, no more."""
    logits = torch.randn(3, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0)) - 4
    mask = torch.zeros(3, 1, 8, 16, 16, dtype=torch.int32)
    mask[0, 0, 1:4, 2:6, 2:7] = 1
    mask[0, 0, 3, 12:15, 1:5] = 1
    mask[0, 0, 6, 13, 13:15] = 1
    mask[1, 0, 3:5, 3:5, 3:5] = 1
    return logits, mask


def cells_of(mask: torch.Tensor) -> torch.Tensor:
    pairs = mask.flatten(0, 1)
    return torch.from_numpy(np.stack([lesion_cells(pair.numpy()) for pair in pairs])).view(mask.shape)


def target_of(mask: torch.Tensor) -> torch.Tensor:
    return torch.cat([mask, cells_of(mask)], 1)


def test_mean_over_the_lesions_by_hand():
    logits, mask = box_lesions()
    cells, p = cells_of(mask), torch.sigmoid(logits)
    lesions = [(0, 1), (0, 2), (0, 3), (1, 1)]
    predicted = torch.stack([p[b, 0][cells[b, 0] == k].sum() for b, k in lesions])
    reference = torch.tensor([mask[b, 0][cells[b, 0] == k].sum() for b, k in lesions])
    assert sorted(reference.tolist()) == [2, 8, 12, 60]
    loss = build_loss("S", regions=True, per_lesion=True)
    torch.testing.assert_close(loss(logits, target_of(mask)), size_penalty(SizeTerm(), predicted, reference).mean())
    assert loss.last.penalised.sum() == 4
    assert loss.last.positive.flatten().tolist() == [True, True, False]
    torch.testing.assert_close(loss.last.predicted, p.flatten(2).sum(-1))


VARIANTS_OF_S = {
    "thesis": {},
    "all": {"log_ratio": True, "soft_cap": True, "gate": Gate(20.0, by="predicted"), "weighting": "balanced"},
}


@pytest.mark.parametrize("variant", VARIANTS_OF_S.values(), ids=VARIANTS_OF_S)
@pytest.mark.parametrize("heads", ["regions2", "softmax2", "softmax4"])
@pytest.mark.parametrize("ignored", ["nothing", "some"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_one_lesion_equals_s_to_the_last_digit(heads, ignored, dtype, variant):
    case = Case("DTS", heads, (5, 6, 7), "many", ignored, False, 2.0, dtype, "int32", 20.0)
    logits, target = case.make()
    whole = with_cells(case, target)
    whole[:, target.shape[1] :].clamp_(max=1)
    results = []
    for per_lesion, seen in ((False, target), (True, whole)):
        leaf = logits.clone().requires_grad_()
        loss = build_loss(case.code, **case.options, **variant, per_lesion=per_lesion)
        value = loss(leaf, seen)
        value.backward()
        results.append((value.detach(), leaf.grad, loss.last.terms["S"]))
    assert results[0][2] > 0
    for ours, expected in zip(*results, strict=True):
        assert torch.equal(ours, expected)


def test_permuting_voxels_within_a_cell_changes_nothing():
    logits, mask = box_lesions()
    target = target_of(mask)
    cells = target[:, 1]
    permuted = logits.clone()
    for sample in range(2):
        for k in range(1, int(cells[sample].max()) + 1):
            at = cells[sample] == k
            values = logits[sample, 0][at]
            permuted[sample, 0][at] = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(k))]
    loss = build_loss("S", regions=True, per_lesion=True)
    assert not torch.equal(permuted, logits)
    torch.testing.assert_close(loss(permuted, target), loss(logits, target), rtol=1e-6, atol=0)
    # between cells it does change something
    rolled = logits.roll(8, dims=-1)
    assert abs(loss(rolled, target) - loss(logits, target)) > 1e-3


def test_a_batch_without_a_lesion_gives_nothing():
    logits, mask = box_lesions()
    logits = logits[2:].requires_grad_()
    loss = build_loss("S", regions=True, per_lesion=True)
    value = loss(logits, target_of(mask[2:]))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().max() == 0


def test_a_small_lesion_beside_a_large_one_keeps_its_weight():
    logits = torch.full((1, 1, 16, 32, 32), -20.0)
    mask = torch.zeros(1, 1, 16, 32, 32, dtype=torch.int32)
    mask[..., 2:14, 2:20, 2:22] = 1
    logits[mask > 0] = 20.0
    mask[..., 8, 28, 28:30] = 1  # missed
    target = target_of(mask)
    s, per_lesion = (build_loss("S", regions=True, per_lesion=option) for option in (False, True))
    assert s(logits, mask) < 1e-3
    assert per_lesion(logits, target) == pytest.approx(0.5 * np.exp(-2 / 600), rel=1e-3)


def test_a_lesion_that_vanishes_at_a_scale_does_not_count_there():
    logits, mask = box_lesions()
    target = target_of(mask)
    small = [tensor.float() for tensor in (logits, target)]
    coarse_logits, coarse = (interpolate(tensor, (4, 8, 8), mode="nearest-exact") for tensor in small)
    seen = {int(k) for k in (coarse[0, 0] * coarse[0, 1]).unique() if k}
    assert len(seen) == 2  # of the three
    assert label_components(mask[0, 0].numpy())[1] == 3

    loss = DeepSupervision(build_loss("S", regions=True, per_lesion=True), (0.0, 1.0))
    value = loss([logits, coarse_logits], [target, coarse])
    cells, p = coarse[:, 1], torch.sigmoid(coarse_logits)
    lesions = [(0, k) for k in seen] + [(1, 1)]
    predicted = torch.stack([p[b, 0][cells[b] == k].sum() for b, k in lesions])
    reference = torch.stack([coarse[b, 0][cells[b] == k].sum() for b, k in lesions])
    torch.testing.assert_close(value, size_penalty(SizeTerm(600 / 8), predicted, reference).mean())
    assert loss.last.penalised.sum() == 3


def test_a_faint_background_is_not_lost_in_a_large_cell():
    logits = torch.full((1, 1, 32, 64, 128), -7.0)
    logits[:, :, :12] = 20.0
    mask = torch.zeros(1, 1, 32, 64, 128, dtype=torch.int32)
    mask[..., 0, 0, 0] = mask[..., 31, 63, 127] = 1
    target = target_of(mask)
    expected = [torch.sigmoid(logits.double())[target[:, 1:] == k].sum() for k in (1, 2)]
    batch = Batch.of(logits, target, regions=True, ignore_label=None, with_cells=True)
    predicted, reference = lesion_volumes(batch, batch.measure()[0])
    torch.testing.assert_close(predicted.double(), torch.stack(expected), rtol=1e-6, atol=0)
    assert reference.tolist() == [1, 1]


def test_record_and_gradient_norms_speak_of_lesions():
    logits, mask = box_lesions()
    loss = build_loss("DTS", regions=True, per_lesion=True)
    loss(logits + 4, target_of(mask))  # p is 0.5: all but the largest lesion are at the cap
    assert loss.last.penalised.sum() == 4
    assert loss.last.saturated.sum() == 3
    norms = logit_gradient_norms(loss, logits, target_of(mask))
    assert norms["S"] > 0


@pytest.mark.parametrize(("regions", "heads", "channels"), [(True, 2, 3), (False, 3, 2)], ids=str)
def test_a_target_with_some_of_its_cells_is_refused(regions, heads, channels):
    loss = build_loss("S", regions=regions, per_lesion=True)
    with pytest.raises(ValueError, match="and cells"):
        loss(torch.zeros(1, heads, 4, 4), torch.zeros(1, channels, 4, 4))


@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize("shape", [(12, 10), (5, 8, 9)], ids=str)
def test_a_target_without_cells_is_completed(regions, shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 3, *shape), generator=generator)
    if regions:
        target = (torch.rand((2, 3, *shape), generator=generator) < 0.05).float()
        masks = target
    else:
        target = torch.randint(0, 40, (2, 1, *shape), generator=generator).float()
        target[target > 2] = 0
        masks = torch.cat([target == 1, target == 2], 1)
    cells = torch.stack([torch.stack([torch.from_numpy(lesion_cells(m.numpy())) for m in sample]) for sample in masks])
    loss = build_loss("DCL", regions=regions, sizeweight=4.0)
    assert loss(logits, target) == loss(logits, torch.cat([target, cells], 1))


def test_per_lesion_is_of_s():
    with pytest.raises(ValueError, match="not among"):
        build_loss("DT", regions=True, per_lesion=True)
