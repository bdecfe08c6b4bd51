"""Where the files of each case are: the ISLES 2022 layout, file patterns or folders, a CSV of paths."""

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd")

# What may end the name of a file in a folder of ADC, DWI or masks; the rest is the case.
ROLE_WORDS = {"adc": ("adc",), "dwi": ("dwi",), "label": ("msk", "mask", "label", "seg", "lesion")}


@dataclass(frozen=True)
class Case:
    """The files of one case; `label` is None where there is no reference."""

    name: str
    adc: Path
    dwi: Path
    label: Path | None = None


def find_isles22(folder: str | Path) -> list[Case]:
    """Cases of the ISLES 2022 BIDS layout: `*_adc`, `*_dwi` and `*_msk` anywhere below `folder`.

    The name of a case is what stands before the suffix, such as `sub-strokecase0001_ses-0001`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    files = {}
    for role, word in (("adc", "adc"), ("dwi", "dwi"), ("label", "msk")):
        found = _images(folder.rglob(f"*_{word}.*"))
        files[role] = _by_name(((path.name.removesuffix(f"_{word}{suffix}"), path) for suffix, path in found), role)
    if not any(files.values()):
        raise UserError(f"{folder}: no *_adc, *_dwi and *_msk images below it; is it the ISLES 2022 folder?")
    return _pair(files)


def find_by_patterns(adc: str, dwi: str, labels: str | None = None) -> list[Case]:
    """Cases of one pattern, folder or file for each role.

    A pattern: the case is what its wildcards matched, joined by `_`; a match that another holds too is dropped, so
    that `data/*/*_adc.nii.gz` gives `p01_day2` for `data/p01/p01_day2_adc.nii.gz`. A folder: the case is a file's
    name without its suffix and without a word for its role at the end (`ROLE_WORDS`, after `_` or `-`).

    Args:
        labels: None for cases without a reference.
    """
    files = {"adc": _find(adc, "adc"), "dwi": _find(dwi, "dwi")}
    if labels is not None:
        files["label"] = _find(labels, "label")
    return _pair(files)


def read_csv(path: str | Path) -> list[Case]:
    """Cases of a CSV with the columns case, adc, dwi and perhaps label; paths count from the CSV's folder.

    A case with an empty label has no reference.
    """
    path = Path(path)
    try:
        # Strings throughout: a case 007 must not become 7.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a CSV: {error}") from None
    missing = [column for column in ("case", "adc", "dwi") if column not in table.columns]
    if missing:
        raise UserError(f"{path}: column {', '.join(missing)} missing; it needs case, adc, dwi and perhaps label")
    files: dict[str, dict[str, Path]] = {}
    for role in ("adc", "dwi", "label"):
        if role not in table.columns:
            continue
        rows = zip(table["case"].str.strip(), table[role].str.strip(), strict=True)
        files[role] = _by_name(((name, path.parent / file) for name, file in rows if file), role)
    cases = _pair(files, label_optional=True)
    for case in cases:
        for file in (case.adc, case.dwi, case.label):
            if file is not None and not file.is_file():
                raise UserError(f"case {case.name}: {file} named in {path} does not exist")
    return cases


def _images(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """(suffix, path) of the images among paths, sorted; the hidden files of some systems are none."""
    found = []
    for path in sorted(paths):
        suffix = next((s for s in SUFFIXES if path.name.endswith(s)), None)
        if suffix and not path.name.startswith(".") and path.is_file():
            found.append((suffix, path))
    return found


def _find(source: str, role: str) -> dict[str, Path]:
    """Case -> file of one pattern, folder or file."""
    path = Path(source).expanduser()
    if path.exists():
        ending = re.compile(rf"[_-](?:{'|'.join(ROLE_WORDS[role])})$", re.IGNORECASE)
        found = _images(path.iterdir() if path.is_dir() else [path])
        files = _by_name(((ending.sub("", file.name.removesuffix(suffix)), file) for suffix, file in found), role)
    elif glob.has_magic(source):
        pattern = path.as_posix()  # as the matches are written: no ./ in front, no doubled slash
        regex = re.compile(_regex_of(pattern))
        # Path.glob takes no absolute pattern.
        found = _images(map(Path, glob.glob(pattern)))  # noqa: PTH207
        files = _by_name((("_".join(_wildcards(regex, file)), file) for _, file in found), role)
    else:
        raise UserError(f"{source}: no such file or folder (a pattern needs quotes, such as 'data/*_{role}.nii.gz')")
    if not files:
        raise UserError(f"{source}: matches no {', '.join(SUFFIXES)} image")
    return files


def _regex_of(pattern: str) -> str:
    """A regular expression with one group for each wildcard of a glob pattern (`*`, `?`, `[...]`)."""
    regex = ""
    for part in re.split(r"(\*+|\?+|\[[^]]+\])", pattern):
        if part == "**":
            raise UserError(f"{pattern}: ** is not supported, write one * for each folder")
        if part.startswith("*"):
            regex += "([^/]*)"
        elif part.startswith("?"):
            regex += f"([^/]{{{len(part)}}})"
        elif part.startswith("["):
            regex += f"({part.replace('[!', '[^')})"
        else:
            regex += re.escape(part)
    return regex


def _wildcards(regex: re.Pattern, path: Path) -> list[str]:
    """What the wildcards matched, in order, without what another of them holds too."""
    groups = list(dict.fromkeys(regex.fullmatch(path.as_posix()).groups()))
    return [group for group in groups if not any(group in other for other in groups if other != group)]


def _by_name(named: Iterable[tuple[str, Path]], role: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for name, path in named:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(f"{path}: {name!r} cannot name a case; use letters, digits, '.', '_' and '-'")
        if name in files:
            raise UserError(f"case {name}: two files for {role}, {files[name]} and {path}; remove or rename one")
        files[name] = path
    return files


def _pair(files: dict[str, dict[str, Path]], *, label_optional: bool = False) -> list[Case]:
    """One case for each name, sorted; a role that is missing somewhere is refused."""
    for name in sorted(set().union(*files.values())):
        missing = [role for role in files if name not in files[role] and not (role == "label" and label_optional)]
        if missing:
            raise UserError(f"case {name}: no file for {' and '.join(missing)}; add it or remove the case")
    labels = files.get("label", {})
    return [Case(name, files["adc"][name], files["dwi"][name], labels.get(name)) for name in sorted(files["adc"])]
