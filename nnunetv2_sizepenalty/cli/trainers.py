"""`trainers`: the grammar of -tr, or what one name means."""

import argparse

from nnunetv2_sizepenalty.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Lists the combinations and modifiers that nnUNetv2_train -tr takes, or explains one name."
    parser.add_argument("name", nargs="?", help="a trainer's name to explain, such as nnUNetTrainerDTS_tau300")


def run(args: argparse.Namespace) -> None:
    from rich.console import Console

    from nnunetv2_sizepenalty.trainers.grammar_help import explain, grammar_tables
    from nnunetv2_sizepenalty.trainers.names import right_spelling

    console = Console()
    if args.name is None:
        for table in grammar_tables():
            console.print(table)
        return
    explanation = explain(args.name)
    if explanation is None and (right := right_spelling(args.name)) is not None:
        raise UserError(f"{args.name} is spelt {right}")
    if explanation is None:
        raise UserError(
            f"{args.name} is not a name of ours: nnUNetTrainer<COMBINATION>[_<modifier>...], modifiers in the order "
            "that `nnUNetv2_sizepenalty trainers` lists, each once and only beside the letters or the modifier that it "
            "names, numbers without superfluous zeros"
        )
    console.print(explanation)
