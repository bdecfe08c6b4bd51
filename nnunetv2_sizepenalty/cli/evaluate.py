"""`nnUNetv2_sizepenalty evaluate`: cases.csv, lesions.csv, summary.json and report.html of one set of predictions."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
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
    parser.add_argument(
        "--instances",
        choices=["reference", "prediction", "both"],
        help="masks whose values are lesion ids, so that lesions that touch stay apart",
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
    from nnunetv2_sizepenalty.evaluation.folder import evaluate_folder
    from nnunetv2_sizepenalty.evaluation.records import write_evaluation
    from nnunetv2_sizepenalty.evaluation.share_check import oversized_warning
    from nnunetv2_sizepenalty.report import write_report
    from nnunetv2_sizepenalty.report.terminal import result_lines, unpaired_lines

    protocol = _protocol(args)
    froc = _froc(args)
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
        check_cases=partial(_check_viewer, args),
    )
    with failures_of(args.output):
        # first, since an image that can't be shown is met here
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
        write_evaluation(evaluation, args.output)
    warnings = [*unpaired_lines(evaluation.summary), *_single_ids(evaluation)]
    for name, label in evaluation.summary.labels.items():
        if warning := oversized_warning(label.share):
            warnings.append(f"{name}: {warning}")
    for warning in warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    print("\n".join(result_lines(evaluation.summary, report)))


def _froc(args: argparse.Namespace):
    """The curves, which count components, not ids."""
    from nnunetv2_sizepenalty.curves.froc import read_froc
    from nnunetv2_sizepenalty.errors import UserError

    if args.froc and args.instances in ("reference", "both"):
        raise UserError(
            f"--instances {args.instances}: `froc` counts the references' connected components; leave out --froc"
        )
    return read_froc(args.froc) if args.froc else None


def _check_viewer(args: argparse.Namespace, cases: Sequence[str]) -> None:
    """UserError where --cases or --images don't suit the cases that are to be scored."""
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.report.channels import check_images

    for case in args.cases:
        if case not in cases:
            raise UserError(f"--cases: {case} not among the {len(cases)} cases to evaluate, such as {cases[0]}")
        if args.cases.count(case) > 1:
            raise UserError(f"--cases: {case} is named twice")
    if args.images is not None:
        check_images(args.images, cases, args.channel)


def _single_ids(evaluation) -> list[str]:
    """Warns of masks that may hold labels where --instances says ids."""
    instances = evaluation.summary.settings["instances"]
    return [
        f"no {side} holds more than one lesion id: with --instances {instances} all its lesions are one"
        for side in ("reference", "prediction")
        if instances in (side, "both") and evaluation.cases[f"n_{side}"].max() <= 1
    ]


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
    name = {"name": "custom"} if given else {}
    if args.instances:
        if args.instances == "both" and "connectivity" in given:
            raise UserError("--connectivity: lesion ids tell all lesions apart (--instances both); leave it out")
        given["instances"] = args.instances
    try:
        for field in ("detection", "matching"):
            if field in given:
                given[field] = Rule.parse(given[field])
        return dataclasses.replace(PROTOCOLS[args.protocol], nsd_mm=args.nsd_mm, **given, **name)
    except ValueError as error:
        raise UserError(f"rules: {error}") from None


def _check_output(output: Path) -> None:
    """nnU-Net writes a summary.json beside its predictions: that one is not to be replaced."""
    from nnunetv2_sizepenalty.errors import UserError

    if (output / "summary.json").exists() and not (output / "lesions.csv").exists():
        raise UserError(f"{output}: holds a summary.json of something else; give a folder of its own with -o")
