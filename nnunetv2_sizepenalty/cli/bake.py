"""`nnUNetv2_sizepenalty bake`: a copy of a model that nnU-Net's own commands cut at the operating point."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results_folder", metavar="RESULTS_FOLDER", type=Path, help="nnUNet_results/DATASET/TRAINER__PLANS__CONFIG"
    )
    parser.add_argument(
        "--operating-point", metavar="FILE", type=Path, required=True, help="operating_point.json from `threshold`"
    )
    parser.add_argument(
        "-o", dest="output", metavar="NEW_FOLDER", type=Path, required=True, help="such as .../BAKED__PLANS__CONFIG"
    )
    parser.add_argument("-f", dest="folds", metavar="FOLD", nargs="+", help="default: those of the operating point")
    parser.add_argument(
        "-chk", metavar="FILE", nargs="+", help="checkpoints to copy, default: the one that the point was chosen on"
    )
    parser.add_argument(
        "--per-fold",
        action="store_true",
        help="each fold at its own threshold, to be predicted alone; without it all folds at the ensemble's",
    )
    parser.add_argument(
        "--as-nnunet-trainer",
        action="store_true",
        help="the copy names nnUNetTrainer, so that it predicts without this package; for models on nnU-Net's networks",
    )


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
    from nnunetv2_sizepenalty.operating_point import ENSEMBLE, bake_folder, read_operating_point
    from nnunetv2_sizepenalty.operating_point.terminal import print_baked

    point = read_operating_point(args.operating_point)
    checkpoints = args.chk or [point.source.checkpoint]
    folds = args.folds or [fold for fold in point.cuts if fold != ENSEMBLE]
    with failures_of(args.output):
        bake_folder(
            ModelFolder(args.results_folder),
            point,
            args.output,
            folds=folds,
            checkpoints=checkpoints,
            per_fold=args.per_fold,
            as_nnunet_trainer=args.as_nnunet_trainer,
        )
    print_baked(args.output, folds, checkpoints, args.per_fold)
