"""Values of the training log, on records whose volumes and terms are known."""

import math

import numpy as np
import pytest
import torch

from nnunetv2_sizepenalty.lesions import PX, Spacing
from nnunetv2_sizepenalty.losses import Record, build_loss, logit_gradient_norms
from nnunetv2_sizepenalty.trainers.measures import Measures, gradient_ratio

# a voxel is 0.01 mL: the bins' edges are 100 and 500 voxels
MEASURES = Measures(("D", "S"), (1.0, 1.0, 10.0))


def record(terms, predicted=(), reference=(), saturated=None, size_weight=0.3):
    reference = torch.tensor(reference, dtype=torch.float32)[:, None]
    return Record(
        terms={letter: torch.tensor(value) for letter, value in terms.items()},
        predicted=torch.tensor(predicted, dtype=torch.float32)[:, None],
        reference=reference,
        positive=reference > 0,
        penalised=None if saturated is None else reference > 0,
        saturated=None if saturated is None else torch.tensor(saturated)[:, None],
        size_weight=torch.tensor(size_weight),
    )


def test_values_of_an_epoch():
    steps = [
        MEASURES.of_step(record({"D": 0.9, "S": 2.0}, [5, 9], [3, 0], [True, False], 0.1), 1.0, 0.5, 0.25),
        MEASURES.of_step(record({"D": 0.7, "S": 1.0}, [4, 4], [2, 4], [False, False]), 0.0, math.nan, 0.5),
    ]
    validation = [
        MEASURES.of_validation_step(record({"D": 0.8, "S": 1.5}, [30, 150, 7], [20, 100, 0])),
        MEASURES.of_validation_step(record({"D": 0.6, "S": 0.5}, [99, 250], [99, 500])),
    ]
    values = MEASURES.of_epoch(steps, validation)
    assert tuple(values) == MEASURES.keys
    assert values == pytest.approx(
        {
            "train_terms/D": 0.8,
            "train_terms/S": 1.5,
            "val_terms/D": 0.7,
            "val_terms/S": 1.0,
            "lesion_positive": 3 / 4,
            "saturated": 1 / 3,
            "clipped": 1 / 2,
            "gradient_ratio": 0.5,
            "size_weight": 0.2,
            "val_volume_error/< 1 mL": (0.5 + 0) / 2,
            "val_volume_error/1-5 mL": 0.5,
            "val_volume_error/>= 5 mL": 0.5,
            "data_wait_s": 0.75,
        },
        rel=1e-5,
    )


def test_nothing_to_say_is_nan():
    values = MEASURES.of_epoch([], [])
    assert {key for key, value in values.items() if not math.isnan(value)} == {"data_wait_s"}
    step = MEASURES.of_step(record({"D": 0.9, "S": 0.0}, [5], [0], [False]), math.nan, math.nan, 0.0)
    values = MEASURES.of_epoch([step], [])
    assert values["lesion_positive"] == 0
    assert all(math.isnan(values[key]) for key in ("saturated", "clipped", "gradient_ratio"))
    assert "of these at the cap of S -" in "\n".join(MEASURES.lines(values))


@pytest.mark.parametrize(
    ("letters", "learned", "keys"),
    [
        ("DS", False, {"saturated", "gradient_ratio", "size_weight"}),
        ("DS", True, {"saturated", "gradient_ratio", "size_weight", "learned_s"}),
        ("S", False, {"saturated", "size_weight"}),
        ("DC", False, set()),
    ],
    ids=["S beside D", "with a learned weight", "S alone", "no S"],
)
def test_what_belongs_to_the_size_penalty_is_logged_where_it_is(letters, learned, keys):
    measures = Measures(tuple(letters), (1.0, 1.0, 1.0), learned=learned)
    assert {"saturated", "gradient_ratio", "size_weight", "learned_s"} & set(measures.keys) == keys


def test_learned_weight_is_in_the_log():
    measures = Measures(("D", "S"), (1.0, 1.0, 1.0), learned=True)
    step = measures.of_step(record({"D": 0.9, "S": 2.0}, [5], [3], [True], 0.5), 1.0, 0.5, 0.25)
    lines = "\n".join(measures.lines(measures.of_epoch([step], [], learned_s=0.693)))
    assert "Weight of S 0.5, s 0.693" in lines


def test_gradient_ratio_is_of_the_weighted_terms():
    loss = build_loss("DTS", regions=False)
    logits = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 1, 4, 8, 8)
    target[:, :, 1:3, 2:5, 2:5] = 1
    norms = logit_gradient_norms(loss, logits, target)
    assert gradient_ratio(norms) == pytest.approx(norms["S"] / (norms["D"] + norms["T"]))
    loss.weights["S"] *= 2
    assert gradient_ratio(logit_gradient_norms(loss, logits, target)) == pytest.approx(2 * gradient_ratio(norms))
    assert math.isnan(gradient_ratio({"D": 0.0, "S": 1.0}))


def test_a_step_is_a_small_vector():
    step = MEASURES.of_step(record({"D": 0.9, "S": 2.0}, [5], [3], [True]), 1.0, 0.5, 0.25)
    assert (step.dtype, step.shape) == (np.float32, (10,))


def test_photographs_are_sorted_by_pixels():
    measures = Measures(("D",), Spacing((1, 1, 1), unit=PX))
    validation = [measures.of_validation_step(record({"D": 0.5}, [4, 60, 200, 0], [8, 30, 100, 2000]))]
    values = measures.of_epoch([], validation)
    errors = {name: values[key] for name, key in measures.volume_errors.items()}
    assert errors == pytest.approx({"< 10 px": 0.5, "10-100 px": 1, "100-1000 px": 1, ">= 1000 px": 1}, rel=1e-4)
