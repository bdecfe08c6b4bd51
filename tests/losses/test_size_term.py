"""S as one value: what it refuses, mL into voxels, its place in a training, and that it reaches the loss."""

import pytest
import torch

from nnunetv2_sizepenalty.losses import DeepSupervision, build_loss
from nnunetv2_sizepenalty.losses.size_term import AUTO, TAU, Gate, Millilitres, SizeTerm


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(0)) - 2
    mask = torch.zeros(2, 1, 6, 8)
    mask[0, :, :3, :4] = 1
    mask[1, :, 0, 0] = 1
    return logits, mask


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tau": 0.0}, "tau 0"),
        ({"tau": Millilitres(-2.0)}, "tau -2"),
        ({"cap": 0.0}, "cap 0"),
        ({"weighting": "other"}, "none of fixed, balanced, learned"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SizeTerm(**fields)


def test_volumes_in_ml_become_voxels_of_the_plan():
    gate = Gate(Millilitres(5.0), by="predicted", hard=True)
    term = SizeTerm(tau=Millilitres(2.0), gate=gate, cap=3.0)
    assert term.in_voxels(lambda ml: 125 * ml) == SizeTerm(tau=250.0, gate=Gate(625.0, "predicted", True), cap=3.0)


@pytest.mark.parametrize("term", [SizeTerm(tau=AUTO), SizeTerm(tau=300.0, gate=Gate(20.0)), SizeTerm()])
def test_what_is_in_voxels_or_unknown_stays(term):
    assert term.in_voxels(lambda ml: 125 * ml) == term


@pytest.mark.parametrize("term", [SizeTerm(tau=Millilitres(2.0)), SizeTerm(gate=Gate(Millilitres(5.0)))])
def test_a_loss_needs_voxels(term):
    with pytest.raises(ValueError, match="in_voxels"):
        build_loss("DTS", regions=True, size_term=term)


@pytest.mark.parametrize(
    ("term", "factors"),
    [
        (SizeTerm(), [1.0, 1.0, 1.0, 1.0, 1.0]),
        (SizeTerm(late_percent=40), [0.0, 0.0, 0.0, 1.0, 1.0]),
        (SizeTerm(anneal_epochs=50), [0.0, 0.5, 1.0, 1.0, 1.0]),
    ],
    ids=["always", "late", "anneal"],
)
def test_schedule(term, factors):
    assert [term.schedule_factor(epoch, 100) for epoch in (0.0, 25.0, 59.9, 60.0, 99.9)] == factors


def test_the_value_and_the_keywords_make_the_same_loss():
    fields = {"tau": 20.0, "cap": 2.0, "soft_cap": True, "log_ratio": True, "gate": Gate(5.0), "weighting": "learned"}
    by_keywords = build_loss("DTS", regions=True, weights={"S": 0.1}, **fields)
    by_value = build_loss("DTS", regions=True, size_term=SizeTerm(weight=0.1, **fields))
    assert by_value(*batch()) == by_keywords(*batch())
    assert by_value.size_term == SizeTerm(weight=0.1, **fields)


def test_keywords_override_the_value():
    term = SizeTerm(tau=20.0, cap=2.0, soft_cap=True, weight=0.1)
    loss = build_loss("DTS", regions=True, size_term=term, tau=5.0, soft_cap=False, weights={"S": 0.2})
    assert loss.size_term == SizeTerm(tau=5.0, cap=2.0, weight=0.1)
    assert loss.weights["S"] == 0.2


@pytest.mark.parametrize("scales", [False, True])
def test_tau_can_be_set_when_it_is_known(scales):
    logits, mask = batch()
    losses = [build_loss("DTS", regions=True, size_term=SizeTerm(tau=tau)) for tau in (AUTO, 20.0)]
    arguments = (logits, mask)
    if scales:
        losses = [DeepSupervision(loss, (0.7, 0.3)) for loss in losses]
        arguments = ([logits, logits[..., ::2]], [mask, mask[..., ::2]])
    auto, known = losses
    with pytest.raises(ValueError, match="estimated"):
        auto(*arguments)
    auto.set_tau(20.0)
    assert auto.size_term.tau == 20.0
    assert auto(*arguments) == known(*arguments) != build_loss("DTS", regions=True, tau=TAU)(logits, mask)
