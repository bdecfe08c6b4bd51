"""The scans that a page carries, as its viewer reads them, within a budget."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE
from nnunetv2_sizepenalty.report.scans import Channel, Scan, nifti_base64
from nnunetv2_sizepenalty.report.slices import picture_url
from nnunetv2_sizepenalty.report.sources import Sources

# Characters: a page stays below 10 MB. Its scripts, and what a character of cases.csv and lesions.csv takes in it.
PAGE, SCRIPTS, ROWS = 9_700_000, 3_400_000, 1.75
# of volumes at most, and at least
MOST, LEAST = 5_500_000, 500_000
# Masks alone: NiiVue draws overlays on something only, plain grey.
BLANK = 28


@dataclass
class Embedded:
    """What the page carries.

    Attributes:
        scans: case -> what the viewer reads.
        located: (case, label, whether of the reference) -> voxels of its lesions (n, 3) and their widths in mm.
        left_out: cases that were chosen but are not here; a case's other channels that are not are in its scan.
    """

    scans: dict[str, dict[str, Any]] = field(default_factory=dict)
    located: dict[tuple[str, str, bool], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def without_channels(self) -> int:
        """How many cases have channels that are left out."""
        return sum(bool(scan["left_out"]) for scan in self.scans.values())

    def place_of(self, case: str, label: str, lesion: int, *, is_reference: bool) -> dict[str, Any]:
        """A lesion's voxel in its scan (`at`) and its width in mm, None for a case that the page does not carry."""
        voxels, widths = self.located.get((case, label, is_reference), ((), ()))
        if case not in self.scans or lesion > len(voxels):
            return {"at": None, "wide_mm": None}
        return {"at": voxels[lesion - 1].tolist(), "wide_mm": round(float(widths[lesion - 1]), 2)}


def volume_budget(tables: Iterable[pd.DataFrame]) -> int:
    """Returns how many characters of volumes fit into a page beside the rows of these tables."""
    rows = sum(len(table.to_csv(index=False)) for table in tables)
    return min(MOST, max(LEAST, int(PAGE - SCRIPTS - ROWS * rows)))


def embed_scans(
    sources: Sources, chosen: Mapping[str, str], order: Iterable[str], always: int, budget: int = MOST
) -> Embedded:
    """Reads the chosen cases and keeps what fits: masks and first channel of each, then the other channels.

    Args:
        chosen: case -> why it is shown, as the viewer lists them.
        order: the same cases, most important first.
        always: how many of those are kept whatever they cost.
        budget: characters of volumes in the page.
    """
    embedded, spent, further = Embedded(), 0, {}
    # no bar outside a terminal
    for number, case in enumerate(tqdm(list(order), desc="reading for the report", unit="case", disable=None)):
        if number >= always and spent >= budget:
            embedded.left_out.append(case)
            continue
        scan, places = sources.read(case)
        entry = _entry(scan, case, chosen[case])
        cost = sum(map(len, entry["masks"].values())) + sum(len(c["data"]) for c in entry["channels"])
        if number >= always and spent + cost > budget:
            embedded.left_out.append(case)
            continue
        spent += cost
        embedded.scans[case] = entry
        further[case] = [_channel(*channel, scan.affine) for channel in list(scan.channels.items())[1:]]
        embedded.located |= {(case, *key): scan.place(found) for key, found in places.items()}
    for case, channels in further.items():
        for channel in channels:
            if spent + len(channel["data"]) > budget:
                embedded.scans[case]["left_out"].append(channel["name"])
            else:
                spent += len(channel["data"])
                embedded.scans[case]["channels"].append(channel)
    embedded.scans = {case: embedded.scans[case] for case in chosen if case in embedded.scans}
    return embedded


def _entry(scan: Scan, case: str, why: str) -> dict[str, Any]:
    """Masks and first channel: gzipped NIfTI as base64, JPEG where the image is a colour photograph."""
    blank = Channel(np.full(scan.shape, BLANK, np.uint8), 0, 255, (0, 255))
    first = next(iter(scan.channels.items()), ("", blank))
    return {
        "case": case,
        "why": why,
        "flat": scan.shape[2] == 1,
        "shape": list(scan.shape),
        "spacing_mm": [round(float(s), 4) for s in scan.spacing_mm],
        "shrink": max(scan.shrink),
        "to_file": scan.to_file.round(5).tolist(),
        "file_shape": list(scan.file_shape),
        "slice_axis": int(scan.file_axes[2]),
        "channels": [_channel(*first, scan.affine)],
        "left_out": [],
        "masks": {label: nifti_base64(codes, scan.affine) for label, codes in scan.codes.items()},
    }


def _channel(name: str, channel: Channel, affine: np.ndarray) -> dict[str, Any]:
    colours = channel.values.ndim == 4
    return {
        "name": name,
        "data": picture_url(channel.values[:, :, 0]) if colours else nifti_base64(channel.values, affine),
        "low": float(f"{channel.low:.6g}"),
        "high": float(f"{channel.high:.6g}"),
        "window": list(channel.window),
    }


def locate_lesions(lesions: pd.DataFrame, embedded: Embedded, label: str) -> list[dict[str, Any]]:
    """`Embedded.place_of` of each row of lesions.csv."""
    return [
        embedded.place_of(case, label, number, is_reference=kind == REFERENCE)
        for case, kind, number in zip(lesions["case"], lesions["kind"], lesions["lesion"], strict=True)
    ]
