"""`plot-loss`: how the size penalty behaves for a tau and a cap, as a figure or as a page with sliders."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.figures import FORMATS
from nnunetv2_sizepenalty.losses.size_term import CAP, TAU


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draws the size penalty by the code that trains: its weight, relative error, capped value and gradient "
        "(the thesis's figure 3.1)."
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .png, .svg or .pdf; .html with --interactive",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="a page with sliders for tau, lambda, cap, both volumes and the variants of S; opens with no network",
    )
    parser.add_argument("--tau", type=float, default=TAU, help="voxels at which the weight has fallen to 0.37")
    parser.add_argument("--cap", type=float, default=CAP, help="highest penalty of a sample")


def run(args: argparse.Namespace) -> None:
    suffix = args.output.suffix.lower()
    if args.interactive and suffix != ".html":
        raise UserError(f"{args.output}: --interactive writes a page, give a name that ends in .html")
    if not args.interactive and suffix == ".html":
        raise UserError(f"{args.output}: a page with sliders needs --interactive, a figure {', '.join(FORMATS)}")
    if not args.interactive and suffix not in FORMATS:
        raise UserError(f"{args.output}: can't tell a format by this suffix, take one of {', '.join(FORMATS)}")
    for name in ("tau", "cap"):
        if not 0 < getattr(args, name) < float("inf"):
            raise UserError(f"--{name} {getattr(args, name):g}: must be a positive number")

    if args.interactive:
        from nnunetv2_sizepenalty.figures.explorer import write_explorer as draw
    else:
        from nnunetv2_sizepenalty.figures.size_penalty import draw

    with atomic_file(args.output) as temporary:
        draw(temporary, args.tau, args.cap)
