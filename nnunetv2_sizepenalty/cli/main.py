"""Entry point: finds the subcommand, imports its module alone, and turns bad input into one line and exit code 2."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.errors import UserError

# Subcommand -> one line for --help. The module is cli/<name with _>.py; it is imported only when it is called,
# so that --help answers at once.
SUBCOMMANDS: dict[str, str] = {
    "demo": "phantom, training, prediction and scores in a few minutes on a CPU",
    "convert": "ADC and DWI to an nnU-Net dataset with the mismatch channel",
    "plan": "patches, batch and network of the recipe, beside nnU-Net's own plan",
    "split": "folds and test part, by patient and balanced, or the thesis's",
    "tau": "the lesion volume that training patches hold, and the size scale of the size penalty that suits it",
    "audit": "what small lesions a data set and a plan will lose, and what is wrong with the files",
    "phantom": "synthetic stroke volumes with known lesions",
    "finetune": "a trained model goes on with another loss, from its own weights",
    "threshold": "threshold and smallest lesion, chosen on the validation cases",
    "apply": "cut saved probabilities at an operating point",
    "bake": "a copy of a model that nnU-Net's own commands cut at the operating point",
    "evaluate": "scores per case, per lesion and by size, with a report",
    "froc": "detection at every threshold by size, and calibration, from saved probabilities",
    "compare": "models on the same cases: differences, what they are worth, and when nothing can be told",
    "ablate": "a matrix of trainers, folds and repeats, trained, scored and compared, here or on Slurm",
    "plot-loss": "how the size penalty behaves for a tau and a cap: a figure, or a page with sliders",
    "trainers": "every trainer name, letter and modifier, and what it means",
    "doctor": "what nnU-Net sees: versions, devices, folders, trainers",
    "path": "the export line for those who switch .pth files off",
}


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names a default only where there is one to tell."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == []:
            return action.help
        return super()._get_help_string(action)


def _parser(name: str | None) -> argparse.ArgumentParser:
    """The parser with the arguments of subcommand `name` filled in, the others as names with their one line."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_sizepenalty",
        description="Size Penalty Loss for nnU-Net v2. Training goes through nnUNetv2_train -tr nnUNetTrainerDTS.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    for subcommand, summary in SUBCOMMANDS.items():
        subparser = subparsers.add_parser(
            subcommand,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        if subcommand == name:
            module = importlib.import_module(f"nnunetv2_sizepenalty.cli.{subcommand.replace('-', '_')}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns its exit code (0 done, 1 a check failed, 2 bad input, 130 interrupted)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in argv if not word.startswith("-")), None)
    parser = _parser(name)
    try:
        args = parser.parse_args(argv)
        return args.run(args) or 0
    except UserError as error:
        print(f"nnUNetv2_sizepenalty {name}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
