"""One case, or two models that predict the same: "can't tell" from the commands as they are typed, not a crash."""

import numpy as np
import pandas as pd
import pytest
from operating_point_data import softmax_of, write_image

from nnunetv2_sizepenalty.cli.main import main

CASES = ("a", "b", "c", "d", "e", "f", "g")


def score(folder, model: str, maps: dict[str, np.ndarray], mask: np.ndarray) -> None:
    """Scores one model's maps and their cuts at 0.5."""
    for case, probability in maps.items():
        write_image(folder / "ref" / f"{case}.nii.gz", mask.astype(np.uint8))
        write_image(folder / model / f"{case}.nii.gz", (probability > 0.5).astype(np.uint8))
        np.savez(folder / model / f"{case}.npz", probabilities=softmax_of(probability))
    run("evaluate", "-ref", folder / "ref", "-pred", folder / model, "-o", folder / f"e_{model}", "-np", 1)
    run("froc", "-ref", folder / "ref", "-prob", folder / model, "-o", folder / f"f_{model}", "-np", 1)


def run(*words) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.mark.parametrize(
    ("cases", "others"),
    [(CASES[:1], False), (CASES[:1], True), (CASES, False)],
    ids=["one case, the same twice", "one case, two models", "seven cases, the same twice"],
)
def test_compare_cant_tell(tmp_path, cases, others):
    mask = np.zeros((6, 12, 12), dtype=bool)
    mask[2:4, 2:5, 2:5] = mask[2:4, 8:10, 8:10] = True
    first = {case: np.where(mask, 0.9, 0.1) for case in cases}
    one_lesion = {case: np.where(mask & (np.arange(12) < 6), 0.9, 0.1) for case in cases}
    score(tmp_path, "first", first, mask)
    score(tmp_path, "second", one_lesion if others else first, mask)
    run(
        *("compare", f"A={tmp_path / 'e_first'}", f"B={tmp_path / 'e_second'}", "-o", tmp_path / "out"),
        *("--froc", f"A={tmp_path / 'f_first'}", f"B={tmp_path / 'f_second'}"),
    )
    differences = pd.read_csv(tmp_path / "out" / "differences.csv")
    assert set(differences["reading"]) == {"own", "matched false positives"}
    assert set(differences["verdict"]) == {"can't tell"}
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8").replace("&#39;", "'").replace("&gt;", ">")
    assert "can't tell" in page
    assert "Here a lesion is found by share of lesion in what is predicted around it >= 0.1." in page
