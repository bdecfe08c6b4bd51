"""Terms by lesion (L, B, H) and the weight of small lesions' voxels: against the restatement, and at their limits."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from loss_restatement import LEVELS, Case, assert_equals_restatement, pairwise, restated_loss
from torch.nn.functional import interpolate

from nnunetv2_sizepenalty.lesions import label_components, lesion_cells
from nnunetv2_sizepenalty.losses import TERMS, DeepSupervision, TargetLayout, build_loss
from nnunetv2_sizepenalty.losses.target_layout import complete

# code and the weight of small lesions' voxels
LOSSES = [
    *((code, None) for code in ("L", "B", "H", "LBH", "DCL", "DKB", "DKLH", "FC", "FK", "CK", "TFCK")),
    *((code, 4.0) for code in ("C", "K", "F", "FC", "FK", "FCK", "DK", "DKL", "DTFCKLBHS")),
]
HEADS = [(1, True), (2, True), (3, True), (2, False), (3, False), (4, False)]


@dataclass(frozen=True)
class Draw:
    """A random batch: 2D or 3D, each pair of sample and channel with 0 to 6 lesions of up to 4 voxels a side."""

    seed: int

    @property
    def code(self) -> str:
        return LOSSES[self.seed % len(LOSSES)][0]

    @property
    def options(self) -> dict:
        heads, regions = HEADS[self.seed // len(LOSSES) % len(HEADS)]
        ignore_label = heads if self.seed % 3 else None
        weight = LOSSES[self.seed % len(LOSSES)][1]
        return {"regions": regions, "ignore_label": ignore_label, "tau": 20.0, "sizeweight": weight}

    @property
    def layout(self) -> TargetLayout:
        heads, regions = HEADS[self.seed // len(LOSSES) % len(HEADS)]
        return TargetLayout(heads, regions, self.options["ignore_label"], with_cells=True)

    def make(self) -> tuple[torch.Tensor, torch.Tensor]:
        draw = np.random.default_rng(self.seed)
        heads, regions = self.layout.heads, self.layout.regions
        spatial = tuple(int(n) for n in draw.integers(5, 11, size=2 + self.seed // 7 % 2))
        masks = np.zeros((3, heads if regions else heads - 1, *spatial), dtype=bool)
        for pair in itertools.product(range(3), range(masks.shape[1])):
            for _ in range(draw.integers(0, 7)):
                corner = draw.integers(0, spatial)
                sides = draw.integers(1, 5, len(spatial))
                masks[pair][tuple(map(slice, corner, corner + sides))] = 1
        ignored = draw.random((3, 1, *spatial)) < 0.15
        if regions:
            target = np.concatenate([masks, ignored], 1) if self.options["ignore_label"] else masks
        else:
            target = (masks * np.arange(1, heads).reshape(-1, *(1,) * len(spatial))).max(1, keepdims=True)
            if self.options["ignore_label"]:
                target[ignored] = heads
        logits = torch.from_numpy(3 * draw.standard_normal((3, heads, *spatial)))
        return logits, complete(torch.from_numpy(target.astype(np.int16)), self.layout)


@pytest.mark.parametrize("seed", range(200))
def test_random_batches_equal_the_restatement(seed):
    draw = Draw(seed)
    logits, target = draw.make()
    loss = build_loss(draw.code, **draw.options)
    if not loss.needs_cells:
        target = draw.layout.without_cells(target)
    precise, leaf = (logits.clone().requires_grad_() for _ in range(2))
    restated = draw.options | {"sizeweight": draw.options["sizeweight"] or 0.0}
    expected, value = restated_loss(draw.code, precise, target, **restated), loss(leaf, target)
    # the weight of voxels is of float32
    tolerance = 1e-7 if draw.options["sizeweight"] else 1e-9
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=1e-12)
    expected.backward()
    value.backward()
    torch.testing.assert_close(leaf.grad, precise.grad, rtol=10 * tolerance, atol=1e-12)


def test_the_random_batches_hold_what_they_promise():
    draws = [Draw(seed) for seed in range(200)]
    lesions = [int(draw.make()[1][:, -1].amax()) for draw in draws[:50]]
    assert min(lesions) <= 1
    assert max(lesions) >= 4
    assert {(draw.code, draw.options["regions"]) for draw in draws} >= {
        (code, kind) for code in "LBH" for kind in (0, 1)
    }
    assert {draw.make()[0].ndim for draw in draws[:20]} == {4, 5}


HALVES = [
    Case(**row)
    for row in pairwise(
        code=("L", "B", "H", "DKLH", "DTFCKLBHS"),
        **LEVELS,
        target_dtype=("float32", "int16", "int32"),
        tau=(600.0, 20.0),
    )
]
WEIGHTED = [
    Case(**row)
    for row in pairwise(
        code=("C", "K", "F", "FC", "DKS", "DCL"),
        **LEVELS,
        target_dtype=("float32", "int16", "int32"),
        tau=(600.0, 20.0),
    )
]


@pytest.mark.parametrize("case", HALVES, ids=str)
def test_every_type_of_logits_equals_the_restatement(case):
    assert_equals_restatement(case)


@pytest.mark.parametrize("case", WEIGHTED, ids=str)
def test_every_type_of_logits_with_the_weight_equals_the_restatement(case):
    assert_equals_restatement(case, sizeweight=4.0)


@pytest.mark.parametrize(("code", "weight"), LOSSES, ids=str)
@pytest.mark.parametrize(("heads", "regions"), [(2, True), (2, False), (3, False)], ids=str)
def test_gradcheck(code, weight, heads, regions):
    draw = torch.Generator().manual_seed(heads)
    logits = torch.randn(2, heads, 5, 6, generator=draw, dtype=torch.float64, requires_grad=True)
    target = torch.zeros(2, heads + 1 if regions else 1, 5, 6, dtype=torch.int16)
    target[0, 0, 1:3, 1:3] = target[0, 0, 4, 4:] = 1
    target[1, 0, :, 4] = target[0, 0, 0, 5] = heads - 1
    ignored = target[:, -1] if regions else target[:, 0]
    ignored[:, 3, :2] = 1 if regions else heads
    # S has a kink at its cap, far from which a high one keeps it
    loss = build_loss(code, regions=regions, ignore_label=heads, tau=5.0, cap=1e3, sizeweight=weight)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)


def patches(name: str, regions: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Two samples of 2 x 60 x 60 voxels, and a target of the named kind with an ignored channel or label."""
    mask = torch.zeros(2, 1, 2, 60, 60, dtype=torch.int16)
    ignored = torch.zeros_like(mask)
    if name == "thousand lesions":
        mask[0, :, :, ::2, ::2] = 1
        mask[0, 0, 0, :, :30:2] = 0
        mask[1, :, 0, ::4, ::4] = 1
    elif name == "fills the patch":
        mask[:] = 1
    elif name == "one voxel":
        mask[0, 0, 0, 5, 5] = 1
    elif name == "all ignored":
        mask[0, :, :, 3:9, 3:9] = 1
        ignored[:] = 1
    elif name == "one sample ignored":
        mask[:, :, :, 3:9, 3:9] = 1
        ignored[0] = 1
    logits = 3 * torch.randn(2, 1 if regions else 2, 2, 60, 60, generator=torch.Generator().manual_seed(0))
    return logits, torch.cat([mask, ignored], 1) if regions else torch.where(ignored == 1, 2, mask)


KINDS = ("thousand lesions", "fills the patch", "one voxel", "none", "all ignored", "one sample ignored")


@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["", "extreme"])
@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("letter", [*TERMS, "DTFCKLBHS"])
def test_odd_patches_are_finite(letter, kind, regions, scale):
    logits, target = patches(kind, regions)
    if kind == "thousand lesions":
        assert label_components(target[0, 0].numpy())[1] >= 400
    leaf = (scale * logits).requires_grad_()
    weight = 4.0 if set(letter) & set("FCK") else None
    value = build_loss(letter, regions=regions, ignore_label=2, sizeweight=weight)(leaf, target)
    value.backward()
    assert value.isfinite()
    assert leaf.grad.isfinite().all()
    if kind == "all ignored":
        assert not leaf.grad.any()
    if kind == "none" and letter in "BHS":
        assert value == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
def test_autocast(regions, dtype):
    logits, target = patches("thousand lesions", regions)
    half = logits.to(dtype).requires_grad_()
    precise = logits.to(dtype).double().requires_grad_()
    loss = build_loss("DKLBH", regions=regions, ignore_label=2, sizeweight=4.0)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(half, target)
    value.backward()
    loss(precise, target).backward()
    assert value.dtype == torch.float32
    assert half.grad.isfinite().all()
    # rounded once, and in float16 not below its least number
    assert (half.grad.double() - precise.grad).abs().max() <= 2**-8 * precise.grad.abs().max()


@pytest.mark.parametrize("letter", [*TERMS, "DTFCKLBHS"])
def test_a_lesion_that_a_coarse_scale_drops(letter):
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.int32)
    mask[..., 2:6, 2:6] = 1
    mask[..., 11, 11] = 1  # between the voxels that a quarter keeps
    target = torch.cat([mask, torch.from_numpy(lesion_cells(mask[0, 0].numpy()))[None, None]], 1)
    coarse = interpolate(target.float(), (4, 4), mode="nearest-exact")
    assert coarse[:, 1].unique().tolist() == [1, 2]
    assert (coarse[:, 0] * coarse[:, 1]).unique().tolist() == [0, 1]
    weight = 4.0 if set(letter) & set("FCK") else None
    single = build_loss(letter, regions=True, tau=30.0, sizeweight=weight)
    seen = [target, coarse] if single.needs_cells else [mask, coarse[:, :1]]
    outputs = [torch.randn(1, 1, *t.shape[2:], generator=torch.Generator().manual_seed(1)) for t in seen]
    leaves = [output.requires_grad_() for output in outputs]
    value = DeepSupervision(single, (0.6, 0.4))(leaves, seen)
    value.backward()
    assert all(leaf.grad.isfinite().all() for leaf in leaves)
    options = {"regions": True, "sizeweight": weight or 0.0}
    expected = sum(
        share * restated_loss(letter, leaf.double(), t, tau=30.0 * ratio, **options)
        for share, ratio, leaf, t in zip((0.6, 0.4), (1, 1 / 16), leaves, seen, strict=True)
    )
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
def test_soft_hit_of_extreme_logits(regions):
    _, target = patches("one voxel", regions)
    loss = build_loss("H", regions=regions, ignore_label=2)
    for certain, expected in ((1e4, 0.0), (-1e4, 1e4)):
        logits = torch.full((2, 1, 2, 60, 60), certain)
        logits = logits if regions else torch.cat([torch.zeros_like(logits), logits], 1)
        leaf = logits.requires_grad_()
        value = loss(leaf, target)
        value.backward()
        assert value.item() == pytest.approx(expected)
        # a lesion that is missed pulls as one, one that is found does not
        assert leaf.grad.abs().max().item() == pytest.approx(expected / 1e4)


def test_one_voxel_that_is_found_is_a_lesion_found():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 2:4] = 1
    logits = torch.full((1, 1, 8, 8), -20.0)
    missed = build_loss("H", regions=True)(logits, mask)
    logits[..., 2, 2] = 20.0
    assert missed.item() == pytest.approx(20.0)
    assert build_loss("H", regions=True)(logits, mask) < 1e-6


def test_each_lesion_counts_alike_in_l_and_small_ones_more_with_the_weight():
    mask = torch.zeros(1, 1, 20, 40)
    mask[..., 2:18, 2:18] = 1
    mask[..., 10, 35] = 1
    found = torch.full_like(mask, -12.0).masked_fill(mask > 0, 12.0)
    without_small, without_large = found.clone(), found.clone()
    without_small[..., 10, 35] = -12.0
    without_large[..., 2:18, 2:18] = -12.0

    def ratio(code: str, **options) -> float:
        loss = build_loss(code, regions=True, **options)
        return float((loss(without_small, mask) - loss(found, mask)) / (loss(without_large, mask) - loss(found, mask)))

    assert ratio("D") < 0.01
    assert ratio("L") > 0.1
    # the large lesion of 256 voxels weighs 1 + 4 exp(-256 / 20), the small one 1 + 4 exp(-1 / 20)
    assert ratio("C", sizeweight=4.0, tau=20.0) / ratio("C") == pytest.approx(1 + 4 * np.exp(-1 / 20), rel=1e-3)
