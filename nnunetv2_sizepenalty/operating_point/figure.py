"""The figure of an operating point: one row per class."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from nnunetv2_sizepenalty.curves.calibration import Calibration
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit
from nnunetv2_sizepenalty.operating_point.choose import Choice
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, ClassPoint, OperatingPoint
from nnunetv2_sizepenalty.pages.numbers import threshold

_TICKS = (1e-5, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1 - 1e-3, 1 - 1e-5)
_WARNING = "#b3261e"


def draw(point: OperatingPoint, path: Path) -> None:
    """Draws score against threshold, reliability near the lesions, and volumes by size, for each class."""
    classes = point.classes
    with rc_context({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}):
        # not through pyplot, which would keep it and choose a window
        figure = Figure(figsize=(14, 4.2 * len(classes)), layout="constrained")
        axes = figure.subplots(len(classes), 3, squeeze=False)
        for (name, chosen), row in zip(classes.items(), axes, strict=True):
            _scores(row[0], name, chosen, point.objective)
            _reliability(row[1], chosen.calibration)
            _volumes(row[2], chosen.calibration)
        figure.savefig(path, dpi=120)


def _scores(axis: Any, name: str, chosen: ClassPoint, objective: str) -> None:
    """Draws the objective's score against the threshold: each fold at its own smallest size, all cases in black."""
    score = Objective.parse(objective).score
    single = len(chosen.folds) == 1
    for fold, choice in chosen.choices.items():
        if fold == ENSEMBLE and single:
            continue
        rows = [r for r in chosen.table if r["fold"] == fold and r["min_size"] == choice.min_size]
        together = fold == ENSEMBLE
        line = axis.plot(
            [logit(r["threshold"]) for r in rows],
            [r[score] for r in rows],
            color="black" if together else None,
            lw=2.2 if together else 1,
            marker="." if len(rows) < 12 else None,
            label="all folds" if together else f"fold {fold}",
            zorder=3 if together else 2,
        )[0]
        ends = [float(logit(end)) for end in choice.within_one_se or ()]
        if len(set(ends)) == 2 and (together or single):
            axis.axvspan(*ends, color="0.9", lw=0, zorder=0, label="within one standard error")
        edge = bool(choice.edge)
        axis.plot(
            logit(choice.threshold),
            choice.score,
            marker="X" if edge else "o",
            color=_WARNING if edge else line.get_color(),
            ms=9,
            zorder=4,
        )
    shown = [t for t in _TICKS if axis.get_xlim()[0] <= logit(t) <= axis.get_xlim()[1]]
    axis.set_xticks([float(logit(t)) for t in shown], [f"{t:g}" for t in shown], rotation=45)
    axis.axvline(0, color="0.8", lw=1, zorder=1)
    axis.set(xlabel="threshold (logit scale)", ylabel=objective, title=f"{name}: {_words(chosen.ensemble)}")
    axis.legend(fontsize=8)
    if edges := sorted({e for choice in chosen.choices.values() for e in choice.edge}):
        axis.text(
            0.02, 0.02, f"X: at the edge of the grid ({', '.join(edges)})", transform=axis.transAxes, color=_WARNING
        )


def _words(choice: Choice) -> str:
    size = f", at least {choice.min_size:g}" if choice.min_size else ""
    return f"threshold {threshold(choice.threshold)}{size}"


def _reliability(axis: Any, calibration: Calibration) -> None:
    curve = calibration.reliability
    axis.plot([0, 1], [0, 1], color="0.8", lw=1)
    share = np.asarray(curve.voxels) / max(1, np.sum(curve.voxels))
    axis.plot(curve.probability, curve.observed, color="C0", lw=1)
    axis.scatter(curve.probability, curve.observed, s=10 + 120 * np.sqrt(share), color="C0")
    axis.set(
        xlabel="predicted probability",
        ylabel="share of lesion voxels",
        title=f"within {calibration.neighbourhood_mm:g} mm of a lesion: "
        f"ECE {calibration.expected_calibration_error:.3f}",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )


def _volumes(axis: Any, calibration: Calibration) -> None:
    rows = [row for row in calibration.volume_ratios if row.cases and row.size != "none"]
    at = np.arange(len(rows))
    for offset, key, label in (
        (-0.2, "soft_to_hard", "soft / above 0.5"),
        (0.2, "soft_to_reference", "soft / reference"),
    ):
        axis.bar(at + offset, [getattr(row, key) for row in rows], width=0.38, label=label)
    axis.axhline(1, color="0.6", lw=1)
    axis.set_xticks(at, [f"{row.size}\n({row.cases} case{'s' * (row.cases > 1)})" for row in rows])
    ap, pooled = calibration.average_precision, calibration.pooled_average_precision
    axis.set(ylabel="ratio of volumes", title=f"average precision {ap:.3f} (pooled {pooled:.3f})")
    axis.legend(fontsize=8)
