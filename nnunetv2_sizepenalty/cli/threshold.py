"""`nnUNetv2_sizepenalty threshold`: chooses threshold and smallest component on the validation cases."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results_folder", metavar="RESULTS_FOLDER", type=Path, help="nnUNet_results/DATASET/TRAINER__PLANS__CONFIG"
    )
    parser.add_argument("-f", dest="folds", metavar="FOLD", nargs="+", help="default: every fold in the folder")
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, help="default: RESULTS_FOLDER/operating_point")
    parser.add_argument(
        "--thresholds",
        nargs="+",
        metavar="T",
        help="default: 0.3 0.4 0.5 0.6 0.7 (the thesis's); `dense` is 1e-5 to 1 - 1e-5, even in the logit",
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
        default="dice",
        help="dice (mean over cases), pooled_dice, pq, lesion_f1, rve, or sensitivity@FP: the lesion sensitivity at "
        "that many false positives per case",
    )
    parser.add_argument("--class", dest="classes", metavar="NAME", nargs="+", help="classes or regions, default: all")
    parser.add_argument(
        "--predict", action="store_true", help="predict the validation cases; nothing but counts is written"
    )
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
    from nnunetv2_sizepenalty.operating_point import Objective, Prediction, choose_operating_point
    from nnunetv2_sizepenalty.operating_point.terminal import print_point
    from nnunetv2_sizepenalty.trainers.names import step_size

    if (args.step_size is not None or args.thesis_overlap) and not args.predict:
        raise UserError("--step-size or --thesis-overlap belongs to --predict: nnU-Net's own validation has step 0.5")
    prediction = None
    if args.predict:
        device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
        trainer = args.results_folder.resolve().name.split("__")[0]
        prediction = Prediction(args.chk, args.step_size or step_size(trainer, args.thesis_overlap), device)
    output = args.output or args.results_folder / "operating_point"
    with failures_of(output):
        point = choose_operating_point(
            ModelFolder(args.results_folder, args.ref),
            output,
            folds=args.folds,
            grid=_grid(args),
            objective=Objective.parse(args.objective),
            classes=args.classes,
            prediction=prediction,
            checkpoint=args.chk,
            with_cross_fit=args.cross_fit,
            processes=args.processes,
        )
    print_point(point)


def _grid(args: argparse.Namespace):
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.operating_point import make_grid

    try:
        thresholds = args.thresholds
        if thresholds == ["dense"]:
            thresholds = "dense"
        elif thresholds:
            thresholds = [float(threshold) for threshold in thresholds]
        return make_grid(thresholds, min_voxels=args.min_voxels, min_mm3=args.min_mm3)
    except ValueError as error:
        raise UserError(f"--thresholds, --min-voxels or --min-mm3: {error}") from None
