"""What a loss promises beyond its value: invariances, edge cases, and that it lives with the rest of PyTorch."""

import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, build_loss, term_weights


def batch(heads: int = 1, *, lesions: bool = True, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, heads, 6, 7, 8) and masks of the same shape."""
    generator = torch.Generator().manual_seed(3)
    logits = scale * torch.randn(2, heads, 6, 7, 8, generator=generator)
    return logits, (torch.rand(logits.shape, generator=generator) < (0.1 if lesions else 0.0))


def gradient(loss, logits, target) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, target)
    value.backward()
    return value.detach(), leaf.grad


@pytest.mark.parametrize("code", COMMON_COMBINATIONS)
def test_softmax_of_two_is_the_sigmoid_of_the_difference(code):
    logits, mask = batch(2)
    difference, mask = logits[:, 1:] - logits[:, :1], mask[:, :1]
    softmax = build_loss(code, regions=False)(logits, mask.short())
    torch.testing.assert_close(softmax, build_loss(code, regions=True)(difference, mask), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
def test_size_penalty_without_a_lesion_is_0_with_zero_gradient(heads):
    value, grad = gradient(build_loss("S", regions=True), *batch(heads, lesions=False))
    assert value == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("code", COMMON_COMBINATIONS)
@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
def test_ignored_voxels_have_no_gradient_and_no_say(code, regions):
    logits, mask = batch(3)
    ignored = torch.rand(2, 1, 6, 7, 8, generator=torch.Generator().manual_seed(4)) < 0.3
    target = (
        torch.cat([mask, ignored], 1) if regions else torch.where(ignored, 3, mask.sum(1, keepdim=True).clamp(max=2))
    )
    loss = build_loss(code, regions=regions, ignore_label=3)
    value, grad = gradient(loss, logits, target)
    assert (grad[ignored.expand_as(grad)] == 0).all()
    changed, _ = gradient(loss, torch.where(ignored, 50.0, logits), target)
    torch.testing.assert_close(changed, value, rtol=0, atol=0)


@pytest.mark.parametrize("code", COMMON_COMBINATIONS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
def test_huge_logits_stay_finite(code, sign, regions):
    logits, mask = batch(3)
    target = mask if regions else mask.sum(1, keepdim=True).clamp(max=2)
    value, grad = gradient(build_loss(code, regions=regions), logits.sign() * sign * 100, target)
    assert torch.isfinite(value)
    assert torch.isfinite(grad).all()


def test_size_penalty_has_no_localisation():
    logits, mask = batch()
    shuffled = logits.flatten(2)[..., torch.randperm(6 * 7 * 8)].view_as(logits)
    loss = build_loss("S", regions=True)
    torch.testing.assert_close(loss(shuffled, mask), loss(logits, mask), rtol=1e-5, atol=0)


def test_predicting_nothing_costs_less_than_predicting_too_much():
    _, mask = batch()
    loss = build_loss("S", regions=True)
    assert loss(torch.full(mask.shape, -20.0), mask) < 1
    assert loss(torch.full(mask.shape, -1.0), mask) > 1


def test_saturated_pairs_get_exactly_no_gradient():
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 0, 0] = 1
    value, grad = gradient(build_loss("S", regions=True), torch.zeros(1, 1, 16, 16), mask)
    assert value == 10
    assert (grad == 0).all()


@pytest.mark.parametrize("code", ["DTS", "DTFS", "DKS", "DCS"])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_further_backward_through_a_retained_graph_gives_the_same(code, heads):
    logits, mask = batch(heads)
    target = mask if heads == 1 else mask.sum(1, keepdim=True).clamp(max=1).short()
    logits.requires_grad_()
    value = build_loss(code, regions=heads == 1)(logits, target)
    first, second = (torch.autograd.grad(value, logits, retain_graph=True)[0].clone() for _ in range(2))
    torch.testing.assert_close(second, first, rtol=1e-6, atol=1e-9)


def test_inputs_are_left_as_they_are():
    logits, mask = batch(2)
    ignored = torch.zeros(2, 1, 6, 7, 8, dtype=torch.bool)
    ignored[..., 0] = True
    target = torch.cat([mask, ignored], 1)
    kept_logits, kept_target = logits.clone(), target.clone()
    for code in COMMON_COMBINATIONS:
        gradient(build_loss(code, regions=True, ignore_label=2), logits, target)
    assert torch.equal(logits, kept_logits)
    assert torch.equal(target, kept_target)


@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format], ids=str)
def test_memory_layout_changes_nothing(layout):
    logits, mask = batch(2)
    expected = gradient(build_loss("DTFS", regions=True), logits, mask)
    own = gradient(build_loss("DTFS", regions=True), logits.to(memory_format=layout), mask.to(memory_format=layout))
    torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("code", ["DTFS", "DKS"])
def test_under_activation_checkpointing(code, use_reentrant):
    logits, mask = batch()
    loss = build_loss(code, regions=True)
    expected = gradient(lambda x, y: loss(3 * x, y), logits, mask)
    own = gradient(lambda x, y: checkpoint(lambda z: loss(3 * z, y), x, use_reentrant=use_reentrant), logits, mask)
    torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("code", ["DTFS", "DCS", "DKS"])
def test_compiled_by_dynamo(code):
    logits, mask = batch()
    loss = build_loss(code, regions=True)
    compiled = torch.compile(lambda x, y: loss(3 * x, y), backend="eager")
    torch.testing.assert_close(gradient(compiled, logits, mask), gradient(lambda x, y: loss(3 * x, y), logits, mask))


@pytest.mark.parametrize("code", ["DTFS", "DCS", "DKS"])
@pytest.mark.parametrize("regions", [True, False], ids=["regions", "softmax"])
def test_autocast_changes_nothing(code, regions):
    logits, mask = batch(3)
    logits = logits.bfloat16()
    target = mask if regions else mask.sum(1, keepdim=True).clamp(max=2)
    loss = build_loss(code, regions=regions)
    expected = gradient(loss, logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        own = gradient(loss, logits, target)
    assert own[0].dtype == torch.float32
    torch.testing.assert_close(own, expected, rtol=0, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("code", COMMON_COMBINATIONS)
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_cuda_under_autocast_equals_the_cpu(code, heads):
    logits, mask = batch(heads)
    logits = logits.half()
    target = mask if heads == 1 else mask.sum(1, keepdim=True).clamp(max=heads - 1)
    loss = build_loss(code, regions=heads == 1)
    expected = gradient(loss, logits, target)
    with torch.autocast("cuda"):
        own = gradient(loss, logits.cuda(), target.cuda())
    torch.testing.assert_close(tuple(part.cpu() for part in own), expected, rtol=1e-3, atol=1e-6)


def test_without_gradient():
    logits, mask = batch()
    with torch.no_grad():
        value = build_loss("DTFS", regions=True)(logits, mask)
    assert not value.requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"code": "SDT"}, "SDT", id="unknown combination"),
        pytest.param({"code": "DT", "weights": {"S": 0.1}}, "'S'", id="weight of an absent term"),
        pytest.param({"code": "DTS", "tau": 0.0}, "tau 0", id="tau 0"),
        pytest.param({"code": "DTS", "cap": -1.0}, "cap -1", id="negative cap"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_loss(arguments.pop("code"), regions=True, **arguments)


@pytest.mark.parametrize(
    ("regions", "ignore_label", "target_shape"),
    [
        pytest.param(True, None, (2, 1, 6, 7, 8), id="labels where regions are expected"),
        pytest.param(True, 2, (2, 2, 6, 7, 8), id="no channel for the ignored"),
        pytest.param(False, None, (2, 2, 6, 7, 8), id="regions where labels are expected"),
        pytest.param(False, None, (2, 1, 6, 7, 4), id="another patch"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(regions, ignore_label, target_shape):
    logits, _ = batch(2)
    with pytest.raises(ValueError, match=r"\(2, 2, 6, 7, 8\)"):
        build_loss("DTS", regions=regions, ignore_label=ignore_label)(logits, torch.zeros(target_shape))


@pytest.mark.parametrize(
    ("code", "weights", "expected"),
    [
        pytest.param("DTS", None, {"D": 1.0, "T": 1.0, "S": 0.3}, id="beside others"),
        pytest.param("S", None, {"S": 1.0}, id="alone"),
        pytest.param("DKS", {"S": 0.1}, {"D": 1.0, "K": 1.0, "S": 0.1}, id="named"),
    ],
)
def test_weights(code, weights, expected):
    assert term_weights(code, weights) == expected
    loss = build_loss(code, regions=True, weights=weights)
    logits, mask = batch()
    value = loss(logits, mask)
    torch.testing.assert_close(value, sum(expected[letter] * term for letter, term in loss.last.terms.items()))
    torch.testing.assert_close(value, sum(loss.weighted_terms(logits, mask).values()))


def test_imports_torch_alone():
    script = """
import sys
allowed = {"torch", "nnunetv2_sizepenalty"}
import torch
before = set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed | sys.stdlib_module_names:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from nnunetv2_sizepenalty import losses
loss = losses.SizePenaltyLoss()(torch.zeros(1, 1, 4, 4, requires_grad=True), torch.eye(4)[None, None])
loss.backward()
foreign = {name.split(".")[0] for name in set(sys.modules) - before} - allowed - set(sys.stdlib_module_names)
assert not foreign, foreign
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
