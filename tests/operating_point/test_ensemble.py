"""Several models: chosen on the mean of their probabilities, applied to it."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.ensembling.ensemble import average_probabilities
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from operating_point_data import softmax_of

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import remove_small_components
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.operating_point import (
    Objective,
    apply_folder,
    bake_folder,
    choose_operating_points,
    make_grid,
    read_operating_point,
)

GRID = make_grid([0.2, 0.35, 0.65, 0.8], min_voxels=[0, 5])


@pytest.fixture
def pair(write_model, phantom_predictions):
    """Two models of the same six cases in two folds, and a third folder that holds their mean."""
    rng, folds = np.random.default_rng(0), [{}, {}, {}]
    for number, (name, (mask, p)) in enumerate(list(phantom_predictions.items())[:6]):
        noise = rng.normal(0, 2, p.shape)
        logit = np.log(p / (1 - p))
        one, two = (softmax_of(1 / (1 + np.exp(-logit - n))) for n in (noise, -2 * noise))
        mean = (one + two) / np.float32(2)
        for of_model, probabilities in zip(folds, (one, two, mean), strict=True):
            of_model.setdefault(str(number % 2), {})[name] = mask, probabilities
    a, b, mean = (write_model(f, name=name) for f, name in zip(folds, ("a", "b", "mean"), strict=True))
    return a, ModelFolder(b.path, a.references), ModelFolder(mean.path, a.references)


def choose(models, output, **options):
    return choose_operating_points(models, output, objectives=[Objective()], grid=GRID, **options)[0]


def test_an_ensemble_chooses_what_a_model_of_its_mean_chooses(pair, tmp_path):
    a, b, mean = pair
    ensemble, single = choose([a, b], tmp_path / "ensemble"), choose([mean], tmp_path / "single")
    assert json.loads(ensemble.to_json())["classes"] == json.loads(single.to_json())["classes"]
    alone = choose([a], tmp_path / "alone")
    assert alone.classes["lesion"].ensemble.score < ensemble.classes["lesion"].ensemble.score
    assert [model.folder for model in ensemble.averaged_with] == [str(b.path.resolve())]
    assert json.loads(read_operating_point(tmp_path / "ensemble").to_json()) == json.loads(ensemble.to_json())
    # counts of several models lie beside the point
    assert len(list((tmp_path / "ensemble" / "counts").glob("*/*.npz"))) == 6
    assert not (b.path / "operating_point").exists()


@pytest.fixture
def predictions(pair, tmp_path):
    """The probabilities of two models in folders as nnUNetv2_predict writes them."""
    folders = []
    for model in pair[:2]:
        folder = tmp_path / f"predicted_{len(folders)}"
        folder.mkdir()
        content = json.loads((model.path / "plans.json").read_text())
        content |= {"transpose_backward": [0, 1, 2], "transpose_forward": [0, 1, 2], "configurations": {}}
        (folder / "plans.json").write_text(json.dumps(content))
        shutil.copy(model.path / "dataset.json", folder)
        for file in model.path.glob("fold_*/validation/*.npz"):
            shutil.copy(file, folder)
            _, properties = SimpleITKIO().read_seg(str(model.references / f"{file.stem}.nii.gz"))
            properties["shape_before_cropping"] = np.load(file)["probabilities"].shape[1:]
            save_pickle(properties, str(folder / f"{file.stem}.pkl"))
        folders.append(folder)
    return folders


def test_the_mean_is_cut(pair, predictions, tmp_path):
    point = choose(pair[:2], tmp_path / "point")
    arguments = ["apply", "-i", *map(str, predictions), "-o", str(tmp_path / "out"), "-np", "1"]
    assert main([*arguments, "--operating-point", str(point.path)]) == 0
    cut = point.cuts["ensemble"]["lesion"]
    files = sorted((tmp_path / "out").glob("*.nii.gz"))
    assert len(files) == 6
    voxels = 0
    for file in files:
        case = file.name.removesuffix(".nii.gz")
        mean = average_probabilities([str(folder / f"{case}.npz") for folder in predictions])
        painted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) > 0
        expected = remove_small_components(mean[1] > np.float32(cut.threshold), cut.min_size)
        assert (painted == expected).all()
        voxels += painted.sum()
    assert voxels


def test_apply_refuses_what_is_no_ensemble_of_the_point(pair, predictions, tmp_path):
    point, out = choose(pair[:2], tmp_path / "point"), tmp_path / "out"
    with pytest.raises(UserError, match="was chosen for 2 models' probabilities, not 1"):
        apply_folder(predictions[:1], out, point)
    with pytest.raises(UserError, match="was chosen for 1 models' probabilities, not 2"):
        apply_folder(predictions, out, choose(pair[:1], tmp_path / "single"))
    with pytest.raises(UserError, match="no bias of one of them can cut"):
        bake_folder(pair[0], point, out, folds=["0"], checkpoints=["checkpoint_final.pth"])
    properties = predictions[1] / "case_02.pkl"
    _, moved = SimpleITKIO().read_seg(str(pair[0].references / "case_02.nii.gz"))
    moved |= {"shape_before_cropping": (24, 32, 32)}
    moved["sitk_stuff"]["origin"] = (5.0, 0.0, 0.0)
    save_pickle(moved, str(properties))
    with pytest.raises(UserError, match=r"case_02\.npz lies on another grid"):
        apply_folder(predictions, out, point)
    (predictions[1] / "case_03.npz").unlink()
    with pytest.raises(UserError, match="hold other cases \\(case_03 is in one alone\\)"):
        apply_folder(predictions, out, point)
    assert not out.exists()


def other_dataset(model):
    file = model.path / "plans.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dataset_name": "Dataset043_Other"}))


def other_labels(model):
    file = model.path / "dataset.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "labels": {"background": 0, "tumour": 1}}))


def other_cases(model):
    file = model.path / "fold_1" / "validation" / "summary.json"
    file.write_text(json.dumps({"metric_per_case": [{"prediction_file": "case_01.nii.gz"}]}))


def no_fold(model):
    shutil.rmtree(model.path / "fold_1")


def no_npz(model):
    (model.path / "fold_1" / "validation" / "case_03.npz").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_dataset, "is of Dataset043_Other"),
        (other_labels, "has other labels in dataset.json"),
        (other_cases, "fold 1 of .* validates other cases"),
        (no_fold, "fold_1 is missing"),
        (no_npz, "fold 1 has no probabilities for 1 of its 3"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_models_that_do_not_fit_together_are_refused(pair, tmp_path, damage, message):
    a, b, _ = pair
    damage(b)
    with pytest.raises(UserError, match=message):
        choose([a, ModelFolder(b.path, a.references)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_models_need_a_folder_of_their_own(pair, capsys):
    assert main(["threshold", str(pair[0].path), str(pair[1].path)]) == 2
    assert "name one with -o" in capsys.readouterr().err
