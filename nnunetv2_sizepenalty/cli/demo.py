"""`demo`: everything once, on synthetic data."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Makes synthetic stroke volumes, trains nnUNetTrainerDTS and nnU-Net's default with nnU-Net's own commands on "
        "a plan small enough for a CPU, predicts a test split and draws what was missed. About five minutes on two "
        "cores; every command is shown."
    )
    parser.add_argument("-o", type=Path, default=Path("sizepenalty_demo"), help="a new or empty folder for all of it")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.demo import run_demo

    path = run_demo(args.o)
    result = json.loads(path.read_text())
    print()
    for key, scores in result["trainers"].items():
        print(f"{key:<18} Dice {scores['dice']:.3f}   relative volume error {scores['rve']:.3f}")
    print(f"{'best DWI threshold':<18} Dice {result['floor']['dice']:.3f}")
    print(f"{sum(result['seconds'].values()):.0f} s; missed lesions: {result['folders']['overlays']}; all: {path}")
