"""`nnUNetv2_sizepenalty froc`: sensitivity against false positives by size, and calibration, from probabilities."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-ref", dest="reference", metavar="DIR", type=Path, required=True, help="reference masks")
    parser.add_argument(
        "-probabilities", "--probabilities", metavar="DIR", type=Path, required=True,
        help="CASE.npz of nnUNetv2_predict --save_probabilities or nnUNetv2_train --npz",
    )  # fmt: skip
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "-djfile", metavar="FILE", type=Path, help="dataset.json; default: the one beside the probabilities"
    )
    parser.add_argument("--protocol", default="default", help="rules of `evaluate`, such as thesis, but for detection")
    parser.add_argument(
        "--detection",
        metavar="RULE",
        default="share:0.1",
        help="when a lesion is found: share:T (default), overlap, picai or msseg; any overlap rewards painting all",
    )
    parser.add_argument(
        "--bins-ml", metavar="ML", nargs="+", type=float, help="edges of the size strata (default: 1 5)"
    )
    parser.add_argument(
        "--bins-px",
        metavar="PX",
        nargs="+",
        type=float,
        help="those of images without a spacing (PNG), in pixels (default: 10 100 1000)",
    )
    parser.add_argument("--only-predicted", action="store_true", help="leave out references without probabilities")
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.curves.froc import headlines, write_froc
    from nnunetv2_sizepenalty.curves.froc_folder import evaluate_probabilities
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, Rule

    if args.protocol not in PROTOCOLS:
        raise UserError(f"--protocol {args.protocol}: unknown; there are {', '.join(PROTOCOLS)}")
    try:
        detection = Rule.parse(args.detection)
    except ValueError as error:
        raise UserError(f"--detection: {error}") from None
    froc = evaluate_probabilities(
        args.reference,
        args.probabilities,
        dataset_json=args.djfile,
        protocol=args.protocol,
        detection=detection,
        bins_ml=args.bins_ml,
        bins_px=args.bins_px,
        only_predicted=args.only_predicted,
        processes=args.processes,
    )
    with failures_of(args.output):
        write_froc(froc, args.output)
    print(*headlines(froc), sep="\n")
    print(f"wrote {args.output}")
