"""What 0.1.0 left on disk (artefacts_0_1_0/README.md) is continued, thresholded, applied, baked and compared."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from nnunet_commands import TinyDataset
from trainings import continue_to_the_end

from nnunetv2_sizepenalty.cli.main import main

pytestmark = pytest.mark.integration

ARTEFACTS = Path(__file__).with_name("artefacts_0_1_0")
DATASET = "Dataset997_Tiny"
MODEL = f"{DATASET}/nnUNetTrainerDC_nnUNet_10epochs_seed1__TinyPlans__3d_fullres"
REFERENCES = f"nnUNet_preprocessed/{DATASET}/gt_segmentations"
# model -> the masks that were scored
MASKS = {"good": "applied", "bad": "predicted_bad"}
# of the share rule, behind those of 0.1.0 in cases.csv
SHARE_COLUMNS = ("missed_share", "false_positives_share", "detection_rate_share")
STOPPED_ONCE = "nnUNetTrainerDTS_2epochs_seed1"
STOPPED_TWICE = "nnUNetTrainerDCS_nnUNet_perlesion_2epochs_seed1"


def run(*arguments) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    """A copy of the artefacts, where nnU-Net's variables point."""
    folder = tmp_path / "old"
    shutil.copytree(ARTEFACTS, folder)
    for file in (folder / "nnUNet_results" / MODEL / "fold_0" / "validation").glob("*.npz"):
        shutil.copy(file, folder / "probabilities")
    for name, masks in MASKS.items():
        summary = folder / f"evaluation_{name}" / "summary.json"
        folders = {"reference_folder": str(folder / REFERENCES), "prediction_folder": str(folder / masks)}
        summary.write_text(json.dumps(json.loads(summary.read_text()) | folders))
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(folder / name))
    monkeypatch.delenv("nnUNet_raw", raising=False)
    return folder


# stopped twice: 0.1.0 stored the iterations left of a resumed epoch as iterations_per_epoch
@pytest.mark.parametrize("trainer", [STOPPED_ONCE, STOPPED_TWICE])
def test_a_stopped_training_ends_like_one_that_never_stopped(tiny_dataset: TinyDataset, trainer):
    results = tiny_dataset.results(trainer)
    shutil.copytree(ARTEFACTS / "stopped" / results.name, results)
    fold = results / "fold_0"
    saved = torch.load(fold / "checkpoint_latest.pth", weights_only=False)["init_args"]["size_penalty"]
    text = continue_to_the_end(tiny_dataset, trainer)
    assert f"after {saved['iteration']} of its iterations" in text

    final = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert all(torch.isfinite(weights).all() for weights in final["network_weights"].values())
    expected = json.loads((ARTEFACTS / "stopped" / "uninterrupted.json").read_text())[trainer]
    logged = {key: final["logging"][key] for key in expected}
    assert logged.pop("lrs") == pytest.approx(expected.pop("lrs"), rel=1e-9)
    for key, values in expected.items():
        # equal on one machine, 1e-7 away with two threads; one batch too many is 2e-4 of the perlesion run's
        assert logged[key] == pytest.approx(values, rel=5e-5), key
    # Adam counts its steps, SGD doesn't
    steps = {float(state["step"]) for state in final["optimizer_state"]["state"].values() if "step" in state}
    assert steps == ({40.0} if trainer == STOPPED_ONCE else set())


def test_threshold_chooses_the_same_and_counts_lesions_anew(old, capsys):
    """0.1.0's counts are by any overlap and not used; what counts no lesions stays."""
    model = old / "nnUNet_results" / MODEL
    report = model / "operating_point" / "operating_point.json"
    expected = json.loads(report.read_text())

    def choose() -> dict:
        run("threshold", model, "--thresholds", "dense", "--min-voxels", 5, "-np", 1)
        return json.loads(report.read_text())

    first = choose()
    assert "counted already" not in capsys.readouterr().out
    cached = choose()
    assert "3 of 3 cases are counted already" in capsys.readouterr().out
    assert cached == first
    assert first.keys() == expected.keys() | {"detection", "averaged_with"}
    found, before = first["classes"]["lesion"], expected["classes"]["lesion"]
    assert found["calibration"] == approximately(before["calibration"])
    for choice, old_choice in zip(choices(found), choices(before), strict=True):
        assert choice.pop("within_one_se")[0] <= choice["threshold"]
        assert choice == approximately(old_choice)
    by_share = {"lesion_f1", "n_lesion_f1", "sensitivity", "false_positives_per_case"}
    for row, old_row in zip(found["table"], before["table"], strict=True):
        assert {key: row[key] for key in old_row.keys() - by_share} == approximately(
            {key: old_row[key] for key in old_row.keys() - by_share}
        )


def choices(chosen: dict) -> list[dict]:
    return [chosen["ensemble"], *chosen["folds"].values()]


def test_apply_writes_the_same_masks(old, tmp_path):
    point = old / "nnUNet_results" / MODEL / "operating_point" / "operating_point.json"
    run("apply", "-i", old / "probabilities", "-o", tmp_path / "out", "--operating-point", point, "-np", 1)
    expected = sorted((old / "applied").glob("*.nii.gz"))
    assert [path.name for path in expected] == [path.name for path in sorted((tmp_path / "out").glob("*.nii.gz"))]
    assert len(expected) == 5
    for path in expected:
        assert gzip.decompress((tmp_path / "out" / path.name).read_bytes()) == gzip.decompress(path.read_bytes())


def test_bake_writes_the_same_model(old, tmp_path):
    model, out = old / "nnUNet_results" / MODEL, tmp_path / "baked__TinyPlans__3d_fullres"
    run("bake", model, "--operating-point", model / "operating_point" / "operating_point.json", "-o", out)
    checkpoints = [folder / "fold_0" / "checkpoint_final.pth" for folder in (out, old / "baked")]
    baked, expected = (torch.load(path, weights_only=False) for path in checkpoints)
    assert baked.keys() == expected.keys()
    assert baked["baked_thresholds"] == expected["baked_thresholds"]
    assert baked["network_weights"].keys() == expected["network_weights"].keys()
    assert all(torch.equal(w, expected["network_weights"][name]) for name, w in baked["network_weights"].items())
    (filters,) = (old / "baked").glob("*/postprocessing.pkl")
    assert (out / filters.parent.name / filters.name).read_bytes() == filters.read_bytes()


@pytest.mark.parametrize(("name", "masks"), MASKS.items())
def test_evaluate_gives_the_same_numbers(old, tmp_path, name, masks):
    references = old / REFERENCES
    labels = old / "nnUNet_results" / MODEL / "dataset.json"
    out = tmp_path / "evaluation"
    run(
        *("evaluate", "-ref", references, "-pred", old / masks, "-o", out, "-djfile", labels, "-np", 1),
        *("--froc", old / f"froc_{name}"),
    )
    same_tables(out, old / f"evaluation_{name}", ("cases", "lesions"), appended=SHARE_COLUMNS)
    found, before = (json.loads((folder / "summary.json").read_text()) for folder in (out, old / f"evaluation_{name}"))
    assert found.keys() == before.keys()
    del found["labels"]["lesion"]["share"]
    strata = (of["labels"]["lesion"]["tables"]["case_strata"] for of in (found, before))
    for stratum, old_stratum in zip(*strata, strict=True):
        stratum["metrics"] = {key: of for key, of in stratum["metrics"].items() if key not in SHARE_COLUMNS}
        if stratum["cases"] == 1:  # 0.1.0 gave one case a concordance of 0
            assert stratum["pooled"]["lin_ccc"].pop("value") is None
            del old_stratum["pooled"]["lin_ccc"]["value"]
    # of five cases 4 % of the resamples are the sample itself: on which side of it they lay was rounding's in 0.1.0
    assert without_intervals(found["labels"]) == approximately(without_intervals(before["labels"]))


@pytest.mark.parametrize(
    ("detection", "differs"),
    [
        # 0.1.0's precision was of predicted lesions: the pieces of one lesion made up for false positives
        ("overlap", {"precision"}),
        # 0.1.0 swept thresholds by any overlap; what doesn't depend on it stays
        (
            "share:0.1",
            {
                *("precision", "detected", "sensitivity", "false_positives_per_case"),
                *("false_positives_of_size_per_case", "missed", "false_positives", "false_positive_ml"),
                *("detection_rate", "lesion_f1"),
            },
        ),
    ],
)
def test_froc_gives_the_same_numbers_but_for_what_counts_lesions(old, tmp_path, detection, differs):
    run(
        *("froc", "-ref", old / REFERENCES, "-probabilities", old / "probabilities", "-o", tmp_path, "-np", 1),
        *("--detection", detection),
    )
    same_tables(tmp_path, old / "froc_good", ("froc", "operating_points", "probabilities"), differs=differs)
    found, before = (json.loads((folder / "froc.json").read_text()) for folder in (tmp_path, old / "froc_good"))
    assert found.keys() == before.keys()
    for summary in (found, before):
        del summary["labels"]["lesion"]["lesion_average_precision"]
    assert found["labels"] == approximately(before["labels"])


def test_compare_gives_the_same_tables(old, tmp_path):
    run(
        *("compare", f"bad={old / 'evaluation_bad'}", f"good={old / 'evaluation_good'}", "-o", tmp_path / "comparison"),
        *("--froc", f"bad={old / 'froc_bad'}", f"good={old / 'froc_good'}"),
        *("--results", f"good={old / 'nnUNet_results' / MODEL}"),
    )
    tables = ("differences", "means", "missed_lesions")
    # intervals of five cases: as above, rounding decided in 0.1.0
    same_tables(tmp_path / "comparison", old / "comparison", tables, differs={"low", "high"})


def same_tables(found: Path, expected: Path, stems: tuple[str, ...], *, appended=(), differs=()) -> None:
    """Columns `appended` since 0.1.0 stand at the end of the first table; of those that `differs` names, the names."""
    for stem in stems:
        after, before = (pd.read_csv(folder / f"{stem}.csv") for folder in (found, expected))
        if stem == "cases":
            assert [*after.columns] == [*before.columns, *appended]
            after = after[before.columns]
        assert [*after.columns] == [*before.columns]
        same = [column for column in before if column not in differs]
        pd.testing.assert_frame_equal(after[same], before[same], rtol=1e-9, atol=1e-12)


def without_intervals(value):
    """The JSON `value` without the ends of its intervals."""
    if isinstance(value, dict):
        return {key: without_intervals(part) for key, part in value.items() if key not in ("low", "high")}
    return [without_intervals(part) for part in value] if isinstance(value, list) else value


def approximately(value):
    """The JSON `value`, to be compared with ==, its numbers up to the last digits."""
    if isinstance(value, dict):
        return {key: approximately(part) for key, part in value.items()}
    if isinstance(value, list):
        return [approximately(part) for part in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True) if isinstance(value, float) else value
