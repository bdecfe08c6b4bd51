"""L and B against values of their authors' own functions; `published_values.json` says how those were made."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2_sizepenalty.lesions import lesion_cells
from nnunetv2_sizepenalty.losses import Parameters, build_loss

CASES = json.loads(Path(__file__).with_name("published_values.json").read_text())["cases"]
VALUES = [
    pytest.param(case, smooth, name, id=f"{case['name']}-smooth {smooth}-{name}")
    for case in CASES
    for smooth, by_name in case["values"].items()
    for name in by_name
]


def inputs(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of two heads, and labels with cells behind, as the file describes them."""
    drawn = 2 * np.random.RandomState(case["seed"]).standard_normal(case["shape"])
    labels = np.zeros((case["shape"][0], *case["shape"][2:]), dtype=np.int32)
    for sample, first, end in case["lesions"]:
        labels[(sample, *map(slice, first, end))] = 1
    cells = np.stack([lesion_cells(mask, case["spacing"]) for mask in labels])
    target = torch.from_numpy(np.stack([labels, cells], 1))
    return torch.from_numpy(drawn.round(3).astype(np.float32)), target


@pytest.mark.parametrize(("case", "smooth", "name"), VALUES)
def test_equals_the_authors_function(case, smooth, name):
    logits, target = inputs(case)
    expected = case["values"][smooth][name]
    regions = "Kofler" in name  # one head under a sigmoid
    logits = (logits[:, 1:] - logits[:, :1] if regions else logits).requires_grad_()
    value = build_loss(name[0], regions=regions, parameters=Parameters(smooth=float(smooth)))(logits, target)
    value.backward()
    assert value.item() == pytest.approx(expected["value"], rel=1e-5, abs=1e-7)
    assert logits.grad.double().norm().item() == pytest.approx(expected["gradient_norm"], rel=1e-5, abs=1e-9)


def test_the_cases_hold_several_lesions_and_samples_without():
    assert {len(case["shape"]) for case in CASES} == {4, 5}
    per_sample = [np.bincount([lesion[0] for lesion in case["lesions"]], minlength=case["shape"][0]) for case in CASES]
    assert max(counts.max() for counts in per_sample) >= 3
    assert sum((counts == 0).any() and counts.any() for counts in per_sample) >= 2
