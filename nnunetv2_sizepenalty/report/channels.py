"""Which images there are of a case, what each is called, and which is shown first."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.masks import ENDINGS
from nnunetv2_sizepenalty.nnunet_io.dataset import channel_names
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json

DWI = "dwi"


@dataclass(frozen=True)
class ChannelNames:
    """Number of a channel -> its name, as far as a dataset.json says."""

    names: dict[int, str]

    def of(self, number: int) -> str:
        """The channel's name, "channel 1" where nothing says it."""
        return self.names.get(number, f"channel {number}")

    def in_order(self, numbers: Iterable[int], first: str | None = None) -> list[int]:
        """The numbers as they are offered: `first` (a name or number) or DWI in front, the others ascending.

        Raises:
            UserError: none of them is `first`.
        """
        numbers = sorted(numbers)
        wanted = (first or DWI).casefold()
        front = [n for n in numbers if self.of(n).casefold() == wanted or (wanted.isdigit() and n == int(wanted))]
        if first is not None and not front:
            there = ", ".join(f"{n} ({self.of(n)})" for n in numbers)
            raise UserError(f"--channel {first}: no such channel among {there}")
        return front[:1] + [n for n in numbers if n not in front[:1]]


def read_channel_names(images_folder: Path) -> ChannelNames:
    """The names in the dataset.json of a folder of images (`convert images` writes one), else in the one beside it."""
    for folder in (images_folder, images_folder.absolute().parent):
        try:
            return ChannelNames(channel_names(read_json(folder / DATASET_JSON)))
        except (UserError, AttributeError, KeyError, TypeError, ValueError):
            continue  # somebody else's file, or none
    return ChannelNames({})


def find_images(images_folder: Path) -> dict[str, dict[int, Path]]:
    """Case -> channel -> file, as nnU-Net names them (`CASE_0000.ENDING`); a name without a number is channel 0."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(images_folder.iterdir()) if images_folder.is_dir() else ():
        ending = next((e for e in ENDINGS if path.name.lower().endswith(e)), None)
        if ending is None or path.name.startswith("."):
            continue
        name = path.name[: -len(ending)]
        numbered = re.fullmatch(r"(.+)_(\d{4})", name, re.DOTALL)
        if numbered:
            found.setdefault(numbered[1], {})[int(numbered[2])] = path
        found.setdefault(name, {}).setdefault(0, path)
    return found


def check_images(images_folder: Path, cases: Sequence[str], channel: str | None = None) -> None:
    """Looks, without reading an image, whether there is one of each case that shows `channel`.

    Raises:
        UserError: there is no such folder, no image of a case, or no such channel.
    """
    if not images_folder.is_dir():
        raise UserError(f"--images {images_folder}: no such folder; name the one that holds CASE_0000.ENDING")
    found, names = find_images(images_folder), read_channel_names(images_folder)
    absent = [case for case in cases if case not in found]
    if absent:
        raise UserError(
            f"--images {images_folder}: no image of {len(absent)} of {len(cases)} cases, such as {absent[0]} "
            f"({absent[0]}_0000.nii.gz or the like); name their folder, or leave --images out"
        )
    for case in cases:
        names.in_order(found[case], channel)
