"""107 prostate cases: expert masks against another group's AI masks (PI-CAI), and one oblique case of ISLES 2022."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation import evaluate_folder

DATA = os.environ.get("SIZEPENALTY_REAL_DATA")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not DATA, reason="SIZEPENALTY_REAL_DATA names no folder with real data"),
]


@pytest.fixture(scope="module")
def picai(tmp_path_factory):
    folder = tmp_path_factory.mktemp("picai")
    with zipfile.ZipFile(Path(DATA) / "picai_masks" / "human_and_ai.zip") as archive:
        archive.extractall(folder)
    return folder


def test_expert_and_ai_masks_whole(picai):
    evaluation = evaluate_folder(picai / "human", picai / "ai")
    assert len(evaluation.cases) == 107
    # Counted anew with scipy and numpy alone.
    structure = ndimage.generate_binary_structure(3, 2)
    for row in evaluation.cases.iloc[::10].itertuples():
        reference, prediction = (
            sitk.GetArrayFromImage(sitk.ReadImage(picai / part / f"{row.case}.nii.gz")) > 0 for part in ("human", "ai")
        )
        labels, n = ndimage.label(reference, structure)
        assert row.n_reference == n
        assert row.missed == n - len(np.unique(labels[prediction & reference]))
        assert row.dice == pytest.approx(2 * (reference & prediction).sum() / (reference.sum() + prediction.sum()))
    of_label = evaluation.summary.labels["foreground"].tables
    assert of_label.lesion_stratum("all").lesions == evaluation.cases["n_reference"].sum()
    # Small lesions are missed more often: what the whole evaluation is about.
    rate = {s.name: s.estimates["detection_rate"].value for s in of_label.lesion_strata}
    assert rate["< 1 mL"] < rate["1-5 mL"]


def test_an_oblique_float_mask_against_itself(tmp_path):
    mask = next((Path(DATA) / "isles22").rglob("*msk.nii.gz"))
    for part in ("ref", "pred"):
        (tmp_path / part).mkdir()
    (tmp_path / "ref" / "a.nii.gz").symlink_to(mask)
    image = sitk.ReadImage(mask)
    sitk.WriteImage(sitk.Cast(image, sitk.sitkUInt8), tmp_path / "pred" / "a.nii.gz")
    row = evaluate_folder(tmp_path / "ref", tmp_path / "pred").cases.iloc[0]
    assert row["reference_ml"] == pytest.approx(523 * np.prod(image.GetSpacing()) / 1000)
    assert (row["dice"], row["pq"], row["assd"], row["nsd"]) == (1, 1, 0, 1)
