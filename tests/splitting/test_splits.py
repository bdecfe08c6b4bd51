"""Splits: the thesis's tenths, balanced folds by patient, the test part, and what is refused."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from skimage import io

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.folds import Fold
from nnunetv2_sizepenalty.splitting.splits import (
    check_folds,
    default_groups,
    groups_by_pattern,
    hold_out,
    stratified_folds,
    thesis_folds,
)

NAMES = [f"case_{n:03d}" for n in range(210)]
ALONE = {name: name for name in NAMES}


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A raw nnU-Net dataset of n tiny cases; case i holds `voxels[i]` lesion voxels of 0.001 mL."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))

    def make(voxels, name=lambda i: f"case_{i:03d}") -> Path:
        raw = tmp_path / "raw" / "Dataset005_Tiny"
        for part in ("imagesTr", "labelsTr"):
            (raw / part).mkdir(parents=True)
        for i, n in enumerate(voxels):
            labels = np.zeros(64, np.uint8)
            labels[:n] = 1
            sitk.WriteImage(sitk.GetImageFromArray(labels.reshape(4, 4, 4)), str(raw / f"labelsTr/{name(i)}.nii.gz"))
            (raw / f"imagesTr/{name(i)}_0000.nii.gz").touch()
        settings = {"channel_names": {"0": "ADC"}, "labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
        (raw / "dataset.json").write_text(json.dumps({**settings, "numTraining": len(voxels)}))
        return raw

    return make


def written(raw: Path) -> tuple[list, list]:
    folder = raw.parents[1] / "preprocessed" / raw.name
    return tuple(json.loads((folder / name).read_text()) for name in ("splits_final.json", "test_folds.json"))


def split(*args) -> int:
    return main(["split", "-d", "5", "--processes", "1", *map(str, args)])


# The thesis's scheme


def test_thesis_tenths_of_210_names():
    folds = thesis_folds(NAMES)
    assert len(folds) == 5
    for k, fold in enumerate(folds):
        assert fold.test == tuple(NAMES[21 * k : 21 * k + 21])
        assert fold.val == tuple(NAMES[21 * k + 21 : 21 * k + 42])
        assert fold.train == tuple(n for n in NAMES if n not in {*fold.test, *fold.val})
        assert len(fold.train) == 168
    assert max(Counter(name for fold in folds for name in fold.test).values()) == 1


def test_the_tenth_fold_validates_on_the_first_tenth_and_all_ten_test_every_case_once():
    folds = thesis_folds(NAMES, 10)
    assert folds[9].val == tuple(NAMES[:21])
    assert sorted(name for fold in folds for name in fold.test) == NAMES


@pytest.mark.parametrize("n", [10, 11, 19, 36, 185])
def test_thesis_tenths_of_other_numbers_differ_by_one_case(n):
    folds = thesis_folds(NAMES[:n], 10)
    assert sum((fold.test for fold in folds), ()) == tuple(NAMES[:n])
    assert {len(fold.test) for fold in folds} <= {n // 10, n // 10 + 1}
    check_folds(folds, ALONE)


def test_thesis_split_written_byte_by_byte_the_same_in_the_order_of_the_csv(dataset, tmp_path):
    raw = dataset([1] * 20)
    order = list(np.random.default_rng(0).permutation([f"case_{i:03d}" for i in range(20)]))
    pd.DataFrame({"case": order}).to_csv(tmp_path / "order.csv", index=False)
    arguments = ("--scheme", "thesis", "--order", tmp_path / "order.csv")
    assert split(*arguments) == 0
    splits, tests = written(raw)
    assert [sorted(order[2 * k : 2 * k + 2]) for k in range(5)] == [fold["test"] for fold in tests]
    assert [sorted(order[2 * k + 2 : 2 * k + 4]) for k in range(5)] == [fold["val"] for fold in splits]
    folder = raw.parents[1] / "preprocessed" / raw.name
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert split(*arguments, "--overwrite") == 0
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


# Test labels choose nothing


@pytest.mark.parametrize("arguments", [("--scheme", "thesis"), ("--holdout", "0.2", "--folds", "4")], ids=" ".join)
def test_labels_of_the_test_part_are_not_needed(dataset, arguments):
    raw = dataset(np.random.default_rng(0).integers(0, 60, 24))
    assert split(*arguments) == 0
    before = written(raw)
    assert before[1][0]["test"]
    for name in {name for fold in before[1] for name in fold["test"]}:
        (raw / f"labelsTr/{name}.nii.gz").unlink()
    assert split(*arguments, "--overwrite") == 0
    assert written(raw) == before


def test_labels_of_training_cases_are_needed_to_balance(dataset, capsys):
    raw = dataset([1] * 12)
    (raw / "labelsTr/case_003.nii.gz").unlink()
    assert split() == 2
    assert "case case_003:" in capsys.readouterr().err


# Balanced folds


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_alike_in_volume_empties_and_site(seed):
    rng = np.random.default_rng(seed)
    volumes = {n: 0.0 if rng.random() < 0.15 else float(rng.lognormal(1, 2)) for n in NAMES}
    sites = {n: str(rng.choice(["A", "B", "C"], p=[0.6, 0.3, 0.1])) for n in NAMES}
    folds = stratified_folds(volumes, ALONE, sites, seed=seed)
    check_folds(folds, ALONE)
    assert sorted(name for fold in folds for name in fold.val) == NAMES
    quartiles = np.quantile([v for v in volumes.values() if v], [0.25, 0.5, 0.75])

    def counts(kind):
        table = pd.DataFrame([Counter(kind(name) for name in fold.val) for fold in folds]).fillna(0)
        return (table.max() - table.min()).max()

    assert counts(lambda name: sites[name]) <= 4
    assert counts(lambda name: volumes[name] == 0) <= 3
    assert counts(lambda name: volumes[name] > 0 and np.digitize(volumes[name], quartiles)) <= 5
    assert max(len(fold.val) for fold in folds) - min(len(fold.val) for fold in folds) <= 6


def test_the_balance_is_better_than_chance():
    """Spread of the folds' mean log volume, against shuffled volumes (the same folds for other cases)."""
    rng = np.random.default_rng(1)
    volumes = dict(zip(NAMES, rng.lognormal(1, 2, len(NAMES)), strict=True))
    folds = stratified_folds(volumes, ALONE)

    def spread(values):
        return np.std([np.mean([np.log(values[name]) for name in fold.val]) for fold in folds])

    shuffled = [spread(dict(zip(NAMES, rng.permutation(list(volumes.values())), strict=True))) for _ in range(200)]
    assert spread(volumes) < np.quantile(shuffled, 0.1)


def test_patients_never_straddle():
    groups = {name: f"patient {i // 3}" for i, name in enumerate(NAMES)}
    volumes = dict(zip(NAMES, np.random.default_rng(0).lognormal(0, 2, len(NAMES)), strict=True))
    test = hold_out(groups, 0.1, seed=3)
    folds = stratified_folds({n: v for n, v in volumes.items() if n not in test}, groups, test=test)
    check_folds(folds, groups)
    assert all(fold.test == test for fold in folds)
    assert len(test) == 21
    assert {n for fold in folds for n in fold.val} == set(NAMES) - set(test)


def test_result_depends_on_the_seed_and_not_on_the_order_of_the_cases():
    volumes = dict(zip(NAMES, np.random.default_rng(0).lognormal(0, 2, len(NAMES)), strict=True))
    backwards = dict(reversed(volumes.items()))
    assert stratified_folds(volumes, ALONE, seed=1) == stratified_folds(backwards, ALONE, seed=1)
    assert stratified_folds(volumes, ALONE, seed=1) != stratified_folds(volumes, ALONE, seed=2)
    assert hold_out(ALONE, 0.1, 1) == hold_out(dict(reversed(ALONE.items())), 0.1, 1) != hold_out(ALONE, 0.1, 2)


@pytest.mark.parametrize("volumes", [[0] * 6, [1] * 6, [0, 0, 0, 1, 2, 3], [0] * 5 + [7]], ids=str)
def test_few_cases_can_be_split_too(volumes):
    folds = stratified_folds(dict(zip(NAMES, map(float, volumes), strict=False)), ALONE)
    assert sorted(len(fold.val) for fold in folds) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_holdout_share(share):
    assert len(hold_out(ALONE, share, 0)) == round(share * 210)
    groups = {name: str(i % 40) for i, name in enumerate(NAMES)}  # of five or six cases
    assert share * 210 - 6 < len(hold_out(groups, share, 0)) <= round(share * 210)


# Groups


@pytest.mark.parametrize(
    ("names", "pattern", "expected"),
    [
        (["p1_a", "p1_b", "p2_a"], "p[0-9]+", ["p1", "p1", "p2"]),
        (["site-3_day1", "site-3_day2"], "site-([0-9]+)_", ["3", "3"]),
    ],
)
def test_groups_by_pattern(names, pattern, expected):
    assert list(groups_by_pattern(names, pattern).values()) == expected


def test_default_groups_are_bids_subjects():
    names = ["sub-7_ses-1", "sub-7_ses-2", "sub-70_ses-1", "other"]
    assert list(default_groups(names).values()) == ["sub-7", "sub-7", "sub-70", "other"]


# Refusals


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(("a", "b"), ("c",), ("b",)), "fold 0: case b is in train and again in test"),
        (Fold(("a", "a"), ("c",)), "case a is in train and again in train"),
        (Fold(("a", "x"), ("c",)), "case x is not in the data set"),
        (Fold(("a", "b"), ("c",), ("d",)), r"group p straddles val \(c\) and test \(d\)"),
        (Fold((), ("c",)), "no case is left to train on"),
        (Fold(("a",), ()), "no case is left to validate on"),
    ],
)
def test_folds_that_break_a_rule_are_refused(fold, message):
    with pytest.raises(UserError, match=message):
        check_folds([fold], {"a": "a", "b": "b", "c": "p", "d": "p"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scheme", "thesis", "--order", "twice"), "case case_001 is in two rows"),
        (("--scheme", "thesis", "--order", "unknown"), "case nobody is not in the data set"),
        (("--scheme", "thesis", "--order", "short"), "case case_011 of the data set is missing"),
        (("--scheme", "thesis", "--order", "no case"), "needs a column case"),
        (("--scheme", "thesis", "--order", "nowhere"), "cannot be read"),
        (
            ("--scheme", "thesis", "--order", "all", "--group", "patient"),
            "fold 0: group p2 straddles train (case_008) and val (case_002)",
        ),
        (("--scheme", "thesis", "--folds", "11"), "1 to 10 folds"),
        (("--scheme", "thesis", "--holdout", "0.1"), "belong to --scheme stratified"),
        (("--order", "all", "--site", "town"), "--site town: no such column"),
        (("--site", "patient"), "give one with --order"),
        (("--order", "all", "--group", "blank"), "case case_000: column blank of the CSV is empty"),
        (("--order", "all", "--group", "patients"), "case case_000: --group patients"),
        (("--group", "("), "nor a regular expression"),
        (("--folds", "13"), "12 groups"),
        (("--folds", "1"), "12 groups"),
        (("--holdout", "1"), "from 0 to below 1"),
        (("--holdout", "0.01"), "less than the smallest group"),
        (("--order", "all", "--site", "each"), "no site has 5 cases"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, tuple) else "",
)
def test_refused_in_one_line_with_nothing_written(dataset, tmp_path, capsys, arguments, message):
    raw = dataset([1] * 12)
    names = [f"case_{i:03d}" for i in range(12)]
    tables = {
        "twice": {"case": [*names, names[1]]},
        "unknown": {"case": [*names, "nobody"]},
        "short": {"case": names[:-1]},
        "no case": {"name": names},
        "all": {"case": names, "patient": [f"p{i % 6}" for i in range(12)], "blank": "", "each": range(12)},
    }
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(tmp_path / f"{name}.csv", index=False)
    after_order = ["--order" in arguments[max(i - 1, 0) : i] for i in range(len(arguments))]
    arguments = [tmp_path / f"{a}.csv" if csv else a for a, csv in zip(arguments, after_order, strict=True)]
    assert split(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (raw.parents[1] / "preprocessed").exists()


def test_an_existing_split_is_replaced_only_when_asked(dataset, capsys):
    raw = dataset([1] * 12)
    folder = raw.parents[1] / "preprocessed" / raw.name
    folder.mkdir(parents=True)
    (folder / "splits_final.json").write_text("[]")
    assert split() == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "splits_final.json").read_text() == "[]"
    assert split("--overwrite") == 0
    assert len(written(raw)[0]) == 5


def test_unknown_dataset(dataset, capsys):
    assert main(["split", "-d", "6"]) == 2
    assert "-d 6: no such dataset" in capsys.readouterr().err


# With nnU-Net


def test_columns_reach_the_split_and_the_table_is_printed(dataset, tmp_path, capsys):
    raw = dataset([0, 8, 16, 24] * 5)
    names = [f"case_{i:03d}" for i in range(20)]
    frame = pd.DataFrame({"case": names, "patient": [i // 2 for i in range(20)], "site": ["A", "B"] * 10})
    frame.to_csv(tmp_path / "cases.csv", index=False)
    assert split("--order", tmp_path / "cases.csv", "--group", "patient", "--site", "site", "--holdout", 0.1) == 0
    splits, tests = written(raw)
    patients = frame.set_index("case")["patient"]
    for fold, test in zip(splits, tests, strict=True):
        assert len(test["test"]) == 2
        parts = [set(patients[names]) for names in (fold["train"], fold["val"], test["test"])]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 10
    output = capsys.readouterr().out
    assert "lesion-free" in output
    assert "0.02" in output or "0.01" in output  # mL


def test_labels_are_measured_with_the_ignore_label_left_out(dataset):
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.splitting.case_volumes import case_sizes

    raw = dataset([10] * 2)
    settings = json.loads((raw / "dataset.json").read_text())
    settings["labels"] = {"background": 0, "core": 1, "rim": 2, "ignore": 3}
    (raw / "dataset.json").write_text(json.dumps(settings))
    labels = np.repeat(np.arange(4, dtype=np.uint8), 16).reshape(4, 4, 4)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((2, 2, 5))
    sitk.WriteImage(image, str(raw / "labelsTr/case_001.nii.gz"))
    volumes = case_sizes(find_dataset("Dataset005_Tiny"), ["case_000", "case_001"])[0]
    assert volumes == {"case_000": pytest.approx(0.010), "case_001": pytest.approx(32 * 0.020)}


def test_sheared_voxels_have_the_determinants_volume(dataset):
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.splitting.case_volumes import case_sizes

    raw = dataset([10])
    settings = json.loads((raw / "dataset.json").read_text()) | {"overwrite_image_reader_writer": "NibabelIO"}
    (raw / "dataset.json").write_text(json.dumps(settings))
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[0, 1] = 1.5  # the second axis leans, which lengthens it to 2.5 mm
    labels = nibabel.load(raw / "labelsTr/case_000.nii.gz").get_fdata().astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, affine), raw / "labelsTr/case_000.nii.gz")
    assert case_sizes(find_dataset("Dataset005_Tiny"), ["case_000"])[0] == {"case_000": pytest.approx(0.06)}


def test_photographs_are_measured_in_pixels(dataset, capsys):
    raw = dataset([0, 9, 12, 12, 15] * 2)
    for path in sorted(raw.glob("*/*.nii.gz")):
        if path.parent.name == "labelsTr":
            labels = sitk.GetArrayFromImage(sitk.ReadImage(path)).reshape(8, 8)
            io.imsave(path.with_name(path.name.replace(".nii.gz", ".png")), labels, check_contrast=False)
            path.unlink()
        else:
            path.rename(path.with_name(path.name.replace(".nii.gz", ".png")))
    settings = json.loads((raw / "dataset.json").read_text()) | {"file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps(settings))
    assert split("--folds", 2) == 0
    output = capsys.readouterr().out
    assert "median lesion" in output
    assert "area, px" in " ".join(output.split())
    assert re.search(r" 12 ", output)


@pytest.mark.integration
def test_nnunets_trainer_takes_the_split(dataset):
    """nnU-Net's own do_split, in a process of its own, on the files that were written."""
    raw = dataset([1] * 20)
    assert split("--holdout", "0.1") == 0
    splits, _ = written(raw)
    code = (
        "import sys\n"
        "from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2\n"
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class Trainer(nnUNetTrainer):\n"
        "    def __init__(self, folder, fold):\n"
        "        self.dataset_class, self.fold = nnUNetDatasetBlosc2, fold\n"
        "        self.preprocessed_dataset_folder = self.preprocessed_dataset_folder_base = folder\n"
        "        self.folder_with_segs_from_previous_stage = None\n"
        "    def print_to_log_file(self, *args, **kwargs): print(*args)\n"
        "for fold in range(5): print(*Trainer(sys.argv[1], fold).do_split()[1], file=sys.stderr)\n"
    )
    folder = raw.parents[1] / "preprocessed" / raw.name
    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stderr
    assert "contains 5 splits" in run.stdout
    assert "WARNING" not in run.stdout
    lines = [line.split() for line in run.stderr.splitlines() if line.startswith("case_")]
    assert lines == [fold["val"] for fold in splits]
