"""nnU-Net's file names stand in nnunet_io alone, each once: string literals of the sources, messages aside."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import nnunetv2_sizepenalty
from nnunetv2_sizepenalty.nnunet_io import file_names

PACKAGE = Path(nnunetv2_sizepenalty.__file__).parent
NAMES = sorted(
    {
        value
        for name, value in vars(file_names).items()
        if name.isupper() and isinstance(value, str) and name != "VALIDATION"
    }
    | {"debug.json", "progress.png"}
)
# Our own summary.json, which `evaluate` writes.
OURS = {"summary.json": ("evaluation/", "cli/evaluate.py")}


def literals(path: Path) -> list[str]:
    """The strings of a source file that are values: no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def named(path: Path) -> list[str]:
    """The file names that a source file spells, by themselves or at the end of a path; not those within sentences."""
    where = path.relative_to(PACKAGE).as_posix()
    pattern = re.compile(rf"(?:[\w.-]*/)*({'|'.join(map(re.escape, NAMES))})")
    found = [match[1] for text in literals(path) if (match := pattern.fullmatch(text))]
    return [name for name in found if not where.startswith(OURS.get(name, "-"))]


@pytest.mark.parametrize(
    "code", ['a / "plans.json"', 'f"{a}/fold_0/checkpoint_final.pth"', '"validation/summary.json"']
)
def test_a_name_in_code_is_seen(tmp_path, monkeypatch, code):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(f'"""plans.json"""\nx = f"{{y}}/dataset.json: mend it"\nz = {code}\n')
    assert len(named(path)) == 1


def test_nobody_else_knows_nnunets_file_names():
    elsewhere = {
        str(path.relative_to(PACKAGE)): found
        for path in PACKAGE.rglob("*.py")
        if "nnunet_io" not in path.parts and (found := named(path))
    }
    assert elsewhere == {}


def test_each_name_has_one_home():
    found = Counter(name for path in (PACKAGE / "nnunet_io").glob("*.py") for name in named(path))
    assert found == dict.fromkeys(NAMES, 1)
