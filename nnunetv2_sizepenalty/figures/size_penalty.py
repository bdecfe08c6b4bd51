"""The thesis's figure 3.1: how the size penalty behaves, for any tau and cap."""

from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from nnunetv2_sizepenalty.figures.style import save
from nnunetv2_sizepenalty.losses import SizeTerm
from nnunetv2_sizepenalty.losses.formulas import relative_volume_error, size_weight
from nnunetv2_sizepenalty.losses.size_penalty import size_penalty, uncapped_penalty

# reference volumes that are drawn, as shares of tau
_SHARES = (1 / 60, 1 / 10, 1 / 3, 1.0, 2.0)
_GREY = "#666666"
_NEAR = {"textcoords": "offset points", "color": _GREY}


def draw(path: Path, tau: float, cap: float) -> None:
    """Writes the figure in the format that the suffix of `path` names (.png, .svg or .pdf)."""
    save(size_penalty_figure, path, tau, cap)


def size_penalty_figure(tau: float, cap: float) -> Figure:
    """Weight, relative error, capped penalty and gradient of S; `tau` in voxels.

    Raises:
        ValueError: tau or cap is not positive.
    """
    term = SizeTerm(tau, cap)
    # not through pyplot, which would keep it and choose a window
    figure = Figure(figsize=(11, 8), layout="constrained")
    (weight, error), (penalty, slope) = figure.subplots(2, 2)
    _weight(weight, term)
    _relative_error(error)
    _penalty(penalty, term)
    _gradient(slope, term)
    figure.suptitle(rf"Size penalty, $\tau$ = {tau:g} voxels, cap = {cap:g}")
    return figure


def _weight(axes: Axes, term: SizeTerm) -> None:
    reference = torch.linspace(0, 5 * term.tau, 400, dtype=torch.float64)
    axes.plot(reference, size_weight(reference, term.tau), color="black")
    at_tau = float(size_weight(torch.tensor(term.tau), term.tau))
    axes.plot([term.tau, term.tau, 0], [0, at_tau, at_tau], color=_GREY, ls=":")
    axes.annotate(rf"{at_tau:.2f} at $V_g = \tau$", (term.tau, at_tau), xytext=(6, 4), **_NEAR)
    axes.set(xlim=(0, 5 * term.tau), ylim=(0, 1.03), title="(a) Weight: small lesions count most")
    axes.set(xlabel="reference volume $V_g$ (voxels)", ylabel=r"$\exp(-V_g / \tau)$")


def _relative_error(axes: Axes) -> None:
    reference = torch.tensor(1000.0, dtype=torch.float64)
    ratio = torch.linspace(0, 3, 301, dtype=torch.float64)
    axes.plot(ratio, relative_volume_error(ratio * reference, reference), color="black")
    axes.annotate("nothing predicted: 1", (0, 1), xytext=(8, 4), **_NEAR)
    axes.annotate("right volume: 0", (1, 0), xytext=(14, 4), **_NEAR)
    axes.set(xlim=(0, 3), ylim=(0, 2.05), title="(b) Relative error: symmetric, but too little ends at 1")
    axes.set(xlabel="$V_p / V_g$", ylabel=r"$|V_p - V_g| \, / \, (V_g + \varepsilon)$")


def _penalty(axes: Axes, term: SizeTerm) -> None:
    ratio = _ratios(term)
    for reference, color in _references(term):
        axes.plot(ratio, size_penalty(term, ratio * reference, reference), color=color, label=f"$V_g$ = {reference:g}")
    axes.axhline(term.cap, color=_GREY, ls=":", zorder=0)
    axes.annotate("cap", (float(ratio[0]), term.cap), xytext=(4, 4), **_NEAR)
    axes.set(xscale="log", xlim=(float(ratio[0]), float(ratio[-1])), ylim=(0, 1.1 * term.cap))
    axes.set(title="(c) Penalty: weight x relative error, capped")
    axes.set(xlabel="$V_p / V_g$", ylabel="penalty of a sample")
    axes.legend(loc="best")


def _gradient(axes: Axes, term: SizeTerm) -> None:
    ratio = _ratios(term)
    for reference, color in _references(term):
        predicted = (ratio * reference).requires_grad_()
        before = _slope(uncapped_penalty(term, predicted, reference), predicted)
        capped = _slope(size_penalty(term, predicted, reference), predicted) == 0
        axes.plot(ratio, before, color=color, ls=":", lw=1.2)
        axes.plot(ratio, before.masked_fill(capped, torch.nan), color=color)
        edges = (capped[1:] != capped[:-1]).nonzero()[:, 0]
        axes.plot(ratio[edges], before[edges], marker="o", mfc="white", color=color, ls="")
        axes.annotate(
            f"$V_g$ = {reference:g}", (float(ratio[0]), float(before[0])), xytext=(6, 3), **_NEAR | {"color": color}
        )
    axes.plot([], [], marker="o", mfc="white", color=_GREY, ls=":", label="cap reached: the gradient is 0")
    axes.set(xscale="log", yscale="log", xlim=(float(ratio[0]), float(ratio[-1])))
    axes.set(title="(d) Gradient: large for small lesions, none beyond the cap")
    axes.set(xlabel="$V_p / V_g$", ylabel=r"$|\partial \,$penalty$\, / \, \partial V_p|$ before the cap")
    axes.margins(y=0.15)
    axes.legend(loc="lower left", bbox_to_anchor=(0.25, 0))


def _references(term: SizeTerm) -> Iterator[tuple[Tensor, tuple[float, ...]]]:
    """The reference volumes, and the colour of each."""
    volumes = sorted({max(1, round(share * term.tau)) for share in _SHARES})
    colors = colormaps["viridis"].resampled(len(volumes) + 1)
    for index, volume in enumerate(volumes):
        yield torch.tensor(float(volume), dtype=torch.float64), colors(index)


def _ratios(term: SizeTerm) -> Tensor:
    """V_p / V_g on a logarithmic axis that reaches past the cap of every reference volume."""
    smallest_weight = min(float(size_weight(reference, term.tau)) for reference, _ in _references(term))
    return torch.logspace(-2, float(torch.tensor(1 + term.cap / smallest_weight).log10()) + 0.4, 400).double()


def _slope(penalty: Tensor, predicted: Tensor) -> Tensor:
    """|d penalty / d V_p|, by autograd."""
    return torch.autograd.grad(penalty.sum(), predicted)[0].abs()
