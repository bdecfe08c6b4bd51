"""The command line: --help answers without heavy imports, bad input is one line and exit code 2."""

import subprocess
import sys

import pytest

from nnunetv2_sizepenalty.cli import main as cli
from nnunetv2_sizepenalty.errors import UserError


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "nnunetv2_sizepenalty.cli.main", *arguments], capture_output=True, text=True, **options
    )


def test_help_names_every_subcommand(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.SUBCOMMANDS)


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_help_of_each_subcommand(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: nnUNetv2_sizepenalty {name}" in capsys.readouterr().out


def test_no_help_imports_torch():
    code = (
        "import sys, contextlib\n"
        "from nnunetv2_sizepenalty.cli.main import SUBCOMMANDS, main\n"
        "for name in ([], *([name] for name in SUBCOMMANDS)):\n"
        "    with contextlib.suppress(SystemExit): main([*name, '--help'])\n"
        "print('TORCH' if 'torch' in sys.modules else 'LIGHT')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("LIGHT\n"), done.stderr


def test_an_unknown_subcommand_is_a_usage_error():
    done = run("trains")
    assert done.returncode == 2
    assert "invalid choice: 'trains'" in done.stderr


def test_bad_input_is_one_line_on_stderr(capsys, monkeypatch):
    from nnunetv2_sizepenalty.cli import path

    def refuse(args):
        raise UserError("some/file.nii.gz is 4D: give one volume")

    monkeypatch.setattr(path, "run", refuse)
    assert cli.main(["path"]) == 2
    assert capsys.readouterr().err == "nnUNetv2_sizepenalty path: error: some/file.nii.gz is 4D: give one volume\n"


def test_a_name_outside_the_grammar_is_explained(capsys):
    assert cli.main(["trainers", "nnUNetTrainerXDT"]) == 2
    assert "nnUNetTrainerXDT is not a name of ours" in capsys.readouterr().err
    assert cli.main(["trainers", "nnUNetTrainerSDT"]) == 2
    assert "nnUNetTrainerSDT is spelt nnUNetTrainerDTS" in capsys.readouterr().err


def test_a_name_is_explained(capsys):
    assert cli.main(["trainers", "nnUNetTrainerDCS_nnUNet_tau300"]) == 0
    text = capsys.readouterr().out
    assert "0.3 x size penalty" in text
    assert "300.0" in text
