"""The scans that a page carries, as its viewer reads them."""

from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE
from nnunetv2_sizepenalty.report.scans import BOTH, PREDICTION_ALONE, REFERENCE_ALONE, Scan, nifti_base64
from nnunetv2_sizepenalty.report.slices import image_url, overlay_url, shown_slices


def embed_scan(scan: Scan, case: str, why: str) -> dict[str, Any]:
    """Volumes for NiiVue (none for a 2D case) and pictures of the slices that hold lesions, as base64."""
    z = shown_slices(scan)
    flat = scan.shape[2] == 1
    # NiiVue draws overlays on something only: masks alone stand on plain grey.
    image = np.full(scan.shape, 28, np.uint8) if scan.image is None else scan.image
    return {
        "case": case,
        "why": why,
        "flat": flat,
        "shape": list(scan.shape),
        "spacing_mm": [round(float(s), 4) for s in scan.spacing_mm],
        "shrink": max(scan.shrink),
        "image": None if flat else nifti_base64(image, scan.affine),
        "masks": {} if flat else {label: nifti_base64(codes, scan.affine) for label, codes in scan.codes.items()},
        "slices": {
            "z": z,
            "images": None if scan.image is None else [image_url(scan, at) for at in z],
            "masks": {label: [overlay_url(scan, label, at) for at in z] for label in scan.codes},
        },
    }


def locate_lesions(lesions: pd.DataFrame, scans: dict[str, Scan], label: str) -> list[list[int] | None]:
    """The voxel of each lesion in its scan, None for a case that the page does not carry."""
    reference, prediction = (REFERENCE_ALONE, BOTH), (PREDICTION_ALONE, BOTH)
    return [
        scans[row.case].locate(row.z, row.y, row.x, label, reference if row.kind == REFERENCE else prediction)
        if row.case in scans
        else None
        for row in lesions.itertuples()
    ]
