"""`nnUNetv2_sizepenalty compare`: models on the same cases, with intervals, corrected tests and "can't tell"."""

import argparse
from pathlib import Path

NAMED = "NAME=OUT[,OUT...]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar=NAMED,
        help="outputs of `evaluate`, the baseline first; several are folds (disjoint cases) or repeats (same cases)",
    )  # fmt: skip
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--froc", nargs="+", default=[], metavar=NAMED,
        help="outputs of `froc`, to compare at the baseline's false positives per case",
    )  # fmt: skip
    parser.add_argument(
        "--results", nargs="+", default=[], metavar="NAME=DIR[,DIR...]",
        help="nnU-Net's results folders, for training curves and the epoch",
    )  # fmt: skip
    parser.add_argument(
        "--case", metavar="CASE", help="to show side by side; default: below 1 mL, where the volume errors differ most"
    )
    parser.add_argument(
        "--cases", metavar="CSV", type=Path,
        help="column case and one of patients, whose scans are flipped and resampled together; without it sub-... of "
        "the names",
    )  # fmt: skip
    parser.add_argument("--patient", metavar="COLUMN", help="of that CSV; default: patient")
    parser.add_argument(
        "--primary", metavar="METRIC", help="named before looking, so tested alone: dice or another of means.csv"
    )
    parser.add_argument(
        "--shared-seeds", action="store_true",
        help="the first, second, ... repeats of all models were trained with the same seed each",
    )  # fmt: skip
    parser.add_argument("--images", metavar="DIR", type=Path, help="images (CASE_0000.ENDING) for that case")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.comparison import write_comparison

    models, froc, results = (parse_named(texts) for texts in (args.models, args.froc, args.results))
    with failures_of(args.output):
        page = write_comparison(
            args.output, models, frocs=froc, results=results, case=args.case, images_folder=args.images,
            cases=args.cases, patient=args.patient, primary=args.primary, shared_seeds=args.shared_seeds,
        )  # fmt: skip
    print(f"see {page}")


def parse_named(texts: list[str]) -> dict[str, list[Path]]:
    """ "NAME=A,B" as name -> folders, in their order; UserError for anything else and for a name given twice."""
    from nnunetv2_sizepenalty.errors import UserError

    named: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, folders = text.partition("=")
        paths = [Path(folder) for folder in folders.split(",") if folder]
        if not (name and equals and paths):
            raise UserError(f"{text!r} is not {NAMED}")
        if name in named:
            raise UserError(f"{name} is named twice; give its folders in one, {name}=A,B")
        named[name] = paths
    return named
