"""Trained models: both ways in, baking against applying, without this package, exported, refused."""

import json
import pickle
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from operating_point_rounding import Accumulation, accumulate, ensemble, may_differ

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.evaluation.nan_json import to_json
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit

pytestmark = pytest.mark.integration

SOFTMAX_MODEL = "Dataset901_Softmax/nnUNetTrainerDC_nnUNet__TinyPlans__3d_fullres"
REGION_MODEL = "Dataset902_Regions/nnUNetTrainer__TinyPlans__3d_fullres"


@pytest.fixture(autouse=True)
def folders(models, monkeypatch):
    """nnU-Net's folders and settings, for the commands that run in this process."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_def_n_proc", "nnUNet_n_proc_DA"):
        monkeypatch.setenv(name, models.environment[name])
    return models.folder


@pytest.fixture
def nnunet(monkeypatch, capsys):
    """Runs one of nnU-Net's commands in this process, by its console script's own function."""

    def run(command: str, *arguments) -> None:
        monkeypatch.setattr(sys, "argv", [command, *map(str, arguments)])
        (script,) = entry_points(group="console_scripts", name=command)
        script.load()()
        torch.set_num_threads(1)  # it takes all there are
        capsys.readouterr()

    return run


@pytest.fixture
def sizepenalty(capsys):
    """Runs one of our commands in this process; returns its exit code and what it said on stderr."""

    def run(*arguments, exit_code: int = 0) -> str:
        assert main([str(a) for a in arguments]) == exit_code
        return capsys.readouterr().err

    return run


def read_masks(folder: Path) -> dict[str, np.ndarray]:
    return {p.name: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(p))) for p in sorted(folder.glob("*.nii.gz"))}


def write_point(report: Path, path: Path, cuts: dict[str, tuple[float, float]]) -> Path:
    """A copy of operating_point.json with other cuts: class -> threshold and smallest size."""
    content = json.loads(report.read_text())
    for name, (threshold, min_size) in cuts.items():
        chosen = content["classes"][name]
        for choice in [chosen["ensemble"], *chosen["folds"].values()]:
            choice |= {"threshold": threshold, "min_size": min_size}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def reports(models, tmp_path_factory):
    """operating_point.json of both models, chosen from their .npz with a dense grid and several sizes."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_preprocessed", models.environment["nnUNet_preprocessed"])
        for model in (SOFTMAX_MODEL, REGION_MODEL):
            out = tmp_path_factory.mktemp("npz")
            options = ["--thresholds", "dense", "--min-voxels", "5", "20", "--cross-fit", "-np", "1", "-o", str(out)]
            assert main(["threshold", str(models.folder / "nnUNet_results" / model), *options]) == 0
            found[model] = out / "operating_point.json"
    return found


@pytest.mark.parametrize(("model", "processes"), [(SOFTMAX_MODEL, 1), (REGION_MODEL, 2)], ids=["softmax", "regions"])
def test_predicting_gives_the_table_that_the_npz_give(folders, reports, sizepenalty, tmp_path, model, processes):
    """Case by case in one process, and with counting in others; nothing but counts is written."""
    options = ["--thresholds", "dense", "--min-voxels", 5, 20, "--cross-fit", "-device", "cpu", "--predict"]
    out = tmp_path / "predicted"
    sizepenalty("threshold", folders / "nnUNet_results" / model, *options, "-np", processes, "-o", out)
    from_npz, predicted = (json.loads(p.read_text()) for p in (reports[model], out / "operating_point.json"))
    assert to_json(predicted["classes"]) == to_json(from_npz["classes"])
    assert predicted["source"]["probabilities"] == "predicted"
    written = [p for p in out.rglob("*") if p.is_file()]
    assert {p.suffix for p in written} == {".json", ".png", ".npz"}
    assert max(p.stat().st_size for p in written if p.suffix == ".npz") < 60_000


def test_a_finer_step_is_another_prediction(folders, reports, sizepenalty, tmp_path):
    options = ["-f", 0, "--thresholds", 0.02, 0.1, "--predict", "-device", "cpu", "--step-size", 0.25, "-np", 1]
    sizepenalty("threshold", folders / "nnUNet_results" / SOFTMAX_MODEL, *options, "-o", tmp_path / "fine")
    fine = json.loads((tmp_path / "fine" / "operating_point.json").read_text())
    assert fine["source"]["step_size"] == 0.25
    coarse = json.loads(reports[SOFTMAX_MODEL].read_text())["classes"]["lesion"]["calibration"]
    assert fine["classes"]["lesion"]["calibration"]["reliability"] != coarse["reliability"]


def load_predictor(model: Path, folds: list[str]) -> nnUNetPredictor:
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), folds)
    return predictor


def accumulations(model: Path, folds: list[str], images: Path) -> dict[str, Accumulation]:
    """Case -> what the folds' sliding windows add up to."""
    predictor = load_predictor(model, folds)
    found = {}
    for file in sorted(images.glob("*_0000.nii.gz")):
        preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
        data, _, _ = preprocessor.run_case(
            [str(file)], None, predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
        )
        parts = []
        for weights in predictor.list_of_parameters:
            predictor.network.load_state_dict(weights)
            parts.append(accumulate(predictor, torch.from_numpy(data)))
        found[file.name.replace("_0000", "")] = ensemble(parts) if len(parts) > 1 else parts[0]
    return found


# model, folds, and for each class the share of voxels that its threshold leaves and the smallest component
BAKED = {
    "two thresholds": (REGION_MODEL, ["0"], {"core": (0.04, 5), "rim": (0.01, 5)}),
    "softmax": (SOFTMAX_MODEL, ["2"], {"lesion": (0.03, 5)}),
    "ensemble": (SOFTMAX_MODEL, ["0", "1", "2", "3", "4"], {"lesion": (0.03, 20)}),
}


@pytest.mark.parametrize("name", BAKED)
def test_baked_model_and_stock_commands_equal_apply(folders, reports, sizepenalty, nnunet, tmp_path, name, capsys):
    model, folds, shares = BAKED[name]
    dataset, (trainer, plans, configuration) = model.split("/")[0], model.split("/")[1].split("__")
    results, images = folders / "nnUNet_results", folders / "nnUNet_raw" / dataset / "imagesTs"
    probabilities, baked = (
        tmp_path / "probabilities",
        results / dataset / f"Baked{len(folds)}__{plans}__{configuration}",
    )

    def predict(trainer_name, out, *options):
        common = ["-d", dataset, "-p", plans, "-c", configuration, "-device", "cpu", "-npp", 0, "-nps", 0, "-f", *folds]
        nnunet("nnUNetv2_predict", "-i", images, "-o", out, "-tr", trainer_name, *common, *options)

    def apply(out, file):
        sizepenalty("apply", "-i", probabilities, "-o", tmp_path / out, "--operating-point", file, "-np", 1)
        return read_masks(tmp_path / out)

    predict(trainer, probabilities, "--save_probabilities")
    saved = np.concatenate([np.load(p)["probabilities"] for p in sorted(probabilities.glob("*.npz"))], axis=1)
    saved = saved[-len(shares) :].reshape(len(shares), -1)
    cuts = {n: (float(np.quantile(p, 1 - s)), size) for p, (n, (s, size)) in zip(saved, shares.items(), strict=True)}
    point = write_point(reports[model], tmp_path / "operating_point.json", cuts)
    sizepenalty("bake", results / model, "--operating-point", point, "-o", baked, "-f", *folds)
    predict(f"Baked{len(folds)}", tmp_path / "cut")
    filters = baked / f"crossval_results_folds_{'_'.join(folds)}" / "postprocessing.pkl"
    process = ["-i", tmp_path / "cut", "-o", tmp_path / "stock", "-pp_pkl_file", filters, "-np", 1]
    nnunet("nnUNetv2_apply_postprocessing", *process)
    unfiltered = write_point(point, tmp_path / "unfiltered.json", {n: (t, 0) for n, (t, _) in cuts.items()})

    raw, applied = apply("raw", unfiltered), apply("applied", point)
    cut, stock = read_masks(tmp_path / "cut"), read_masks(tmp_path / "stock")
    assert len(stock) == 2
    # the test is about something: all labels are there, and the filter removes some of each
    assert all(set(np.unique(mask)) == set(range(len(cuts) + 1)) for mask in raw.values())
    assert any((raw[case] != applied[case]).any() for case in raw)
    before, after = (accumulations(m, folds, images) for m in (results / model, baked))
    differing = voxels = 0
    for case in stock:
        within = np.zeros(raw[case].shape, bool)
        for channel, (threshold, _) in enumerate(cuts.values()):
            channel = channel if len(cuts) > 1 else None
            within |= may_differ(before[case], after[case], channel, threshold)
        different = cut[case] != raw[case]
        assert within[different].all()
        assert within.mean() < 0.2  # the bound excludes something
        differing, voxels = differing + different.sum(), voxels + different.size
        if not different.any():
            assert (stock[case] == applied[case]).all()
    with capsys.disabled():
        print(f"\n{name}: {differing} of {voxels} voxels differ ({differing / voxels:.3%}), all within rounding")


def test_a_fold_of_its_own_is_baked_and_applied_at_its_own_threshold(folders, reports, sizepenalty, tmp_path):
    point = reports[SOFTMAX_MODEL]
    chosen = json.loads(point.read_text())["classes"]["lesion"]["folds"]
    baked = tmp_path / "Baked__TinyPlans__3d_fullres"
    # sizes differ between folds: each fold gets a filter of its own
    sizepenalty(
        "bake", folders / "nnUNet_results" / SOFTMAX_MODEL, "--operating-point", point, "-o", baked, "--per-fold"
    )
    for fold, choice in chosen.items():
        original = load_checkpoint(folders / "nnUNet_results" / SOFTMAX_MODEL / f"fold_{fold}" / "checkpoint_final.pth")
        copy = load_checkpoint(baked / f"fold_{fold}" / "checkpoint_final.pth")
        changed = {k for k, w in copy["network_weights"].items() if not torch.equal(w, original["network_weights"][k])}
        assert changed == {"decoder.seg_layers.1.bias"}
        shift = (
            copy["network_weights"]["decoder.seg_layers.1.bias"]
            - original["network_weights"]["decoder.seg_layers.1.bias"]
        )
        assert shift.tolist() == pytest.approx([0, -float(logit(choice["threshold"]))], abs=1e-6)
        assert copy.keys() == {*original, "baked_thresholds"}
        filters = baked / f"crossval_results_folds_{fold}" / "postprocessing.pkl"
        if choice["min_size"]:
            assert pickle.loads(filters.read_bytes())[1] == [{"threshold": choice["min_size"], "connectivity": 18}]
        else:
            assert not filters.exists()


def environment_without_this_package(folder: Path) -> Path:
    """A Python that sees all packages of this one except ours; returns its executable."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    # A plain path: .pth files below it, such as an editable install's, are not read.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def test_a_copy_as_nnunet_trainer_predicts_the_same_where_this_package_is_missing(
    folders, models, reports, sizepenalty, nnunet, tmp_path
):
    images = folders / "nnUNet_raw" / "Dataset901_Softmax" / "imagesTs"
    point = write_point(reports[SOFTMAX_MODEL], tmp_path / "operating_point.json", {"lesion": (0.02, 5)})
    for name, options in {"plugin": [], "stock": ["--as-nnunet-trainer"]}.items():
        baked = tmp_path / f"{name}__TinyPlans__3d_fullres"
        common = ["--operating-point", point, "-o", baked, "-f", 0, 2, *options]
        sizepenalty("bake", folders / "nnUNet_results" / SOFTMAX_MODEL, *common)
    predict = ["-i", images, "-f", 0, 2, "-device", "cpu", "-npp", 1, "-nps", 1, "-o"]
    nnunet(
        "nnUNetv2_predict_from_modelfolder", "-m", tmp_path / "plugin__TinyPlans__3d_fullres", *predict, tmp_path / "a"
    )
    filters = "crossval_results_folds_0_2/postprocessing.pkl"
    process = ["-np", 1, "-pp_pkl_file", tmp_path / "plugin__TinyPlans__3d_fullres" / filters, "-o", tmp_path / "a2"]
    nnunet("nnUNetv2_apply_postprocessing", "-i", tmp_path / "a", *process)

    python = environment_without_this_package(tmp_path / "env")
    environment = {**models.environment, "nnUNet_extTrainer": ""}

    def run(code: str, *arguments) -> subprocess.CompletedProcess:
        command = [python, "-c", code, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)

    missing = run("import nnunetv2_sizepenalty")
    assert "ModuleNotFoundError" in missing.stderr
    script = "from nnunetv2.{} import {} as command\nif __name__ == '__main__': command()"
    commands = tmp_path / "predict.py", tmp_path / "filter.py"
    commands[0].write_text(script.format("inference.predict_from_raw_data", "predict_entry_point_modelfolder"))
    commands[1].write_text(
        script.format("postprocessing.remove_connected_components", "entry_point_apply_postprocessing")
    )
    stock = tmp_path / "stock__TinyPlans__3d_fullres"
    process = ["-np", "1", "-pp_pkl_file", str(stock / filters), "-i", str(tmp_path / "b"), "-o", str(tmp_path / "b2")]
    for command, arguments in zip(commands, (["-m", stock, *predict, tmp_path / "b"], process), strict=True):
        done = subprocess.run(
            [python, command, *map(str, arguments)], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-2000:]
    ours, theirs = read_masks(tmp_path / "a2"), read_masks(tmp_path / "b2")
    assert len(ours) == 2
    assert all((ours[case] == theirs[case]).all() and ours[case].any() for case in ours)


def test_a_copy_is_exported_installed_elsewhere_and_predicts_the_same(
    folders, reports, sizepenalty, nnunet, tmp_path, monkeypatch
):
    images = folders / "nnUNet_raw" / "Dataset901_Softmax" / "imagesTs"
    point = write_point(reports[SOFTMAX_MODEL], tmp_path / "operating_point.json", {"lesion": (0.02, 5)})
    baked = folders / "nnUNet_results" / "Dataset901_Softmax" / "Exported__TinyPlans__3d_fullres"
    sizepenalty("bake", folders / "nnUNet_results" / SOFTMAX_MODEL, "--operating-point", point, "-o", baked, "-f", 2, 3)
    which = ["-d", "Dataset901_Softmax", "-p", "TinyPlans", "-tr", "Exported", "-f", 2, 3]
    nnunet("nnUNetv2_export_model_to_zip", *which, "-c", "3d_fullres", "-o", tmp_path / "model.zip")
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "elsewhere"))
    nnunet("nnUNetv2_install_pretrained_model_from_zip", tmp_path / "model.zip")
    installed = tmp_path / "elsewhere" / "Dataset901_Softmax" / baked.name
    filters = Path("crossval_results_folds_2_3/postprocessing.pkl")
    assert (installed / filters).read_bytes() == (baked / filters).read_bytes()
    predict = ["-i", images, "-device", "cpu", "-c", "3d_fullres", "-npp", 0, "-nps", 0, *which]
    nnunet("nnUNetv2_predict", *predict, "-o", tmp_path / "installed")
    monkeypatch.setenv("nnUNet_results", str(folders / "nnUNet_results"))
    nnunet("nnUNetv2_predict", *predict, "-o", tmp_path / "baked")
    a, b = read_masks(tmp_path / "baked"), read_masks(tmp_path / "installed")
    assert all((a[case] == b[case]).all() and a[case].any() for case in a)


@pytest.fixture
def copied(folders, tmp_path):
    """A copy of the softmax model's first two folds, to be damaged."""
    target = tmp_path / "results" / SOFTMAX_MODEL
    for fold in ("fold_0", "fold_1"):
        shutil.copytree(folders / "nnUNet_results" / SOFTMAX_MODEL / fold, target / fold)
    for file in (folders / "nnUNet_results" / SOFTMAX_MODEL).glob("*.json"):
        shutil.copy(file, target)
    return target


def change_checkpoint(path: Path, change) -> None:
    checkpoint = load_checkpoint(path)
    change(checkpoint)
    torch.save(checkpoint, path)


def test_folds_with_other_labels_are_refused(copied, sizepenalty, tmp_path):
    def relabel(checkpoint):
        checkpoint["init_args"]["dataset_json"]["labels"] = {"background": 0, "tumour": 1}

    change_checkpoint(copied / "fold_1" / "checkpoint_final.pth", relabel)
    error = sizepenalty("threshold", copied, "-o", tmp_path / "out", "-np", 1, exit_code=2)
    assert "fold 1 was trained with labels {'background': 0, 'tumour': 1}" in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()


def ours(checkpoint):
    checkpoint["trainer_name"] = "nnUNetTrainerDTS"


def unknown(checkpoint):
    checkpoint["trainer_name"] = "nnUNetTrainerOfSomebody"


def softer(checkpoint):
    checkpoint["trainer_name"] = "nnUNetTrainerBN"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ours, "nnUNetTrainerDTS builds a network of its own (AttentionASPPUNet)"),
        (unknown, "does not find the model's trainer nnUNetTrainerOfSomebody"),
        (softer, "nnUNetTrainerBN builds a network of its own (PlainConvUNet)"),
    ],
    ids=["our network", "unknown trainer", "same class, other layers"],
)
def test_only_a_model_on_the_plans_network_becomes_nnunet_trainers(
    copied, reports, sizepenalty, tmp_path, change, reason
):
    for fold in ("0", "1"):
        change_checkpoint(copied / f"fold_{fold}" / "checkpoint_final.pth", change)
    point = write_point(reports[SOFTMAX_MODEL], tmp_path / "operating_point.json", {"lesion": (0.02, 5)})
    options = ["--operating-point", point, "-f", 0, 1, "-o", tmp_path / "baked", "--as-nnunet-trainer"]
    error = sizepenalty("bake", copied, *options, exit_code=2)
    assert reason in error
    assert not (tmp_path / "baked").exists()


def test_a_plan_that_names_our_network_is_refused_whatever_the_trainer(copied, reports, sizepenalty, tmp_path):
    plans = json.loads((copied / "plans.json").read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["network_class_name"] = "nnunetv2_sizepenalty.architectures.AttentionASPPUNet"
    (copied / "plans.json").write_text(json.dumps(plans))
    point = write_point(reports[SOFTMAX_MODEL], tmp_path / "operating_point.json", {"lesion": (0.02, 5)})
    options = ["--operating-point", point, "-f", 0, "-o", tmp_path / "baked", "--as-nnunet-trainer"]
    assert "needs this package" in sizepenalty("bake", copied, *options, exit_code=2)


def test_what_cannot_be_baked_or_applied_is_one_line_and_exit_code_2(folders, copied, reports, sizepenalty, tmp_path):
    point = write_point(reports[SOFTMAX_MODEL], tmp_path / "operating_point.json", {"lesion": (0.02, 5)})
    bake = ["bake", copied, "--operating-point", point, "-f", 0, "-o"]
    sizepenalty(*bake, tmp_path / "once")
    again = ["bake", tmp_path / "once", "--operating-point", point, "-f", 0, "-o", tmp_path / "twice"]
    regions = folders / "nnUNet_results" / REGION_MODEL
    (copied / "fold_1" / "checkpoint_final.pth").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    cases = {
        "file/x can't be written": [*bake, tmp_path / "file" / "x"],
        "is baked already": again,
        "once exists: name a new folder": [*bake, tmp_path / "once"],
        "was chosen for labels": ["bake", regions, *bake[2:], tmp_path / "twice"],
        "is no checkpoint": [*bake[:-2], 1, "-o", tmp_path / "twice"],
        "has no fold 7": [*bake[:-2], 7, "-o", tmp_path / "twice", "--per-fold"],
        "fold_7 is missing": [*bake[:-2], 7, "-o", tmp_path / "twice"],
        "checkpoint_other.pth is missing": [*bake, tmp_path / "twice", "-chk", "checkpoint_other.pth"],
        "dataset.json is missing": [
            "apply",
            "-i",
            tmp_path / "empty",
            "-o",
            tmp_path / "x",
            "--operating-point",
            point,
        ],
        "was not written by": ["apply", "-i", copied, "-o", tmp_path / "x", "--operating-point", copied / "plans.json"],
        "has no .npz": ["apply", "-i", copied, "-o", tmp_path / "x", "--operating-point", point],
    }
    for reason, arguments in cases.items():
        error = sizepenalty(*arguments, exit_code=2)
        assert reason in error
        assert error.strip().count("\n") == 0
    assert not (tmp_path / "twice").exists()
    assert not (tmp_path / "x").exists()
