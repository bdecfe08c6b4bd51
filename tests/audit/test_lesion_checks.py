"""What a plan does to lesions: found where it is so, not where it isn't."""

import numpy as np
import pytest
from preprocessed_masks import preprocess_masks

from nnunetv2_sizepenalty.audit import NOTE, WARNING
from nnunetv2_sizepenalty.audit.sizes import by_size

SHAPE = (12, 40, 40)


def ball(labels, centre, radius, value=1):
    at = np.indices(labels.shape) - np.reshape(centre, (3, 1, 1, 1))
    labels[(at**2).sum(0) <= radius**2] = value


def write(made, labels_of, **values):
    """A dataset of volumes whose label maps are `labels_of(number)`."""
    dataset = made(channels=1, **values)
    for number, case in enumerate(dataset.cases):
        image = np.random.default_rng(number).integers(1, 255, SHAPE).astype(np.float32)
        dataset.write(dataset.image(case), image, (1, 1, 1))
        dataset.write(dataset.label(case), labels_of(number), (1, 1, 1))
    return dataset


def apart(number):
    """Two lesions of one size, further apart than a patch reaches."""
    labels = np.zeros(SHAPE, np.uint8)
    ball(labels, (5, 6, 6 + number), 2)
    ball(labels, (5, 33, 33 - number), 2)
    return labels


def large_and_small(number):
    """A lesion of about 500 voxels and four of 7 beside it."""
    labels = np.zeros(SHAPE, np.uint8)
    ball(labels, (5, 18, 18 + number), 4.95)
    for y, x in ((8, 8), (8, 28), (28, 8), (28, 28)):
        ball(labels, (5, y, x + number), 1)
    return labels


def huge(number):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:11, 5:30, 5 + number : 30 + number] = 1
    return labels


def specks(number):
    """A lesion that any plan keeps, and one voxel that a coarser grid does not."""
    labels = apart(number)
    labels[2, 20, 20 + number % 2] = 1
    return labels


def test_nothing_is_said_of_a_plan_that_loses_nothing(made, audited):
    dataset = write(made, apart)
    dataset.write_plans(spacing_mm=(1, 1, 1), patch_size=(8, 16, 16))
    audit, findings = audited(dataset)
    assert findings == ()
    rows = by_size(audit, "lesion")
    assert rows.loc[0, ["lesions", "lost", "voxels", "kept"]].tolist() == [12, 0, 33, 33]
    assert rows.loc[0, ["by_voxel", "by_lesion"]].tolist() == [1, 1]
    assert rows.loc[0, "patch_weight"] == pytest.approx(np.exp(-33 / 600))


def test_lost_lesions_are_named_with_a_finer_plan(made, audited):
    dataset = write(made, specks)
    dataset.write_plans(spacing_mm=(3, 3, 3), patch_size=(4, 8, 8))
    audit, findings = audited(dataset)
    (lost,) = (finding for finding in findings if finding.check == "lost lesions")
    assert lost.severity == WARNING
    assert lost.what.startswith("6 lesions of 18 without a voxel at the plan's spacing of 3 x 3 x 3 mm")
    assert lost.where == tuple(f"{case}: 0.00100 mL" for case in dataset.cases)
    assert lost.command.endswith("-d 500 -overwrite_target_spacing 1.5 1.5 1.5 -overwrite_plans_name FINER")
    assert (audit.lesions.loc[audit.lesions["voxels"] == 1, "kept"] == 0).all()
    assert (audit.lesions.loc[audit.lesions["voxels"] > 1, "kept"] > 0).all()


def test_lesions_outside_the_image_are_cropped(made, audited):
    dataset = write(made, apart)
    dataset.write_plans(spacing_mm=(1, 1, 1))
    image = dataset.read(dataset.image("c")).copy()
    image[:, 28:] = 0
    dataset.write(dataset.image("c"), image, (1, 1, 1))
    audit, (cropped,) = audited(dataset)
    assert (cropped.check, cropped.severity) == ("cropped lesions", WARNING)
    assert cropped.where == ("c: 0.0330 mL",)
    assert audit.lesions.query("case == 'c'")[["outside", "kept"]].to_numpy().tolist() == [[0, 33], [33, 0]]


def test_preprocessed_data_of_another_image_are_stale(made, audited):
    dataset = write(made, apart, cases=["a"])
    dataset.write_plans(spacing_mm=(1, 1, 1))
    plan = audited(dataset)[0].plan
    other = np.zeros((8, 8, 8), np.int16)
    other[2, 2, 2] = 1
    preprocess_masks(plan.folder, {"a": other}, plan.label_manager({"labels": dataset.labels}))
    from batchgenerators.utilities.file_and_folder_operations import load_pickle, write_pickle

    properties = load_pickle(str(plan.folder / "a.pkl"))
    box = {"bbox_used_for_cropping": [[0, 8]] * 3, "shape_before_cropping": (8, 8, 8)}
    write_pickle(properties | box, str(plan.folder / "a.pkl"))
    audit, (stale,) = audited(dataset)
    assert (stale.check, stale.severity, stale.where) == ("stale data", WARNING, ("a",))
    assert stale.command == "nnUNetv2_preprocess -d 500 -plans_name nnUNetPlans -c 3d_fullres"
    assert audit.lesions["kept"].isna().all()


def test_small_lesions_beside_large_ones(made, audited):
    dataset = write(made, large_and_small)
    # twice the image, so that a patch holds all of it wherever it is forced
    dataset.write_plans(name="OurPlans", spacing_mm=(1, 1, 1), patch_size=(24, 80, 80))
    audit, findings = audited(dataset)
    assert {(finding.check, finding.severity) for finding in findings} == {
        ("forced centres", NOTE), ("weight of S", NOTE),
    }  # fmt: skip
    forced, weight = findings
    assert "lesions under 0.1 mL are 80 % of all and get 5 % of the forced centres, 80 % when a lesion is drawn" in (
        forced.what
    )
    assert forced.command == "nnUNetv2_train 500 3d_fullres 0 -tr nnUNetTrainerDTS_lesionuniform -p OurPlans"
    everything = np.exp(-int(large_and_small(0).sum()) / 600)
    assert f"(median weight 0.99) have a median weight of {everything:.2f} in their patches" in weight.what
    assert weight.command.endswith("nnUNetTrainerDTS_perlesion -p OurPlans")
    small = audit.lesions[audit.lesions["voxels"] == 7]
    assert small["by_voxel"].sum() == pytest.approx(6 * 28 / (28 + audit.lesions["voxels"].max()), rel=0.01)


def test_large_lesions_silence_s(made, audited):
    dataset = write(made, huge)
    dataset.write_plans(spacing_mm=(1, 1, 1), patch_size=(12, 40, 40))
    _, (silent,) = audited(dataset)
    assert (silent.check, silent.severity) == ("weight of S", NOTE)
    assert "nearly silent at tau = 600 voxels" in silent.what
    assert silent.command.endswith("_tauAuto")


def test_one_finding_tells_of_every_label(made, audited):
    def both(number):
        labels = large_and_small(number)
        labels[:, :, :20][labels[:, :, :20] > 0] *= 2
        return labels

    dataset = write(made, both)
    dataset.labels = {"background": 0, "one": 1, "two": 2}
    dataset.write_settings()
    dataset.write_plans(spacing_mm=(1, 1, 1), patch_size=(12, 40, 40))
    _, findings = audited(dataset)
    forced = next(finding for finding in findings if finding.check == "forced centres")
    assert forced.what.endswith("in 2 labels.")
    assert [place.split(":")[0] for place in forced.where] == ["one", "two"]
