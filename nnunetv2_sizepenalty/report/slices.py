"""Slices of a scan as pictures: colour photographs in the viewer, and the figures of `compare`."""

import base64
import io

import numpy as np
from PIL import Image

from nnunetv2_sizepenalty.pages.theme import MASK_COLOURS
from nnunetv2_sizepenalty.report.scans import Scan


def on_screen(plane: np.ndarray) -> np.ndarray:
    """An axial plane (x, y) in RAS+ as rows of a picture: front on top, the patient's right on the left."""
    return np.swapaxes(plane, 0, 1)[::-1, ::-1]


def shown_slices(scan: Scan) -> list[int]:
    """The z that hold a lesion or lie beside one that does; the middle one where none does."""
    holds = np.any([codes.any(axis=(0, 1)) for codes in scan.codes.values()], axis=0)
    shown = holds.copy()
    shown[1:] |= holds[:-1]
    shown[:-1] |= holds[1:]
    return np.flatnonzero(shown).tolist() or [scan.shape[2] // 2]


def _data_url(picture: Image.Image, kind: str, **options) -> str:
    """A picture as a data URL."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def image_url(scan: Scan, z: int) -> str | None:
    """The image's slice, None where there is no image."""
    if scan.image is None:
        return None
    return picture_url(scan.image[:, :, z])


def picture_url(plane: np.ndarray) -> str:
    """An axial plane of bytes (x, y) as PNG, of colours (x, y, 3) as JPEG."""
    picture = Image.fromarray(np.ascontiguousarray(on_screen(plane)))
    return _data_url(picture, "PNG", optimize=True) if picture.mode == "L" else _data_url(picture, "JPEG", quality=88)


def overlay_url(scan: Scan, label: str, z: int) -> str:
    """The label's masks on slice z as a PNG, transparent where there is none."""
    picture = Image.fromarray(np.ascontiguousarray(on_screen(scan.codes[label][:, :, z])), mode="P")
    picture.putpalette([0, 0, 0] + [value for code in sorted(MASK_COLOURS) for value in MASK_COLOURS[code]])
    return _data_url(picture, "PNG", optimize=True, transparency=b"\x00\xff\xff\xff")
