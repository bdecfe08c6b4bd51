"""What import-linter can't see: heavy imports, private names across folders, the plugin folder, doctests.

The floors themselves and circles are contracts in pyproject.toml, checked by `lint-imports`.
"""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnunetv2_sizepenalty

PACKAGE = Path(nnunetv2_sizepenalty.__file__).parent
NAME = PACKAGE.name


def modules() -> list[str]:
    """Every importable module of the package."""
    return [NAME, *(module.name for module in pkgutil.walk_packages([str(PACKAGE)], f"{NAME}."))]


def imports_of(path: Path) -> Iterator[tuple[str, str | None]]:
    """(module, name that is taken from it) of each import in a file, late ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


@pytest.mark.parametrize(
    "folders, absent",
    [
        (("losses", "architectures"), "nnunetv2"),
        (("lesions", "evaluation", "curves", "report", "comparison"), "torch"),
        (("lesions", "evaluation", "curves", "report", "comparison"), "nnunetv2"),
    ],
)
def test_folders_import_without(folders, absent):
    ours = [name for name in modules() if name.split(".")[1:2] and name.split(".")[1] in folders]
    assert len(ours) > len(folders)
    code = f"import sys, importlib\nfor name in {ours}: importlib.import_module(name)\nprint({absent!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("folder", ["nnunetv2_sizepenalty", "benchmarks", "tests"])
def test_every_name_that_is_imported_from_us_exists(folder):
    """Late imports are met by long tests alone."""
    taken = {
        (module, name)
        for path in (PACKAGE.parent / folder).rglob("*.py")
        for module, name in imports_of(path)
        if module.split(".")[0] == NAME and name is not None
    }
    assert taken
    missing = [
        f"{module}: {name}"
        for module, name in sorted(taken)
        if not hasattr(importlib.import_module(module), name) and f"{module}.{name}" not in modules()
    ]
    assert not missing


def test_no_module_takes_a_private_name_of_another_folder():
    taken = [
        f"{path.relative_to(PACKAGE)}: {module} {name}"
        for path in PACKAGE.rglob("*.py")
        for module, name in imports_of(path)
        if module.split(".")[0] == NAME
        and any(part.startswith("_") and not part.endswith("__") for part in [*module.split("."), name or ""])
        and module.split(".")[1:-1] != list(path.relative_to(PACKAGE).parts[:-1])
    ]
    assert not taken


def test_the_plugin_folder_imports_trainers_alone():
    (shim,) = (PACKAGE / "nnunet_plugin").glob("*.py")
    ours = {module for module, _ in imports_of(shim) if module.split(".")[0] == NAME}
    assert ours == {f"{NAME}.trainers"}


def with_doctests() -> list[str]:
    return [
        name
        for name in modules()
        if (path := importlib.util.find_spec(name).origin) and ">>> " in Path(path).read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", with_doctests())
def test_examples_in_docstrings_hold(name):
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0


# Classes that are still to be named for what they are.
SAME_NAMES = {"Patients"}


def test_a_public_class_has_a_name_of_its_own():
    homes: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert len(homes) > 100
    assert {name: where for name, where in homes.items() if len(where) > 1 and name not in SAME_NAMES} == {}


def test_no_folder_holds_more_than_an_eighth_of_the_lines():
    lines: dict[str, int] = {}
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).parts[0]
        lines[folder] = lines.get(folder, 0) + len(path.read_text(encoding="utf-8").splitlines())
    most = sum(lines.values()) / 8
    assert {folder: n for folder, n in lines.items() if n > most} == {}


def test_typing_information_is_shipped():
    assert (PACKAGE / "py.typed").is_file()
