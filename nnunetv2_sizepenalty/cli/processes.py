"""The option for worker processes, spelled as nnU-Net spells it, in one place."""

import argparse
import os

from nnunetv2_sizepenalty.errors import UserError


class _AtLeastOne(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        if values < 1:
            raise UserError(f"{option_string} {values}: at least 1 is needed")
        setattr(namespace, self.dest, values)


def add_processes(
    parser: argparse.ArgumentParser, *, at_most: int | None = 4, help: str = "cases at a time, one process each"
) -> None:
    """Adds `-np N`, and 0.1.0's `--processes` unlisted; the value is `args.processes`.

    Args:
        parser: of a subcommand.
        at_most: the default is the number of CPUs, but no more than this; None leaves it to the command.
        help: what the processes do.
    """
    default = at_most and min(at_most, os.cpu_count() or 1)
    option = {"dest": "processes", "type": int, "metavar": "N", "action": _AtLeastOne}
    parser.add_argument("-np", default=default, help=help, **option)
    parser.add_argument("--processes", default=argparse.SUPPRESS, help=argparse.SUPPRESS, **option)
