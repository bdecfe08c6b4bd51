"""The command's options: what they may not say together, and what they need."""

import pytest

from nnunetv2_sizepenalty.ablation.matrix import make_matrix
from nnunetv2_sizepenalty.ablation.presets import PRESETS
from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.trainers.names import parse

OPTIONS = {
    "slurm without a limit": (["--executor", "slurm"], "--time MINUTES"),
    "a limit without slurm": (["--time", "60"], "--partition, --time and --sbatch belong to --executor slurm"),
    "jobs on slurm": (["--executor", "slurm", "--time", "60", "--jobs", "2"], "--jobs belongs to --executor local"),
    "no jobs": (["--jobs", "0"], "--jobs 0: at least 1"),
    "sbatch with dashes": (["--executor", "slurm", "--time", "9", "--sbatch", "mem"], "--sbatch mem: write OPTION"),
    "neither file nor trainers": (["-d", "42", "-o", "out"], "options: key trainers is missing"),
    "nowhere to write": (["-d", "42", "--trainers", "nnUNetTrainer"], "with -o"),
    "GPUs on a CPU": (
        ["-d", "42", "--trainers", "nnUNetTrainer", "-o", "out", "-device", "cpu", "--gpus", "2"],
        "--gpus 2: nnU-Net trains on several devices with -device cuda alone",
    ),
}


@pytest.mark.parametrize(("options", "line"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_do_not_fit_are_one_line(options, line, capsys):
    assert main(["ablate", *options]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_matrix_is_in_the_file_or_in_the_options(tmp_path, capsys):
    path = tmp_path / "m.yaml"
    path.write_text("datasets: 42\ntrainers: nnUNetTrainer\n")
    assert main(["ablate", str(path), "--folds", "0"]) == 2
    assert "m.yaml holds the matrix; write folds there" in capsys.readouterr().err


def test_nnunets_folders_are_needed(tmp_path, capsys, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ablate", "-d", "42", "--trainers", "nnUNetTrainer", "-o", str(tmp_path / "out")]) == 2
    assert "nnUNet_raw is not set" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_preset_is_names_of_trainers_in_place_of_trainers(tmp_path, capsys):
    for names in PRESETS.values():
        assert names[0] == "nnUNetTrainer"
        assert all(parse(name) is not None for name in names[1:])
    matrix = make_matrix({"datasets": ["42"], "trainers": list(PRESETS["small-lesions"])}, "options")
    assert [row.trainer for row in matrix.trainers] == list(PRESETS["small-lesions"])
    path = tmp_path / "m.yaml"
    path.write_text("datasets: 42\ntrainers: nnUNetTrainer\n")
    assert main(["ablate", str(path), "--preset", "small-lesions"]) == 2
    assert "m.yaml holds the matrix; write trainers there" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ablate", "-d", "42", "--trainers", "nnUNetTrainer", "--preset", "small-lesions"])
    assert "not allowed with argument --trainers" in capsys.readouterr().err
