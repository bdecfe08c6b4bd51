"""An ablation whose files are made by hand, for what needs no training."""

import pytest

from nnunetv2_sizepenalty.ablation.cases import Part
from nnunetv2_sizepenalty.ablation.matrix import Matrix, make_matrix
from nnunetv2_sizepenalty.ablation.runs import make_runs
from nnunetv2_sizepenalty.ablation.state import Ablation

DATASET = "Dataset042_Strokes"


@pytest.fixture
def make_ablation(tmp_path):
    """make_ablation(cross_fitted=..., **keys of the matrix) -> its ablation, in a folder of its own."""

    def make(*, cross_fitted: bool = True, **keys) -> Ablation:
        matrix: Matrix = make_matrix(
            {"datasets": 42, "trainers": ["nnUNetTrainer", "nnUNetTrainerDCS_nnUNet"], "folds": [0, 1]} | keys, "keys"
        )
        parts = {
            (DATASET, fold): Part((f"v{fold}",), (f"v{fold}",) if cross_fitted else (f"t{fold}",), cross_fitted)
            for fold in matrix.folds
        }
        runs = make_runs(matrix, {"42": DATASET}, parts, tmp_path / "results", tmp_path / "out")
        for run in runs:
            run.inputs.mkdir(parents=True, exist_ok=True)
            if not (run.inputs / "cases.json").exists():
                (run.inputs / "cases.json").write_text("{}")
        return Ablation(matrix, tuple(runs), tmp_path / "raw", tmp_path / "out")

    return make
