"""`nnUNetv2_sizepenalty finetune`: a trained model goes on with another loss, from its own weights."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Same plan, network, folds, channels and classes; a tenth of the initial learning rate unless the name has "
        "_lr. The results folder is that of the name with _finetune. Run it again to go on after a stop."
    )
    parser.add_argument(
        "model_folder", metavar="MODEL_FOLDER", type=Path, help="nnUNet_results/DATASET/TRAINER__PLANS__CONFIG"
    )
    parser.add_argument(
        "-tr", metavar="TRAINER", required=True, help="such as nnUNetTrainerDK_nnUNet_sizeweight4_50epochs"
    )
    parser.add_argument("-f", dest="folds", metavar="FOLD", nargs="+", help="default: all folds that were trained")
    parser.add_argument("-chk", metavar="FILE", default=FINAL, help="of each fold, to start from")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), default="cuda", help="as for nnUNetv2_train")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
    from nnunetv2_sizepenalty.trainers.finetune_model import FineTuning, check, finetuning_name, train_fold

    model = ModelFolder(args.model_folder)
    tuning = FineTuning(model, finetuning_name(args.tr), args.chk)
    folds = args.folds or [fold for fold in model.folds() if tuning.source(fold).is_file()] or ["0"]
    check(tuning, folds)
    for fold in folds:
        train_fold(tuning, fold, args.device)
    print(f"{tuning.output}: {len(folds)} folds")
    print(f"next: nnUNetv2_sizepenalty threshold {tuning.output}{' --cross-fit' if len(folds) > 1 else ''}")
