"""The volumes that S meets in a dataset, and the weight that a tau gives them."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnunetv2_sizepenalty.figures.style import save
from nnunetv2_sizepenalty.sampling.choose_tau import VolumeSample, weights
from nnunetv2_sizepenalty.sampling.tau_report import TauReport

_SERIES = (("#0072b2", "-"), ("#d55e00", "--"))  # Okabe and Ito's, told apart by everybody


def draw(report: TauReport, path: Path) -> None:
    """Writes the figure in the format that the suffix of `path` names (.png, .svg or .pdf)."""
    save(tau_figure, path, report)


def tau_figure(report: TauReport) -> Figure:
    """Above, the share of patches and lesions below a volume; under it the weight of that volume."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    share, weight = figure.subplots(2, 1, sharex=True)
    for volumes, (color, style) in zip((report.patches, report.lesions), _SERIES, strict=True):
        if len(volumes.voxels):
            _distribution(share, volumes, color, style)
    share.set(ylabel="share of smaller ones", ylim=(0, 1.02), title="(a) Volumes that the size penalty meets")
    share.legend(loc="upper left")
    _weights(weight, report)
    figure.suptitle(
        f"{report.dataset}, {report.configuration} of {report.plans}: "
        f"{report.n_cases} training cases of fold {report.fold}"
    )
    return figure


def _distribution(axes: Axes, volumes: VolumeSample, color: str, style: str) -> None:
    ordered = np.sort(volumes.voxels)
    median = volumes.percentile(50)
    axes.step(
        ordered,
        np.arange(1, len(ordered) + 1) / len(ordered),
        where="post",
        color=color,
        ls=style,
        label=f"{len(ordered)} {volumes.of}, median {median:.0f}",
    )
    axes.plot(median, 0.5, marker="o", color=color)


def _weights(axes: Axes, report: TauReport) -> None:
    largest = max(volumes.voxels.max(initial=10) for volumes in (report.patches, report.lesions))
    voxels = np.geomspace(1, largest, 400)
    taus = dict.fromkeys([report.tau, report.suggested])
    for tau, style in zip(taus, (":", "-") if len(taus) == 2 else "-", strict=True):
        name = "suggested" if tau == report.suggested else "given"
        axes.plot(voxels, weights(voxels, tau), color="black", ls=style, label=rf"$\tau$ = {tau:g}, {name}")
    axes.set(xscale="log", ylim=(0, 1.02), ylabel=r"weight $\exp(-V_g / \tau)$", xlabel=f"$V_g$ ({report.unit})")
    axes.set_title(f"(b) Weight; suggested: {report.reason}")
    axes.legend(loc="lower left")
    if report.spacing_mm:
        per_voxel = report.ml(1.0)
        ml = axes.secondary_xaxis(-0.22, functions=(lambda voxels: voxels * per_voxel, lambda ml: ml / per_voxel))
        ml.set_xlabel("$V_g$ (mL)")
