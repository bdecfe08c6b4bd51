"""Real data sets: nothing is said of them that isn't so, and what is made wrong in them is found."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_datasets import MadeDataset

from nnunetv2_sizepenalty.audit import NOTE, WARNING, audit_cases, run_checks
from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
from nnunetv2_sizepenalty.nnunet_io.plan import find_plan

REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """nnU-Net's folders with BONBID-HIE, the hippocampus and IDRiD in them."""
    root = tmp_path_factory.mktemp("real")
    for name in ("bonbid_hie/Dataset006_BONBIDHIE.zip", "msd_hippocampus/Dataset004_Hippocampus.zip"):
        with zipfile.ZipFile(Path(REAL_DATA) / name) as file:
            file.extractall(root / "raw")
    archive, output = Path(REAL_DATA) / "idrid" / "train_quarter.zip", root / "raw" / "Dataset054_IDRiD"
    script = ROOT / "benchmarks" / "idrid.py"
    subprocess.run([sys.executable, script, archive, "-o", output], check=True, capture_output=True)
    return root


@pytest.fixture
def dataset(real, monkeypatch):
    """A real data set, with plans of one configuration where asked for."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(real / name))

    def take(name, *, ending=".nii.gz", **plans) -> MadeDataset:
        raw = real / "raw" / name
        cases = sorted(path.name.removesuffix(ending) for path in (raw / "labelsTr").iterdir())
        taken = MadeDataset(raw, cases, ending, channels=1)
        if plans:
            taken.write_plans(**plans)
        return taken

    return take


def found(dataset: MadeDataset):
    """The audit of a data set, and the severity and number of places of each finding."""
    taken = find_dataset(dataset.raw.name)
    audit = audit_cases(taken, find_plan(taken, None, None))
    findings = run_checks(audit)
    return audit, findings, [(finding.severity, finding.check, len(finding.where)) for finding in findings]


def test_neonatal_adc(dataset):
    """The spacing and the patch are those of nnU-Net's plan of this data set."""
    taken = dataset("Dataset006_BONBIDHIE", spacing_mm=(4, 1.5625, 1.5178850), patch_size=(24, 80, 64))
    audit, findings, short = found(taken)
    assert len(audit.lesions) == 285
    assert short == [
        (WARNING, "cropped lesions", 1),
        (WARNING, "lost lesions", 1),
        (NOTE, "lesion-free cases", 2),
        (NOTE, "weight of S", 0),
    ]
    # all of it is so: a lesion of 13 voxels outside the head, cases whose labels are empty
    assert findings[0].where == ("hie_010: 0.127 mL",)
    image, labels = (taken.read(path) for path in (taken.image("hie_010"), taken.label("hie_010")))
    components, _ = label_components(labels)
    head = np.argwhere(image)
    inside = np.zeros(image.shape, bool)
    inside[tuple(map(slice, head.min(0), head.max(0) + 1))] = True
    outside = set(components[~inside]) - set(components[inside])
    assert [np.count_nonzero(components == lesion) for lesion in outside] == [13]
    assert findings[2].where == tuple(case for case in taken.cases if not taken.read(taken.label(case)).any())


def test_hippocampus(dataset):
    taken = dataset("Dataset004_Hippocampus")
    audit, _, short = found(taken)
    assert (len(audit.cases), short) == (217, [])


def test_fundus_photographs(dataset):
    taken = dataset("Dataset054_IDRiD", ending=".png", spacing_mm=(1, 1), patch_size=(768, 1152))
    audit, findings, short = found(taken)
    assert list(audit.classes) == ["microaneurysm", "haemorrhage", "hard exudate", "soft exudate"]
    assert audit.bins.unit.name == "px"
    assert {severity for severity, _, _ in short} == {NOTE}
    assert [place.split(":")[0] for place in findings[0].where] == ["microaneurysm", "haemorrhage"]
    assert findings[0].command.endswith("nnUNetTrainerDTS_lesionuniform")
    # at its own spacing nothing is resampled
    assert (audit.lesions["kept"] == audit.lesions["voxels"]).all()


def test_what_is_made_wrong_is_found(dataset, real):
    """Lesions numbered, a scan twice on both sides of a fold, a label moved: in eight cases that have nothing else."""
    whole = dataset("Dataset006_BONBIDHIE")
    spoilt = MadeDataset(real / "raw" / "Dataset906_Spoilt", whole.cases[4:12], channels=1)
    for part in ("imagesTr", "labelsTr"):
        (spoilt.raw / part).mkdir(parents=True)
    for case in spoilt.cases:
        shutil.copy(whole.image(case), spoilt.image(case))
        shutil.copy(whole.label(case), spoilt.label(case))
    spoilt.write_settings()
    spoilt.write_folds(spoilt.cases[:4], spoilt.cases[4:])
    assert found(spoilt)[2] == []

    numbered, copy, moved = spoilt.cases[0], spoilt.cases[7], spoilt.cases[3]
    label = sitk.ReadImage(str(spoilt.label(numbered)))
    components, n = label_components(sitk.GetArrayFromImage(label))
    assert n > 1
    ids = sitk.GetImageFromArray(components.astype(np.uint16))
    ids.CopyInformation(label)
    sitk.WriteImage(ids, str(spoilt.label(numbered)))
    shutil.copy(spoilt.image(spoilt.cases[1]), spoilt.image(copy))
    shutil.copy(spoilt.label(spoilt.cases[1]), spoilt.label(copy))
    label = sitk.ReadImage(str(spoilt.label(moved)))
    label.SetOrigin([10 + value for value in label.GetOrigin()])
    sitk.WriteImage(label, str(spoilt.label(moved)))

    _, findings, short = found(spoilt)
    assert short == [("error", "instance ids", 1), ("error", "leakage", 1), ("warning", "grids", 1)]
    assert findings[0].where[0].startswith(f"{numbered}: ")
    assert findings[1].where == (f"{spoilt.cases[1]} = {copy}",)
    assert findings[2].where[0].startswith(f"{moved}.nii.gz: origin")
