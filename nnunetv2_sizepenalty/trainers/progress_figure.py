"""The training's curves as a figure: losses, Dice, terms and volume errors (as the thesis's figure 5.2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.losses.terms import TERMS
from nnunetv2_sizepenalty.trainers.measures import Measures

ERROR_TICKS = (0, 0.25, 0.5, 0.75, 1, 10, 100, 1000)


def _curves(axes: Axes, title: str, curves: Mapping[str, tuple[Sequence[float], str, str]]) -> None:
    for label, (values, colour, style) in curves.items():
        # a point shows a value between two NaN
        axes.plot(values, style, color=colour, label=label, marker=".", markersize=3, linewidth=1.2)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(fontsize=7, ncols=2)


def draw_progress(logged: Mapping[str, Sequence[float]], measures: Measures, path: str | Path) -> None:
    """Draws nnU-Net's logged values and those of `measures` into `path`, which is replaced whole."""
    # nnU-Net's own figure changes matplotlib's settings for the whole process
    with matplotlib.rc_context(matplotlib.rcParamsDefault), atomic_file(path) as temporary:
        figure = Figure(figsize=(11, 10))
        (loss, dice), (terms, errors), (shares, rate) = figure.subplots(3, 2)
        figure.subplots_adjust(left=0.06, right=0.98, bottom=0.05, top=0.97, wspace=0.2, hspace=0.3)
        _curves(
            loss,
            "loss",
            {
                "training": (logged["train_losses"], "tab:blue", "-"),
                "validation": (logged["val_losses"], "tab:orange", "-"),
            },
        )
        _curves(
            dice,
            "pseudo Dice of validation patches",
            {
                "epoch": (logged["mean_fg_dice"], "tab:green", ":"),
                "moving average": (logged["ema_fg_dice"], "tab:green", "-"),
            },
        )
        _curves(
            terms,
            "loss terms, before their weights",
            {
                f"{letter} {part}": (logged[keys[letter]], TERMS[letter].colour, style)
                for letter in measures.letters
                for part, keys, style in (
                    ("training", measures.train_terms, "-"),
                    ("validation", measures.val_terms, "--"),
                )
            },
        )
        colours = ("tab:red", "tab:orange", "tab:blue", "tab:green", "tab:purple")
        _curves(
            errors,
            "relative volume error of validation patches",
            {
                name: (logged[key], colours[n % len(colours)], "-")
                for n, (name, key) in enumerate(measures.volume_errors.items())
            },
        )
        errors.set_yscale("symlog", linthresh=1)
        errors.yaxis.set_major_locator(FixedLocator(ERROR_TICKS))
        errors.yaxis.set_major_formatter("{x:g}")
        _curves(
            shares,
            "shares",
            {
                meaning: (logged[key], colours[n % len(colours)], "-")
                for n, (key, meaning) in enumerate(measures.shares.items())
            },
        )
        _curves(rate, "learning rate at an epoch's start", {"lr": (logged["lrs"], "tab:gray", "-")})
        rate.yaxis.set_major_formatter("{x:.1e}")
        figure.savefig(temporary, dpi=90)
