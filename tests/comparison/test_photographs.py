"""Images without a spacing: the comparison speaks of pixels, at each model's point and at matched false positives."""

import re

import numpy as np
import pandas as pd
import pytest
from skimage import io

from nnunetv2_sizepenalty.cli.main import main


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Six photographs with lesions of 6 and 200 pixels; `half` misses the small ones."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("ref", "half", "full"):
        (folder / name).mkdir()
    for i in range(6):
        reference = np.zeros((40, 50), np.uint8)
        reference[4:6, 4 + i : 7 + i] = reference[20:30, 20:40] = 1
        half = reference.copy()
        half[:10] = 0
        half[-1, : 1 + i] = 1
        for name, mask in (("ref", reference), ("half", half), ("full", reference)):
            io.imsave(folder / name / f"eye{i}.png", mask, check_contrast=False)
            if name != "ref":
                probability = np.where(mask, 0.9, 0.1).astype(np.float32)[None]
                np.savez(folder / name / f"eye{i}.npz", probabilities=np.stack([1 - probability, probability]))
    models = []
    for name in ("half", "full"):
        arguments = ["-ref", str(folder / "ref"), "-o"]
        assert not main(["evaluate", "-pred", str(folder / name), *arguments, str(folder / f"e_{name}"), "-np", "1"])
        assert not main(["froc", "-prob", str(folder / name), *arguments, str(folder / f"f_{name}"), "-np", "1"])
        models.append(name)
    given = [f"{name}={folder / f'e_{name}'}" for name in models]
    froc = [f"{name}={folder / f'f_{name}'}" for name in models]
    assert not main(["compare", *given, "--froc", *froc, "-o", str(folder / "out")])
    return folder


def test_the_page_speaks_of_pixels(out):
    page = (out / "out" / "compare.html").read_text()
    page = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\bmL\b", page)
    assert "By the case&#39;s reference area" in page
    assert "true 206 px, predicted" in page
    assert "no case is below 10 px" in page


def test_tables_have_strata_of_pixels(out):
    missed = pd.read_csv(out / "out" / "missed_lesions.csv").query("model == 'half'").set_index("stratum")
    assert missed.loc[["< 10 px", "100-1000 px"], ["lesions", "missed"]].to_numpy().tolist() == [[6, 6], [6, 0]]
    curves = pd.read_csv(out / "f_half" / "froc.csv")
    assert set(curves["stratum"]) >= {"all", "< 10 px", ">= 1000 px"}
    voxels = pd.read_csv(out / "f_full" / "probabilities.csv")
    assert voxels["reference_px"].tolist() == [206] * 6
    assert "false_positive_px" in pd.read_csv(out / "f_full" / "operating_points.csv")
