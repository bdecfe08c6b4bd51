"""`nnUNetv2_sizepenalty apply`: cuts saved probabilities at an operating point."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        dest="probabilities",
        metavar="PROBABILITIES",
        type=Path,
        nargs="+",
        required=True,
        help="folder written by nnUNetv2_predict --save_probabilities; for a point of several models one of each",
    )
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, required=True, help="new folder for label maps")
    parser.add_argument(
        "--operating-point", metavar="FILE", type=Path, required=True, help="operating_point.json from `threshold`"
    )
    parser.add_argument(
        "--fold", default="ensemble", help="whose cut: of the fold that predicted alone, or the ensemble's"
    )
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.operating_point import apply_folder, read_operating_point

    point = read_operating_point(args.operating_point)
    with failures_of(args.output):
        n = apply_folder(args.probabilities, args.output, point, fold=args.fold, processes=args.processes)
    print(f"{n} label maps in {args.output}")
