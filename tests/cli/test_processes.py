"""The option for processes: one spelling, the old one hidden, and 0 refused by every command that has it."""

import argparse
import importlib

import pytest

from nnunetv2_sizepenalty.cli.main import SUBCOMMANDS, main
from nnunetv2_sizepenalty.errors import UserError

# the arguments without which a command asks for them first
REQUIRED = {
    "apply": ["-i", "a", "-o", "b", "--operating-point", "c"],
    "audit": ["-d", "1"],
    "convert": ["images", "--adc", "a", "--dwi", "d", "-o", "b"],
    "evaluate": ["-ref", "a", "-pred", "b", "-o", "c"],
    "froc": ["-ref", "a", "-probabilities", "b", "-o", "c"],
    "phantom": ["-o", "a"],
    "plan": ["-d", "1"],
    "split": ["-d", "1"],
    "tau": ["-d", "1"],
    "threshold": ["a"],
}


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"nnunetv2_sizepenalty.cli.{name.replace('-', '_')}").add_arguments(parser)
    return parser


def test_every_command_with_processes_is_listed_here():
    with_processes = set()
    for name in SUBCOMMANDS:
        found = [action for action in parser_of(name)._actions if action.dest in {"processes", "kind"}]
        with_processes |= {name} if found else set()
    assert with_processes == set(REQUIRED)


@pytest.mark.parametrize("name", REQUIRED)
def test_both_spellings_say_the_same_and_one_is_shown(name):
    parser = parser_of(name)
    for option in ("-np", "--processes"):
        assert parser.parse_args([*REQUIRED[name], option, "3"]).processes == 3
    assert "--processes" not in parser.format_help()


@pytest.mark.parametrize("option", ["-np", "--processes"])
@pytest.mark.parametrize("name", REQUIRED)
def test_no_process_is_refused_in_one_line(name, option, capsys):
    with pytest.raises(UserError, match=f"^{option} 0: at least 1 is needed$"):
        parser_of(name).parse_args([*REQUIRED[name], option, "0"])
    assert main([name, *REQUIRED[name], option, "-5"]) == 2
    assert capsys.readouterr().err == f"nnUNetv2_sizepenalty {name}: error: {option} -5: at least 1 is needed\n"
