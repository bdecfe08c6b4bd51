"""Two seeds of one model on phantom patients, through the commands: nothing to tell.

The model is a threshold on noisy, smoothed DWI, its seed the noise: as good in one seed as in another. (Two trainings
of ten epochs are not: one marks all of every patient, and a page about these two trained models says so.)
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from nnunetv2_sizepenalty.cli.main import main

pytestmark = pytest.mark.integration

CASES = 12


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> dict[int, Path]:
    """Seed -> output of `evaluate`."""
    root = tmp_path_factory.mktemp("seeds")
    shape = ["--shape", "24", "32", "32", "--spacing", "6", "6", "6"]
    assert not main(["phantom", "-o", str(root / "phantom"), "--cases", str(CASES), "--seed", "7", *shape])
    outputs = {}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for mask_file in sorted((root / "phantom" / "derivatives").rglob("*_msk.nii.gz")):
            case = mask_file.name.split("_")[0]
            mask = nib.load(mask_file)
            dwi = nib.load(next((root / "phantom" / "rawdata").rglob(f"{case}*_dwi.nii.gz"))).get_fdata()
            inside = dwi > 0
            bright = (dwi - np.median(dwi[inside])) / dwi[inside].std() + rng.normal(0, 1, dwi.shape)
            found = (ndimage.gaussian_filter(bright, 0.5) > 1.5) & inside
            for folder, array in (("ref", mask.get_fdata() > 0), (f"seed{seed}", found)):
                (root / folder).mkdir(exist_ok=True)
                nib.save(nib.Nifti1Image(array.astype(np.uint8), mask.affine), root / folder / f"{case}.nii.gz")
        outputs[seed] = root / f"scores{seed}"
        arguments = ["-ref", str(root / "ref"), "-pred", str(root / f"seed{seed}"), "-np", "1"]
        assert not main(["evaluate", *arguments, "-o", str(outputs[seed])])
    return outputs


@pytest.mark.parametrize(
    ("first", "second", "about"),
    [((0,), (1,), "these two trained models, never about methods"), ((0, 1, 2), (3, 4, 5), "3 repeats of each model")],
    ids=["two seeds", "three against three"],
)
def test_seeds_of_one_model_can_not_be_told_apart(scores, tmp_path, first, second, about):
    models = [f"{name}={','.join(str(scores[seed]) for seed in of)}" for name, of in (("A", first), ("B", second))]
    assert not main(["compare", *models, "-o", str(tmp_path)])
    table = pd.read_csv(tmp_path / "differences.csv")
    assert table["patients"].max() == CASES
    assert table["difference"].abs().max() > 0
    assert 0.1 < table.query("stratum == 'all' and metric == 'dice'")["baseline_mean"].item() < 0.95
    assert set(table["verdict"]) == {"can't tell"}
    assert about in (tmp_path / "compare.html").read_text()
