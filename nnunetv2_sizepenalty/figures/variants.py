"""What each variant of the size penalty changes, drawn by the code that trains."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnunetv2_sizepenalty.figures.style import save
from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.lesions.cells import lesion_cells
from nnunetv2_sizepenalty.losses import Gate, SizeTerm, build_loss, logit_gradient_norms
from nnunetv2_sizepenalty.losses.formulas import log_volume_ratio, relative_volume_error, size_weight
from nnunetv2_sizepenalty.losses.size_penalty import gate_factor, size_penalty
from nnunetv2_sizepenalty.losses.size_term import TAU, WEIGHT
from nnunetv2_sizepenalty.losses.weighting import LearnedWeight

THESIS, VARIANT, OTHER = "#555555", "#D55E00", "#0072B2"
# a patch of the thesis's plan for ISLES, and a share of foreground as such patches have it
PATCH_VOXELS, PRIOR = 32 * 112 * 112, 0.005


def draw(path: Path) -> None:
    """Writes the figure of docs/variants.md in the format that the suffix of `path` names."""
    save(variants_figure, path)


def variants_figure() -> Figure:
    """One panel a modifier."""
    # not through pyplot, which would keep it and choose a window
    figure = Figure(figsize=(14, 12), layout="constrained")
    panels = (
        *(_soft_cap, _log_ratio, _gates),
        *(_schedules, _balanced, _learned),
        *(_prior_bias, _per_lesion, _lesion_uniform),
    )
    for panel, axes in zip(panels, figure.subplots(3, 3).flat, strict=True):
        panel(axes)
    return figure


def _volumes(low: float, high: float) -> torch.Tensor:
    return torch.logspace(low, high, 400, dtype=torch.float64)


def _soft_cap(axes: Axes) -> None:
    reference = torch.tensor(100.0, dtype=torch.float64)
    predicted = _volumes(0, 4)
    for soft, colour, label in ((False, THESIS, "min(c, x), the thesis's"), (True, VARIANT, "with _softcap")):
        penalty = size_penalty(SizeTerm(soft_cap=soft), predicted, reference)
        axes.plot(predicted / reference, penalty, color=colour, label=label)
    axes.set(xscale="log", xlabel="$V_p / V_g$", ylabel="penalty", title="_softcap: a slope beyond the cap too")
    axes.legend()


def _log_ratio(axes: Axes) -> None:
    reference = torch.tensor(100.0, dtype=torch.float64)
    predicted = _volumes(0, 4)
    ratio = predicted / reference
    axes.plot(ratio, relative_volume_error(predicted, reference), color=THESIS, label=r"$|V_p - V_g| / V_g$")
    axes.plot(ratio, log_volume_ratio(predicted, reference), color=VARIANT, label="with _logratio")
    axes.set(xscale="log", ylim=(0, 6), xlabel="$V_p / V_g$", ylabel="error")
    axes.set_title("_logratio: too little costs as much as too much")
    axes.legend()


def _gates(axes: Axes) -> None:
    limit = 1000.0
    volume = _volumes(1, 4)
    axes.plot(
        volume / limit, size_weight(volume, TAU), color=THESIS, ls=":", label=rf"$\exp(-V_g / {TAU:g})$ beside it"
    )
    smooth, hard = (gate_factor(Gate(limit, hard=hard), volume, volume) for hard in (False, True))
    axes.plot(volume / limit, smooth, color=VARIANT, label="with _gate5ml, _gatePred5ml")
    axes.plot(volume / limit, hard, color=OTHER, label="with _hardgate5ml")
    axes.set(xscale="log", xlabel="volume / the gate's", ylabel="factor on S", title="Gates: S for small lesions")
    axes.legend()


def _schedules(axes: Axes) -> None:
    epochs = 400
    epoch = np.linspace(0, epochs, 801)
    late, anneal = (
        [WEIGHT * term.schedule_factor(e, epochs) for e in epoch]
        for term in (SizeTerm(late_percent=40), SizeTerm(anneal_epochs=50))
    )
    axes.axhline(WEIGHT, color=THESIS, ls=":", label="the thesis's")
    axes.plot(epoch, late, color=VARIANT, label="with _late40")
    axes.plot(epoch, anneal, color=OTHER, label="with _anneal50")
    axes.set(xlabel="epoch of 400", ylabel=r"$\lambda_s$", title="_late, _anneal: S when it has a gradient")
    axes.legend()


def _disc(centre: tuple[int, int], radius: float, side: int = 64) -> np.ndarray:
    y, x = np.ogrid[:side, :side]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def _balanced(axes: Axes) -> None:
    mask = torch.as_tensor(_disc((32, 32), 4)).double()[None, None]
    # a network that knows half of where the lesion is, from all background to half the patch
    predicted, ratios = [], {"fixed": [], "balanced": []}
    for bias in np.linspace(-9, 0, 60):
        logits = bias + 2 * mask
        predicted.append(float(torch.sigmoid(logits).sum() / mask.sum()))
        for weighting, found in ratios.items():
            norms = logit_gradient_norms(build_loss("SD", regions=True, weighting=weighting), logits, mask)
            found.append(norms["S"] / norms["D"] or np.nan)
    axes.plot(predicted, ratios["fixed"], color=THESIS, label=rf"$\lambda_s$ = {WEIGHT:g}")
    axes.plot(predicted, ratios["balanced"], color=VARIANT, label="with _balanced")
    axes.set(xscale="log", yscale="log", xlabel="$V_p / V_g$", ylabel="gradient of S / gradient of D")
    axes.set_title("_balanced: S never drowns its partners")
    axes.legend()


def _learned(axes: Axes) -> None:
    for penalty, colour in ((5.0, THESIS), (1.0, OTHER), (0.2, VARIANT)):
        weight = LearnedWeight(WEIGHT)
        optimiser = torch.optim.Adam(weight.parameters(), lr=0.01)
        course = []
        for _ in range(400):
            course.append(weight.factor.item())
            optimiser.zero_grad()
            weight(torch.tensor(penalty), torch.tensor(1.0)).backward()
            optimiser.step()
        axes.plot(course, color=colour, label=f"S = {penalty:g}")
    axes.set(yscale="log", xlabel="step", ylabel=r"$\exp(-s)$", title="_learned: the weight goes to 1 / S")
    axes.legend()


def _prior_bias(axes: Axes) -> None:
    reference = _volumes(0, 4)
    for share, colour, label in ((0.5, THESIS, "at p = 0.5"), (PRIOR, VARIANT, f"with _priorbias, prior {PRIOR:g}")):
        predicted = torch.full_like(reference, share * PATCH_VOXELS)
        axes.plot(reference, size_penalty(SizeTerm(), predicted, reference), color=colour, label=label)
    axes.set(xscale="log", xlabel="$V_g$ in a patch of 32 x 112 x 112", ylabel="penalty at the start")
    axes.set_title("_priorbias: not at the cap from the start")
    axes.legend()


def _lesions() -> np.ndarray:
    return _disc((26, 40), 17) | _disc((52, 12), 3) | _disc((10, 9), 2) | _disc((56, 54), 4)


def _per_lesion(axes: Axes) -> None:
    mask = _lesions()
    labels, n = label_components(mask)
    axes.grid(visible=False)
    axes.imshow(lesion_cells(mask), cmap="Pastel1", origin="lower")
    axes.contour(mask, [0.5], colors="black", linewidths=1)
    whole = float(size_weight(torch.tensor(float(mask.sum())), TAU))
    for lesion in range(1, n + 1):
        y, x = np.argwhere(labels == lesion).mean(0)
        own = float(size_weight(torch.tensor(float((labels == lesion).sum())), TAU))
        axes.annotate(f"{own:.2f}", (x, y), xytext=(0, 12), textcoords="offset points", ha="center")
    axes.set(xticks=[], yticks=[], title=f"_perlesion: own weights; the patch's is {whole:.2f} for all")


def _lesion_uniform(axes: Axes) -> None:
    labels, n = label_components(_lesions())
    voxels = np.sort(np.bincount(labels.ravel())[1:])
    places = np.arange(n)
    axes.bar(places - 0.2, voxels / voxels.sum(), 0.4, color=THESIS, label="nnU-Net: a voxel")
    axes.bar(places + 0.2, np.full(n, 1 / n), 0.4, color=VARIANT, label="with _lesionuniform: a lesion")
    axes.set_xticks(places, [f"{count}" for count in voxels])
    axes.set(xlabel="voxels of the lesion", ylabel="share of the forced patches")
    axes.set_title("_lesionuniform: small lesions are met")
    axes.legend()
