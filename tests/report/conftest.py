"""Tiny evaluations with known lesions, and their pages, written once."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nnunetv2_sizepenalty.evaluation import Evaluation, evaluate_folder
from nnunetv2_sizepenalty.report import write_report
from nnunetv2_sizepenalty.report.choice import choose_cases
from nnunetv2_sizepenalty.report.sources import Sources
from nnunetv2_sizepenalty.report.write import make_page

SHAPE, SPACING_MM = (10, 48, 40), (3.0, 2.0, 2.0)  # (z, y, x)
HOSTILE = "</script><script>alert(1)</script>"
# A file's name may be anything but a path.
HOSTILE_CASE = "<img src=x onerror=alert(1)>&quot;'"


@dataclass(frozen=True)
class Study:
    """Folders of masks and images, what `evaluate_folder` makes of them, and the page."""

    references: Path
    predictions: Path
    images: Path
    evaluation: Evaluation
    path: Path

    def prediction(self, case: str) -> np.ndarray:
        """A predicted mask (z, y, x)."""
        return np.asarray(nib.load(self.predictions / f"{case}.nii.gz").dataobj).T

    @property
    def page(self) -> str:
        return self.path.read_text(encoding="utf-8")


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Writes an array (z, y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), affine), path)


def _blob(shape: tuple[int, ...], centre: tuple[int, int, int], half: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(max(0, c - h), c + h + 1) for c, h in zip(centre, half, strict=True))] = True
    return mask


def _draw_study(root: Path, n_cases: int, labels: int) -> None:
    """Each case: a large lesion that is found, a small one that is missed in two cases of three, a false positive in
    one of two. Label 2 lies mirrored. Case 0 has no lesion, case 1 no prediction in its mask."""
    names = [f"case_{i:02d}" for i in range(n_cases)]
    if labels > 1:
        names[2] = HOSTILE_CASE
    rng = np.random.default_rng(0)
    affine = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    for i in range(n_cases):
        reference, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
        for label in range(1, labels + 1):
            side = 1 if label == 1 else -1
            large = _blob(SHAPE, (3, 14, 10), (1, 2 + i % 4, 2 + i % 3))[:, ::side]
            small = _blob(SHAPE, (7, 36, 30), (0, i % 2, i % 3))[:, ::side]
            false = _blob(SHAPE, (8, 12, 32), (0, 1, 1))[:, ::side]
            if i > 0:
                reference[large | small] = label
            if i != 1:
                shifted = np.roll(large, 1, axis=1) & (i > 0)
                prediction[shifted | (small & (i % 3 == 0) & (i > 0)) | (false & (i % 2 == 0))] = label
        name = f"{names[i]}.nii.gz"
        write_nifti(root / "references" / name, reference, affine)
        write_nifti(root / "predictions" / name, prediction, affine)
        image = rng.normal(100, 10, SHAPE) + 40 * (reference > 0)
        write_nifti(root / "images" / f"{names[i]}_0000.nii.gz", rng.normal(50, 9, SHAPE).astype(np.float32), affine)
        write_nifti(root / "images" / f"{names[i]}_0001.nii.gz", image.astype(np.float32), affine)
    (root / "images" / "dataset.json").write_text('{"channel_names": {"0": "ADC", "1": "DWI"}}')


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """24 cases of one label with images, written by `write_report`; its title tries to break out of the page."""
    root = tmp_path_factory.mktemp("study")
    _draw_study(root, 24, labels=1)
    references, predictions, images = (root / name for name in ("references", "predictions", "images"))
    evaluation = evaluate_folder(references, predictions)
    path = write_report(
        root / "out",
        evaluation,
        reference_folder=references,
        prediction_folder=predictions,
        images_folder=images,
        cases=["case_05"],
        title=HOSTILE,
    )
    return Study(references, predictions, images, evaluation, path)


@pytest.fixture(scope="session")
def three_voxels(tmp_path_factory) -> Study:
    """Two heads with much air around them: one with a lesion of three voxels and a large one, both found; one with a
    lesion of nine voxels under a prediction of thousands of times its size."""
    root = tmp_path_factory.mktemp("three_voxels")
    references, predictions, images = (root / name for name in ("references", "predictions", "images"))
    shape, affine = (40, 120, 120), np.diag([2.0, 2.0, 2.0, 1.0])
    head = _blob(shape, (20, 60, 60), (15, 49, 49)) | _blob(shape, (20, 60, 60), (16, 50, 50))
    rng = np.random.default_rng(0)
    image = np.where(head, rng.normal(100, 10, shape), rng.normal(0, 1, shape)).astype(np.float32)
    small, large = np.zeros(shape, bool), _blob(shape, (10, 40, 40), (3, 6, 6))
    small[20, 70, 60:63] = True
    masks = {
        "whole_head": (small | large, small | large),
        "painted": (_blob(shape, (20, 60, 60), (0, 1, 1)), _blob(shape, (20, 60, 60), (6, 20, 20))),
    }
    for case, (reference, prediction) in masks.items():
        write_nifti(references / f"{case}.nii.gz", reference.astype(np.uint8), affine)
        write_nifti(predictions / f"{case}.nii.gz", prediction.astype(np.uint8), affine)
        write_nifti(images / f"{case}_0000.nii.gz", image, affine)
    evaluation = evaluate_folder(references, predictions)
    sources = Sources(evaluation.summary, references, predictions, images)
    path = root / "report.html"
    path.write_text(make_page(evaluation, sources, choose_cases(evaluation), title="Small").html, encoding="utf-8")
    return Study(references, predictions, images, evaluation, path)


@pytest.fixture(scope="session")
def two_labels(tmp_path_factory) -> Study:
    """6 cases of two labels without images, one with a hostile name; its page alone."""
    root = tmp_path_factory.mktemp("two_labels")
    _draw_study(root, 6, labels=2)
    dataset_json = root / "dataset.json"
    dataset_json.write_text(
        '{"labels": {"background": 0, "core & rim": 1, "<b>edema</b>": 2}, "file_ending": ".nii.gz"}'
    )
    references, predictions = root / "references", root / "predictions"
    evaluation = evaluate_folder(references, predictions, dataset_json=dataset_json)
    sources = Sources(evaluation.summary, references, predictions)
    path = root / "report.html"
    path.write_text(make_page(evaluation, sources, choose_cases(evaluation), title="Two labels").html, encoding="utf-8")
    return Study(references, predictions, root / "images", evaluation, path)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Study:
    """4 colour photographs in PNG; the page alone."""
    root = tmp_path_factory.mktemp("photographs")
    references, predictions, images = (root / name for name in ("references", "predictions", "images"))
    rng = np.random.default_rng(0)
    for folder in (references, predictions, images):
        folder.mkdir()
    for i in range(4):
        reference, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
        reference[10:14, 60 + i : 66 + i] = 1
        reference[40:42, 20:23] = 1
        prediction[11:14, 61 + i : 66 + i] = 1
        photograph = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
        photograph[reference > 0] = (200, 30, 30)
        Image.fromarray(reference).save(references / f"eye_{i}.png")
        Image.fromarray(prediction).save(predictions / f"eye_{i}.png")
        Image.fromarray(photograph).save(images / f"eye_{i}_0000.png")
    evaluation = evaluate_folder(references, predictions)
    sources = Sources(evaluation.summary, references, predictions, images)
    path = root / "report.html"
    path.write_text(make_page(evaluation, sources, choose_cases(evaluation), title="Eyes").html, encoding="utf-8")
    return Study(references, predictions, images, evaluation, path)
