"""The viewer shows the masks as they were scored, and the image that the reader wants to see."""

import json

import nibabel as nib
import numpy as np
import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import PROTOCOLS, evaluate_folder, read_evaluation, write_evaluation
from nnunetv2_sizepenalty.report.sources import Sources

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def save(path, array):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(array.T, AFFINE), path)


@pytest.fixture
def folders(tmp_path):
    reference, prediction = np.zeros((4, 12, 12), np.uint8), np.zeros((4, 12, 12), np.uint8)
    reference[1, 2:5, 2:5] = 1
    prediction[1, 2:5, 2:6] = 1
    prediction[3, 10, 10] = 1  # a single voxel
    reference[2, 6:12, 0:6] = 2
    prediction[2, 7:9, 0:3] = 1  # inside what is ignored
    save(tmp_path / "reference" / "a.nii.gz", reference)
    save(tmp_path / "prediction" / "a.nii.gz", prediction)
    for channel in (0, 1):
        save(tmp_path / "imagesTr" / f"a_000{channel}.nii.gz", np.full((4, 12, 12), channel + 7, np.float32))
    return tmp_path


def sources(folders, protocol, labels=None, images=False):
    """Through the files, as `compare` reads them: there the default connectivity has become NaN."""
    dataset_json = folders / "labels.json"
    if labels:
        dataset_json.write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    evaluation = evaluate_folder(
        folders / "reference",
        folders / "prediction",
        dataset_json=dataset_json if labels else None,
        protocol=protocol,
    )
    write_evaluation(evaluation, folders / "out")
    summary = read_evaluation(folders / "out").summary
    return Sources(
        summary, folders / "reference", folders / "prediction", folders / "imagesTr" if images else None
    ), evaluation


@pytest.mark.parametrize("protocol", ["default", "thesis"])
def test_small_predictions_are_shown_only_where_they_count(folders, protocol):
    shown, evaluation = sources(folders, protocol)
    _, prediction, grid = shown.masks("a")
    ml = prediction["foreground"].sum() * 2 / 1000
    assert ml == pytest.approx(evaluation.cases["prediction_ml"].item())
    assert prediction["foreground"][3, 10, 10] == (PROTOCOLS[protocol].min_voxels <= 1)
    assert grid.spacing_mm == (2, 1, 1)


def test_ignored_voxels_are_not_shown(folders):
    shown, evaluation = sources(folders, "default", {"background": 0, "lesion": 1, "ignore": 2})
    reference, prediction, _ = shown.masks("a")
    assert reference["lesion"].sum() == 9
    assert prediction["lesion"][2].sum() == 0
    assert prediction["lesion"].sum() * 2 / 1000 == pytest.approx(evaluation.cases["prediction_ml"].item())


@pytest.mark.parametrize(
    ("content", "value"),
    [(None, 7), ({"labels": {}}, 7), ({"size_penalty": {"channels": {"adc": 0, "dwi": 1}}}, 8)],
    ids=["no dataset.json", "stock", "ours"],
)
def test_dwi_is_shown_where_the_dataset_names_it(folders, content, value):
    if content is not None:
        (folders / "dataset.json").write_text(json.dumps(content))
    shown, _ = sources(folders, "default", images=True)
    assert np.all(next(iter(shown.images("a", (4, 12, 12)).values())) == value)


def test_missing_files_are_named(folders):
    shown, _ = sources(folders, "default", images=True)
    with pytest.raises(UserError, match="no mask of b"):
        shown.masks("b")
    with pytest.raises(UserError, match="no image of b"):
        shown.images("b", (4, 12, 12))
    with pytest.raises(UserError, match=r"\(4, 12, 12\) instead of the masks' \(4, 12, 13\)"):
        shown.images("a", (4, 12, 13))


def test_a_missing_prediction_is_shown_empty(folders):
    save(folders / "reference" / "b.nii.gz", np.ones((4, 12, 12), np.uint8))
    evaluation = evaluate_folder(folders / "reference", folders / "prediction", allow_missing=True)
    _, prediction, _ = Sources(evaluation.summary, folders / "reference", folders / "prediction").masks("b")
    assert not prediction["foreground"].any()
