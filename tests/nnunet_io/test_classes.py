"""Classes and regions by nnU-Net's rules, which are written out without it."""

import json

import numpy as np
import pytest
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import Label, Labels, labels_of, read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import read_dataset_json


def test_everything_above_0_without_a_dataset_json():
    labels = Labels()
    array = np.array([0, 1, 7])
    assert labels.foreground[0].mask(array).tolist() == [False, True, True]
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
    labels = read_labels(content)
    assert [(label.name, label.values) for label in labels.foreground] == expected
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
        read_labels(content)


def drawn(seed: int) -> dict:
    """A dataset.json as people write them, or with a fault in it."""
    draw = np.random.default_rng(seed)
    values = list(map(int, draw.permutation(np.arange(1, draw.integers(2, 6)))))
    labels, kind = {"background": 0}, draw.integers(3)
    for i, value in enumerate(values):
        if kind == 0:
            labels[f"label {i}"] = value
        elif kind == 1:
            labels[f"label {i}"] = [value] if draw.random() < 0.5 else value
        else:
            entry = list(map(int, draw.choice([*values, 0] if draw.random() < 0.1 else values, draw.integers(1, 4))))
            labels[f"label {i}"] = entry[0] if len(entry) == 1 and draw.random() < 0.5 else entry
    if draw.random() < 0.3:
        labels["ignore"] = int(draw.choice([max(values) + 1] * 4 + [max(values)]))
    labels = {name: labels[name] for name in draw.permutation(list(labels))}
    if draw.random() < 0.03:
        labels["background"] = 1
    if draw.random() < 0.03:
        del labels["background"]
    content = {"labels": labels}
    if kind == 2 or draw.random() < 0.2:
        n = sum(bool(np.any(entry)) for name, entry in labels.items() if name != "ignore")
        content["regions_class_order"] = list(range(1, n + 1 + (draw.random() < 0.1)))
    return content


def test_as_nnunet_reads_many():
    read = refused = 0
    for content in map(drawn, range(3000)):
        try:
            manager = LabelManager(content["labels"], content.get("regions_class_order"))
        except (AssertionError, RuntimeError):
            refused += 1
            with pytest.raises(UserError, match="refuses"):
                read_labels(content)
            continue
        labels = read_labels(content)
        assert labels == labels_of(manager)
        assert (labels.regions, labels.ignore) == (manager.has_regions, manager.ignore_label)
        assert labels.n_channels == manager.num_segmentation_heads
        foreground = manager.foreground_regions if labels.regions else manager.foreground_labels
        entries = [entry if isinstance(entry, tuple) else (entry,) for entry in foreground]
        assert list(labels.channels) == entries
        assert [label.name for label in labels.foreground] == [
            name for name, entry in content["labels"].items() if name != "ignore" and np.any(entry)
        ]
        for label in labels.foreground:
            # a probability of 1 in its channel alone is painted with its value
            probabilities = np.zeros((labels.n_channels, 1, 1, 1))
            probabilities[label.channel] = 1
            painted = manager.convert_probabilities_to_segmentation(probabilities).item()
            # nnU-Net refuses data whose plain labels aren't consecutive, and paints the channel's number
            assert label.painted == (painted if labels.regions else manager.all_labels[painted])
            assert label.values == tuple(np.unique(content["labels"][label.name]))
        read += 1
    assert read > 1000
    assert refused > 200
