"""`plot-loss`: how the size penalty behaves for a tau and a cap, as a figure."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError

SUFFIXES = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draws the size penalty by the code that trains: its weight, relative error, capped value and gradient "
        "(the thesis's figure 3.1)."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a .png, .svg or .pdf")
    parser.add_argument("--tau", type=float, default=600.0, help="voxels at which the weight has fallen to 0.37")
    parser.add_argument("--cap", type=float, default=10.0, help="highest penalty of a sample")


def run(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() not in SUFFIXES:
        raise UserError(f"{args.output}: can't tell a format by this suffix, take one of {', '.join(SUFFIXES)}")
    for name in ("tau", "cap"):
        if not 0 < getattr(args, name) < float("inf"):
            raise UserError(f"--{name} {getattr(args, name):g}: must be a positive number")

    from nnunetv2_sizepenalty.figures.size_penalty import draw

    with atomic_file(args.output) as temporary:
        draw(temporary, args.tau, args.cap)
