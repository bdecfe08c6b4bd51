"""The same case under each model, side by side (the thesis's figures 5.3 and 5.4)."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.metrics import unit_of
from nnunetv2_sizepenalty.pages.theme import MASK_COLOURS
from nnunetv2_sizepenalty.report.places import find_places
from nnunetv2_sizepenalty.report.scans import BOTH, REFERENCE_ALONE, Scan, make_scan
from nnunetv2_sizepenalty.report.slices import on_screen
from nnunetv2_sizepenalty.report.sources import Sources

OPACITY = 0.62


@dataclass(frozen=True)
class SideBySide:
    """One case.

    Attributes:
        why: it is shown.
        scan: with the masks of each model under its name.
        z: the slice to show first.
        captions: the numbers of each model.
        lesions: of the reference, a voxel (x, y, z) of the scan in each, (n, 3), and their widths in mm, (n,).
    """

    case: str
    why: str
    scan: Scan
    z: int
    captions: dict[str, str]
    lesions: tuple[np.ndarray, np.ndarray]


def choose_case(models: Sequence[Model], label: str, named: str | None = None) -> tuple[str, str] | None:
    """The case to show and why: the named one, else the case below the first size edge (1 mL, 10 px) whose absolute
    volume error differs most between the models, else (there is none) the case of any size; None where no case has a
    lesion.

    Raises:
        UserError: the named case was not evaluated.
    """
    cases = models[0].label(label)
    if named is not None:
        if named not in set(cases["case"]):
            raise UserError(f"--case {named}: not among the {len(cases)} evaluated, such as {cases['case'].min()}")
        return named, "the case that --case names"
    unit = unit_of(cases)
    errors = np.stack([model.label(label)[unit.column("absolute_volume_error")] for model in models])
    spread = errors.max(axis=0) - errors.min(axis=0)
    volume = cases[unit.column("reference")].to_numpy()
    small = (volume > 0) & (volume < unit.edges[0])
    if small.any():
        return cases["case"][np.where(small, spread, -1).argmax()], (
            f"chosen because among the cases below {unit.edges[0]:g} {unit} it is the one where the models' "
            f"{unit.quantity} errors differ most"
        )
    if (volume > 0).any():
        return cases["case"][np.where(volume > 0, spread, -1).argmax()], (
            f"chosen because the models' {unit.quantity} errors differ most in it; no case is below "
            f"{unit.edges[0]:g} {unit}"
        )
    return None


def read_side_by_side(
    models: Sequence[Model], label: str, case: str, why: str, images_folder: Path | None
) -> SideBySide:
    """Reads the case's masks from the folders that each model's evaluation names.

    Raises:
        UserError: a mask or the image is missing.
    """
    reference, predictions, captions = None, {}, {}
    unit = unit_of(models[0].cases)
    for model in models:
        run = next(run for run in model.runs if case in set(run.cases["case"]))
        summary = run.summary
        sources = Sources(summary, Path(summary.reference_folder), Path(summary.prediction_folder), images_folder)
        truth, predicted, grid = sources.masks(case)
        if reference is None:
            reference, places = truth[label], find_places(sources.instances(case)[0][label])
        predictions[model.name] = predicted[label]
        row = run.cases[(run.cases["case"] == case) & (run.cases["label"] == label)].iloc[0]
        captions[model.name] = (
            f"true {unit.shown(row[unit.column('reference')])}, "
            f"predicted {unit.shown(row[unit.column('prediction')])}, Dice {row['dice']:.4f}"
        )
    images = sources.images(case, grid.shape)
    scan = make_scan(dict.fromkeys(predictions, reference), predictions, images, grid.affine)
    codes = scan.codes[models[0].name]
    z = int(np.isin(codes, (REFERENCE_ALONE, BOTH)).sum(axis=(0, 1)).argmax())
    return SideBySide(case, why, scan, z, captions, scan.place(places))


def draw_slice(scan: Scan, name: str, z: int) -> np.ndarray:
    """The slice with the masks over it, uint8 (rows, columns, 3) as it stands on the screen."""
    grey = np.full((*scan.shape[:2], 3), 28, np.uint8) if scan.image is None else scan.image[:, :, z]
    picture = np.repeat(grey[..., None], 3, axis=-1) if grey.ndim == 2 else grey
    picture = picture.astype(float)
    for code, rgb in MASK_COLOURS.items():
        where = scan.codes[name][:, :, z] == code
        picture[where] = (1 - OPACITY) * picture[where] + OPACITY * np.array(rgb)
    return on_screen(picture).astype(np.uint8)


def write_case_figure(side: SideBySide, stem: Path) -> None:
    """Writes `stem`.png and `stem`.svg: a panel per model with its numbers below."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    n = len(side.captions)
    columns = min(n, 4)
    rows = -(-n // columns)
    x_mm, y_mm = side.scan.spacing_mm[:2] * side.scan.shape[:2]
    figure = Figure(figsize=(3.2 * columns, (3.2 * y_mm / x_mm + 0.75) * rows + 0.9), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axis in axes:
        axis.axis("off")
    title = textwrap.fill(f"Case {side.case}, {side.why}.", 46 * columns)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, parse_math=False)
    for axis, (name, caption) in zip(axes, side.captions.items(), strict=False):
        axis.imshow(draw_slice(side.scan, name, side.z), extent=(0, x_mm, 0, y_mm), interpolation="nearest")
        axis.set_title(name, fontsize=11, loc="left", fontweight="bold", parse_math=False)
        numbers, dice = caption.rsplit(", ", 1)
        axis.text(0, -0.03, f"{numbers}\n{dice}", transform=axis.transAxes, fontsize=9, va="top", parse_math=False)
    names = {1: "reference alone", 2: "prediction alone", 3: "both"}
    patches = [
        Patch(facecolor=np.array(MASK_COLOURS[code]) / 255, edgecolor="black", linewidth=0.5, label=text)
        for code, text in names.items()
    ]
    figure.legend(handles=patches, loc="outside lower left", ncols=3, fontsize=9, frameon=False)
    for suffix in (".png", ".svg"):
        with atomic_file(stem.with_name(stem.name + suffix)) as path:
            figure.savefig(path, dpi=200)
