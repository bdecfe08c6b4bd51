"""`nnUNetv2_sizepenalty evaluate`: cases.csv, lesions.csv, summary.json and report.html of one set of predictions."""

import argparse
import sys
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes

# The options that make up a protocol: option -> (field of Protocol, type or None for a flag, help).
RULES = {
    "--connectivity": ("connectivity", int, "of a lesion: 6, 18 or 26, in 2D 4 or 8 (default: 18, in 2D 8)"),
    "--min-voxels": ("min_voxels", float, "remove smaller predicted lesions first"),
    "--min-mm3": ("min_mm3", float, "remove smaller predicted lesions first, a size that holds across scanners"),
    "--filter-reference": ("filter_reference", None, "remove smaller reference lesions too"),
    "--detection": (
        "detection",
        str,
        "when a lesion is found: overlap (default), share:T, iou:T, matched, picai or msseg",
    ),
    "--matching": ("matching", str, "iou:T or dice:T of one-to-one matching (default: iou:0.5)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-ref", dest="reference", metavar="DIR", type=Path, required=True, help="reference masks")
    parser.add_argument("-pred", dest="prediction", metavar="DIR", type=Path, required=True, help="predicted masks")
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "-djfile", metavar="FILE", type=Path, help="dataset.json with the labels; default: all above 0 is one label"
    )
    parser.add_argument("--images", metavar="DIR", type=Path, help="images (CASE_0000.ENDING) for the report's viewer")
    parser.add_argument(
        "--channel", metavar="NAME", help="image that the viewer shows first, name or number; default: DWI if named"
    )
    parser.add_argument("--cases", metavar="CASE", nargs="+", default=[], help="cases for the report's viewer besides")
    parser.add_argument("--froc", metavar="DIR", type=Path, help="output of `froc` for the report's curves")
    parser.add_argument("--groups", metavar="CSV", type=Path, help="column case and columns to make tables by")
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
    parser.add_argument(
        "--nsd-mm", metavar="MM", type=float, default=1.0, help="tolerance of the NSD, in pixels without a spacing"
    )
    add_processes(parser)
    missing = parser.add_mutually_exclusive_group()
    missing.add_argument("--allow-missing", action="store_true", help="score a missing prediction as empty")
    missing.add_argument("--only-predicted", action="store_true", help="leave out references without a prediction")
    rules = parser.add_argument_group("rules", "a protocol as a whole, or rules of one's own")
    rules.add_argument(
        "--protocol",
        metavar="NAME",
        default="default",
        help="default, thesis, isles22, isles26, brats-mets (2023), brats-mets-2024, brats-mets-2025, brats-mets-2026 "
        "or wmh: docs/protocols.md",
    )
    for option, (_, kind, text) in RULES.items():
        how = (
            {"action": "store_true"} if kind is None else {"type": kind, "metavar": "N" if kind is not str else "RULE"}
        )
        rules.add_argument(option, default=argparse.SUPPRESS, help=text, **how)


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.curves.froc import read_froc
    from nnunetv2_sizepenalty.evaluation.folder import evaluate_folder
    from nnunetv2_sizepenalty.evaluation.records import write_evaluation
    from nnunetv2_sizepenalty.evaluation.share_check import oversized_warning
    from nnunetv2_sizepenalty.report import write_report

    protocol = _protocol(args)
    froc = read_froc(args.froc) if args.froc else None
    _check_output(args.output)
    evaluation = evaluate_folder(
        args.reference,
        args.prediction,
        dataset_json=args.djfile,
        protocol=protocol,
        bins_ml=args.bins_ml,
        bins_px=args.bins_px,
        groups=args.groups,
        allow_missing=args.allow_missing,
        only_predicted=args.only_predicted,
        processes=args.processes,
    )
    with failures_of(args.output):
        write_evaluation(evaluation, args.output)
        report = write_report(
            args.output,
            evaluation,
            reference_folder=args.reference,
            prediction_folder=args.prediction,
            images_folder=args.images,
            channel=args.channel,
            cases=args.cases,
            froc=froc,
        )
    for name, label in evaluation.summary.labels.items():
        if warning := oversized_warning(label.share):
            print(f"WARNING: {name}: {warning}", file=sys.stderr)
    print(f"{len(evaluation.cases)} rows in {args.output / 'cases.csv'}; see {report}")


def _protocol(args: argparse.Namespace):
    """The protocol by its name, or the rules that the options give."""
    import dataclasses

    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, Rule

    if args.protocol not in PROTOCOLS:
        raise UserError(f"--protocol {args.protocol}: unknown; there are {', '.join(PROTOCOLS)}")
    given = {field: getattr(args, field) for field, *_ in RULES.values() if hasattr(args, field)}
    if given and args.protocol != "default":
        options = ", ".join(option for option, (field, *_) in RULES.items() if field in given)
        raise UserError(f"--protocol {args.protocol} sets the rules as a whole; leave out {options}")
    try:
        for field in ("detection", "matching"):
            if field in given:
                given[field] = Rule.parse(given[field])
        name = {"name": "custom"} if given else {}
        return dataclasses.replace(PROTOCOLS[args.protocol], nsd_mm=args.nsd_mm, **given, **name)
    except ValueError as error:
        raise UserError(f"rules: {error}") from None


def _check_output(output: Path) -> None:
    """nnU-Net writes a summary.json beside its predictions: that one is not to be replaced."""
    from nnunetv2_sizepenalty.errors import UserError

    if (output / "summary.json").exists() and not (output / "lesions.csv").exists():
        raise UserError(f"{output}: holds a summary.json of something else; give a folder of its own with -o")
