"""One fault at a time in a dataset that has no other: it is found, and nothing else is."""

import json

import numpy as np
import pytest
from made_datasets import SPACING_MM, lesions

from nnunetv2_sizepenalty.audit import ERROR, NOTE, WARNING


def number_lesions(made):
    """Each lesion has a number of its own, dataset.json has one label."""
    for case in made.cases:
        labels = made.read(made.label(case)).copy()
        labels[..., 14:][labels[..., 14:] > 0] = 2
        made.write(made.label(case), labels)


def number_lesions_in_settings(made):
    """As in nnU-Net's issue 2402: a case with m lesions has the labels 1 to m, all of them named."""
    made.labels = {"background": 0, **{f"lesion_{i}": i for i in range(1, 5)}}
    made.write_settings()
    for number, case in enumerate(made.cases):
        labels = np.zeros_like(made.read(made.label(case)))
        for value in range(1, 2 + number % 4):
            labels[0, 4 + number, 4 * value] = value
        made.write(made.label(case), labels)


def values_of_png(made):
    for case in made.cases:
        made.write(made.label(case), made.read(made.label(case)) * 255)


def label_never_there(made):
    made.labels = {**made.labels, "never": 2}
    made.write_settings()


def fractions(made):
    made.write(made.label("b"), made.read(made.label("b")).astype(np.float32) * 0.5)


def empty_label(made):
    made.write(made.label("c"), np.zeros_like(made.read(made.label("c"))))


def constant_everywhere(made):
    for case in made.cases:
        made.write(made.image(case, made.channels - 1), np.full_like(made.read(made.image(case)), 7))


def constant_once(made):
    made.write(made.image("d", made.channels - 1), np.full_like(made.read(made.image("d")), 7))


def damaged(made):
    made.image("a").write_bytes(b"not an image")
    made.image("e", made.channels - 1).write_bytes(b"neither")


def no_label_file(made):
    made.label("b").unlink()


def no_second_channel(made):
    made.image("b", 1).unlink()


def label_of_other_shape(made):
    made.write(made.label("b"), made.read(made.label("b"))[..., :-1])


def channel_of_other_shape(made):
    made.write(made.image("b", 1), made.read(made.image("b"))[:-1])


def label_of_other_spacing(made):
    made.write(made.label("b"), made.read(made.label("b")), (5.0, 2.0, 2.0))


def label_elsewhere(made):
    made.write(made.label("b"), made.read(made.label("b")), Origin=(0, 0, 8.0))


def channel_turned(made):
    made.write(made.image("b", 1), made.read(made.image("b", 1)), Direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))


def copy_across(made):
    copy_within(made)
    made.write_folds(["a", "b", "c"], ["d", "e", "f"])


def copy_within(made):
    for channel in range(made.channels):
        made.write(made.image("d", channel), made.read(made.image("c", channel)))
    made.write_folds(["a", "b"], ["c", "d"])


def label_copied(made):
    made.write(made.label("d"), made.read(made.label("c")))


ANY = {
    "instance ids": (number_lesions, ERROR, "instance ids", "6 cases with label values that dataset.json doesn't name"),
    "named instance ids": (number_lesions_in_settings, WARNING, "instance ids", "4 labels look like instance ids"),
    "255 for 1": (values_of_png, ERROR, "label values", "6 cases with label values"),
    "label in no case": (label_never_there, WARNING, "label values", "1 label of dataset.json in no case"),
    "no lesion": (empty_label, NOTE, "lesion-free cases", "1 case of 6 without a lesion"),
    "damaged": (damaged, ERROR, "files", "can't be used"),
    "label missing": (no_label_file, ERROR, "files", "1 file can't be used"),
    "shape of a label": (label_of_other_shape, ERROR, "grids", "1 file with another shape or spacing"),
    "channel constant": (constant_everywhere, WARNING, "constant channels", "A channel is constant in 6 cases"),
    "channel constant once": (constant_once, WARNING, "constant channels", "A channel is constant in 1 case"),
    "copy across a fold": (copy_across, ERROR, "leakage", "1 set of identical images on both sides of a fold"),
    "copy within a fold": (copy_within, WARNING, "copies", "1 set of identical images"),
    "label copied": (label_copied, WARNING, "copies", "1 set of identical labels under different images"),
}
VOLUMES_ALONE = {
    "fractions": (fractions, ERROR, "files", "1 file can't be used"),
    "channel missing": (no_second_channel, ERROR, "channels", "1 case with another number of channels"),
    "shape of a channel": (channel_of_other_shape, ERROR, "grids", "1 file with another shape or spacing"),
    "spacing of a label": (label_of_other_spacing, ERROR, "grids", "1 file with another shape or spacing"),
    "origin of a label": (label_elsewhere, WARNING, "grids", "1 file elsewhere in space"),
    "direction of a channel": (channel_turned, WARNING, "grids", "1 file elsewhere in space"),
}
CASES = [
    *(pytest.param(flat, *fault, id=f"{name}, {kind}") for name, fault in ANY.items() for flat, kind in
      ((False, "3D"), (True, "2D"))),
    *(pytest.param(False, *fault, id=name) for name, fault in VOLUMES_ALONE.items()),
]  # fmt: skip


@pytest.mark.parametrize(("flat", "spoil", "severity", "check", "what"), CASES)
def test_fault_is_found_and_nothing_else(made, audited, flat, spoil, severity, check, what):
    dataset = made(flat=flat)
    spoil(dataset)
    _, findings = audited(dataset)
    # a case that can't be read or has another number of channels shows in two checks
    both = {"files", "channels"} if check == "files" else {check}
    assert {finding.check for finding in findings} <= both
    found = next(finding for finding in findings if finding.check == check)
    assert (found.severity, what in found.what) == (severity, True), found
    assert found.remedy


@pytest.mark.parametrize("flat", [False, True], ids=["3D", "2D"])
def test_nothing_wrong_nothing_found(made, audited, flat):
    _, findings = audited(made(flat=flat))
    assert findings == ()


def test_lesions_are_listed_where_they_are(made, audited):
    dataset = made()
    audit, _ = audited(dataset)
    rows = audit.lesions
    assert sorted(rows["voxels"].unique()) == [2, 18]
    assert rows["size"].to_numpy() == pytest.approx(rows["voxels"] * np.prod(SPACING_MM) / 1000)
    assert len(rows) == 12
    assert audit.bins.unit.name == "mL"


def test_sheared_voxels_have_the_determinants_volume(made, audited):
    dataset = made(ending=".mha")
    for case in dataset.cases:
        for path in (dataset.label(case), dataset.image(case, 0), dataset.image(case, 1)):
            dataset.write(path, dataset.read(path), Direction=(1, 0.6, 0, 0, 0.8, 0, 0, 0, 1))
    audit, _ = audited(dataset)
    assert audit.lesions["size"].to_numpy() == pytest.approx(audit.lesions["voxels"] * 0.8 * np.prod(SPACING_MM) / 1000)


def test_2d_images_are_measured_in_pixels(made, audited):
    audit, _ = audited(made(flat=True))
    assert set(audit.lesions["size"]) == {9.0, 2.0}
    assert audit.bins.names[0] == "< 10 px"


def three_organs(made):
    """Three organs, each in one piece; the field of view cuts one off in two cases."""
    made.labels = {"background": 0, "liver": 1, "spleen": 2, "aorta": 3}
    made.write_settings()
    for number, case in enumerate(made.cases):
        labels = np.zeros_like(made.read(made.label(case)))
        for value in (1, 2, 3):
            labels[0, 2 + number, 4 * value : 4 * value + 2] = value
        if number < 2:
            labels[labels == 3] = 0
        made.write(made.label(case), labels)


def regions_and_ignore(made):
    made.labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    made.write_settings(regions_class_order=[1, 2])
    for number, case in enumerate(made.cases):
        labels = lesions(number)
        labels[labels.shape[0] // 2 :][labels[labels.shape[0] // 2 :] > 0] = 2
        labels[0, 0, :5] = 3
        made.write(made.label(case), labels)


def tiny_differences_of_headers(made):
    made.write(made.label("a"), made.read(made.label("a")), Origin=(0, 2e-5, 0))


def paths_in_settings(made):
    made.write_settings(
        dataset={
            case: {
                "images": [f"imagesTr/{made.image(case, c).name}" for c in (0, 1)],
                "label": f"labelsTr/{case}.nii.gz",
            }
            for case in made.cases
        }
    )


@pytest.mark.parametrize("change", [three_organs, regions_and_ignore, tiny_differences_of_headers, paths_in_settings])
def test_no_false_alarm(made, audited, change):
    dataset = made()
    change(dataset)
    _, findings = audited(dataset)
    assert findings == ()


def test_instance_ids_are_listed_in_short(made, audited):
    dataset = made()
    labels = np.zeros((8, 24, 24), np.uint8)
    for value in range(1, 41):
        labels[2 * (value // 11), 2 * (value % 11), 3] = value
    dataset.write(dataset.label("a"), labels)
    _, (found,) = audited(dataset)
    assert found.where == ("a: 2 to 40 (39 values)",)


def test_an_image_in_the_place_of_a_label_is_no_list_of_instances(made, audited):
    dataset = made()
    values = np.random.default_rng(0).permutation(8 * 24 * 24).reshape(8, 24, 24).astype(np.int32) // 3
    values[0, 0, :2] = 2_000_000_000, 0
    dataset.write(dataset.label("a"), values)
    _, (found,) = audited(dataset)
    assert (found.check, found.severity) == ("label values", ERROR)
    assert found.where == ("a: 2 to 2000000000 (1535 values)",)


def test_split_that_exists_is_read_with_its_test_part(made, audited):
    dataset = made()
    copy_within(dataset)
    folds = [{"train": ["a", "b", "c"], "val": ["e", "f"]}]
    (dataset.preprocessed / "splits_final.json").write_text(json.dumps(folds))
    (dataset.preprocessed / "test_folds.json").write_text(json.dumps([{"test": ["d"]}]))
    audit, findings = audited(dataset)
    assert audit.folds[0].test == ("d",)
    assert [(finding.check, finding.where) for finding in findings] == [("leakage", ("c = d",))]
