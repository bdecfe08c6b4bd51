"""`nnUNetv2_sizepenalty threshold`: chooses threshold and smallest component on the validation cases."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results_folders",
        metavar="RESULTS_FOLDER",
        type=Path,
        nargs="+",
        help="nnUNet_results/DATASET/TRAINER__PLANS__CONFIG; of several the mean of the probabilities is cut",
    )
    parser.add_argument("-f", dest="folds", metavar="FOLD", nargs="+", help="default: every fold in the folder but all")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="OUT",
        type=Path,
        help="default: RESULTS_FOLDER/operating_point; to be named for several",
    )
    parser.add_argument(
        "--thresholds",
        nargs="+",
        metavar="T",
        help="default: `data`, quantiles of the predicted values, and further where the best lies at an end; the "
        "thesis's are 0.3 0.4 0.5 0.6 0.7; `dense` is 1e-5 to 1 - 1e-5, even in the logit",
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--min-voxels",
        nargs="+",
        type=float,
        metavar="N",
        help="remove components under N voxels (default: 5, the thesis's; 0: none); several are searched, with none",
    )
    sizes.add_argument("--min-mm3", nargs="+", type=float, metavar="X", help="the same in mm^3")
    parser.add_argument(
        "--objective",
        dest="objectives",
        nargs="+",
        metavar="OBJECTIVE",
        help="dice (mean over cases, the default), pooled_dice, pq, lesion_f1, rve, size_penalty (:TAU_ML), each with "
        "@N for at most N false positives per case, or sensitivity@N; of several the first is operating_point.json's",
    )
    parser.add_argument(
        "--detection",
        metavar="RULE",
        default="share:0.1",
        help="when a lesion is found: share:T, or for sensitivity analyses overlap, picai, msseg (any overlap "
        "rewards painting all)",
    )
    parser.add_argument("--class", dest="classes", metavar="NAME", nargs="+", help="classes or regions, default: all")
    parser.add_argument("--predict", action="store_true", help="predict the validation cases; nothing but counts stays")
    steps = parser.add_mutually_exclusive_group()
    steps.add_argument(
        "--step-size", type=float, metavar="S", help="of --predict's sliding window, default: 0.5 for every trainer"
    )
    steps.add_argument(
        "--thesis-overlap", action="store_true", help="the thesis's step: 0.25 where S is in the combination, else 0.5"
    )
    parser.add_argument(
        "-device", choices=("cuda", "cpu", "mps"), help="of --predict, default: cuda where there is one"
    )
    parser.add_argument("-chk", default=FINAL, metavar="FILE", help="checkpoint that predicts or has predicted")
    parser.add_argument(
        "--cross-fit", action="store_true", help="also choose for each fold on the others: the honest gain"
    )
    parser.add_argument("-ref", type=Path, metavar="DIR", help="reference label maps, default: nnU-Net's own copy")
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    import torch

    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
    from nnunetv2_sizepenalty.operating_point import Objective, Prediction, choose_operating_points
    from nnunetv2_sizepenalty.operating_point.terminal import print_points
    from nnunetv2_sizepenalty.trainers.names import step_size

    if (args.step_size is not None or args.thesis_overlap) and not args.predict:
        raise UserError("--step-size or --thesis-overlap belongs to --predict: nnU-Net's own validation has step 0.5")
    prediction = None
    if args.predict:
        device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
        trainers = [folder.resolve().name.split("__")[0] for folder in args.results_folders]
        steps = {args.step_size or step_size(trainer, args.thesis_overlap) for trainer in trainers}
        if len(steps) > 1:
            raise UserError(f"--thesis-overlap: {' and '.join(trainers)} have different steps; name one --step-size")
        prediction = Prediction(args.chk, *steps, device)
    if len(args.results_folders) > 1 and args.output is None:
        raise UserError("several models have no folder in common: name one with -o")
    output = args.output or args.results_folders[0] / "operating_point"
    with failures_of(output):
        points = choose_operating_points(
            [ModelFolder(folder, args.ref) for folder in args.results_folders],
            output,
            objectives=[Objective.parse(text) for text in dict.fromkeys(args.objectives or ["dice"])],
            folds=args.folds,
            grid=_grid(args),
            detection=_detection(args.detection),
            classes=args.classes,
            prediction=prediction,
            checkpoint=args.chk,
            with_cross_fit=args.cross_fit,
            processes=args.processes,
        )
    print_points(points)


def _detection(text: str):
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.evaluation.protocols import Rule

    try:
        return Rule.parse(text)
    except ValueError as error:
        raise UserError(f"--detection: {error}") from None


def _grid(args: argparse.Namespace):
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.operating_point import make_grid

    try:
        thresholds = args.thresholds or ["data"]
        named = thresholds in (["dense"], ["data"])
        thresholds = thresholds[0] if named else [float(threshold) for threshold in thresholds]
        return make_grid(thresholds, min_voxels=args.min_voxels, min_mm3=args.min_mm3)
    except ValueError as error:
        raise UserError(f"--thresholds, --min-voxels or --min-mm3: {error}") from None
