"""Pictures of the demo's test cases in which the missed lesions can be seen."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from nnunetv2_sizepenalty.demo.scores import PredictedCase, metrics, missed_lesions
from nnunetv2_sizepenalty.lesions import voxels_to_ml

REFERENCE, PREDICTION, MISSED = "#56B4E9", "#E69F00", "#D55E00"
N_SLICES = 4


def _slices(case: PredictedCase) -> np.ndarray:
    """The slices to show: those that hold most of what some trainer missed, then most lesion."""
    missed = sum(missed_lesions(case, prediction) for prediction in case.predictions.values())
    weight = 1000 * missed.sum((1, 2)) + case.reference.sum((1, 2))
    return np.sort(np.argsort(weight, kind="stable")[-N_SLICES:])


def _draw(axis, case: PredictedCase, prediction: np.ndarray, z: int) -> None:
    axis.imshow(case.dwi[z], cmap="gray", vmin=0, vmax=1, origin="lower")
    missed = missed_lesions(case, prediction)
    for mask, colour, style in (
        (case.reference & ~missed, REFERENCE, "solid"),
        (prediction, PREDICTION, "dashed"),
        (missed, MISSED, "solid"),
    ):
        if mask[z].any():
            axis.contour(mask[z], levels=[0.5], colors=[colour], linewidths=1.4, linestyles=style)
    if missed[z].any():
        y, x = np.argwhere(missed[z])[0]
        # towards the middle, where there is room for the word
        sideways, upwards = np.sign(np.array([prediction.shape[2] / 2 - x, prediction.shape[1] / 2 - y])) * 28
        axis.annotate(
            "missed",
            (x, y),
            xytext=(sideways, upwards),
            textcoords="offset points",
            ha="center",
            color=MISSED,
            weight="bold",
            arrowprops={"arrowstyle": "->", "color": MISSED, "lw": 1.5},
        )
    axis.set(xticks=[], yticks=[])


def draw_overlays(cases: list[PredictedCase], folder: Path) -> None:
    """Writes a PNG per case: a row per trainer, the reference, the prediction and the missed lesions over DWI."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        figure, axes = plt.subplots(
            len(case.predictions), N_SLICES, figsize=(3 * N_SLICES, 3.4 * len(case.predictions)), squeeze=False
        )
        for row, (trainer, prediction) in zip(axes, case.predictions.items(), strict=True):
            for axis, z in zip(row, _slices(case), strict=True):
                _draw(axis, case, prediction, z)
            row[0].set_ylabel(f"{trainer}\nDice {metrics(case, prediction)['dice']:.2f}")
        for axis, z in zip(axes[0], _slices(case), strict=True):
            axis.set_title(f"slice {z}")
        volume = voxels_to_ml(int(case.reference.sum()), case.spacing_mm)
        handles = [
            plt.Line2D([], [], color=colour, linestyle=style, label=label)
            for colour, style, label in (
                (REFERENCE, "-", "reference, found"),
                (MISSED, "-", "reference, missed"),
                (PREDICTION, "--", "prediction"),
            )
        ]
        figure.suptitle(f"{case.name}: {volume:.2f} mL in DWI")
        figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False)
        figure.tight_layout(rect=(0, 0.05, 1, 1))
        figure.savefig(folder / f"{case.name}.png", dpi=90)
        plt.close(figure)
