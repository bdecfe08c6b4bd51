import json

import numpy as np
import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.labels import Label, Labels, labels_from_dataset_json, read_dataset_json


def test_everything_above_0_without_a_dataset_json():
    labels = Labels()
    array = np.array([0, 1, 7])
    assert labels.labels[0].mask(array).tolist() == [False, True, True]
    assert labels.unknown(array) == []


@pytest.mark.parametrize(
    ("content", "expected", "ignore"),
    [
        ({"labels": {"background": 0, "lesion": 1}}, [("lesion", (1,))], None),
        ({"labels": {"background": 0, "b": 2, "a": 1, "ignore": 3}}, [("b", (2,)), ("a", (1,))], 3),
        # A list of one is a plain label to nnU-Net.
        ({"labels": {"background": 0, "lesion": [1]}}, [("lesion", (1,))], None),
        (
            {
                "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "et": 3},
                "regions_class_order": [1, 2, 3],
            },
            [("whole", (1, 2, 3)), ("core", (2, 3)), ("et", (3,))],
            None,
        ),
        ({"labels": {"background": 0, "lesion": [1, 1]}, "regions_class_order": [1]}, [("lesion", (1,))], None),
    ],
    ids=["plain", "order and ignore", "list of one", "regions", "one sigmoid"],
)
def test_labels_and_regions(content, expected, ignore):
    labels = labels_from_dataset_json(content)
    assert [(label.name, label.values) for label in labels.labels] == expected
    assert labels.ignore == ignore


def test_a_region_is_the_union_of_its_labels():
    assert Label("core", (2, 3)).mask(np.array([0, 1, 2, 3])).tolist() == [False, False, True, True]


def test_values_that_no_label_names():
    labels = Labels((Label("a", (1,)), Label("b", (1, 2))), ignore=5)
    assert labels.unknown(np.array([0, 1, 2, 5])) == []
    assert labels.unknown(np.array([0, 1, 255, 3])) == [3, 255]


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": {"lesion": 1}}'])
def test_no_dataset_json(tmp_path, text):
    path = tmp_path / "dataset.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"no nnU-Net dataset\.json"):
        read_dataset_json(path)


def test_labels_that_nnunet_refuses():
    content = json.loads('{"labels": {"background": 0, "a": [1, 2]}}')  # regions without an order
    with pytest.raises(UserError, match="refuses"):
        labels_from_dataset_json(content)
