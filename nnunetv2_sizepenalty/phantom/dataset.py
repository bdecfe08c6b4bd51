"""Writes phantom cases as files in ISLES 2022's BIDS layout, with the truth beside them."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.parallel import map_cases
from nnunetv2_sizepenalty.phantom.anatomy import AnalyticAnatomy
from nnunetv2_sizepenalty.phantom.case import PhantomCase, generate_case
from nnunetv2_sizepenalty.phantom.findings import FindingTruth
from nnunetv2_sizepenalty.phantom.grid import SamplingGrid
from nnunetv2_sizepenalty.phantom.lesion_masks import MaskFolder
from nnunetv2_sizepenalty.phantom.mask_lesions import MaskLesions
from nnunetv2_sizepenalty.phantom.mni import MniAnatomy
from nnunetv2_sizepenalty.phantom.parameters import DEFAULTS

ANATOMIES = {"analytic": AnalyticAnatomy, "mni": MniAnatomy}

LESION_COLUMNS = (
    "case",
    "kind",
    "volume_ml",
    "labelled_ml",
    "x_mm",
    "y_mm",
    "z_mm",
    "adc_factor",
    "dwi_factor",
    "age",
)


def case_name(index: int) -> str:
    """ISLES's name of case `index`, sub-strokecase0007."""
    return f"sub-strokecase{index:04d}"


def case_files(name: str) -> dict[str, str]:
    """Paths of one case's images by role (adc, dwi, msk), relative to the dataset's folder."""
    return {
        role: f"{folder}/{name}/ses-0001/{name}_ses-0001_{role}.nii.gz"
        for role, folder in (("adc", "rawdata"), ("dwi", "rawdata"), ("msk", "derivatives"))
    }


def write_dataset(
    folder: str | Path,
    cases: int,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    anatomy: str = "analytic",
    lesion_masks: str | Path | None = None,
    first_case: int = 1,
    processes: int = 1,
    overwrite: bool = False,
) -> None:
    """Writes cases `first_case` to `first_case + cases - 1` of the series `seed` into a new folder.

    `phantom.json` says what the folder was made of, `lesions.csv` holds a row for each lesion and distractor. The same
    arguments give the same bytes, whatever the number of processes. Shape, spacing and errors as in `generate_case`.

    Args:
        anatomy: one of `ANATOMIES`.
        lesion_masks: a folder of real masks as `MaskFolder` reads it; lesions are the analytic source's when None.

    Raises:
        UserError: no masks in `lesion_masks`, or one that can't be used.
        FileExistsError: `folder` holds something, and `overwrite` is off or it's no phantom; nothing was written.
    """
    # What is replaced is deleted, so a mistyped folder must not be.
    overwrite = overwrite and (Path(folder) / "phantom.json").is_file()
    grid = SamplingGrid.centred(shape, spacing_mm)
    masks = None if lesion_masks is None else MaskFolder.open(lesion_masks)
    indices = range(first_case, first_case + cases)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        series = _Series(temporary, seed, grid, anatomy, masks)
        records = map_cases(series.write_case, indices, processes=processes, description="phantom")
        lesions = pd.DataFrame([row for r in records for row in r.pop("findings")], columns=list(LESION_COLUMNS))
        lesions.to_csv(temporary / "lesions.csv", index=False, float_format="%.5g", lineterminator="\n")
        about = {
            "generator": f"nnunetv2_sizepenalty {__version__}",
            "seed": seed,
            "anatomy": anatomy,
            "lesions": "ellipsoids" if masks is None else f"{len(masks.names)} masks",
            "shape_zyx": grid.shape,
            "spacing_mm_zyx": grid.spacing_mm,
            "adc_unit": "1e-3 mm^2/s",
            "b_value_s_mm2": 1000,
            "cases": records,
        }
        (temporary / "phantom.json").write_text(json.dumps(about, indent=2) + "\n")


@dataclass(frozen=True)
class _Series:
    """What all cases of a folder share; travels to the processes that write them."""

    folder: Path
    seed: int
    grid: SamplingGrid
    anatomy: str
    masks: MaskFolder | None

    def write_case(self, index: int) -> dict:
        """Writes one case's images; returns what phantom.json and lesions.csv say of it."""
        lesions = self.masks and MaskLesions.of_case(self.masks, self.seed, index, DEFAULTS.masks)
        anatomy = ANATOMIES[self.anatomy]()
        case = generate_case(self.seed, index, self.grid.shape, self.grid.spacing_mm, anatomy=anatomy, lesions=lesions)
        name = case_name(index)
        for role, path in case_files(name).items():
            array = {"adc": case.adc, "dwi": case.dwi, "msk": case.mask}[role]
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(_nifti_bytes(array, case.affine))
        record = {
            "case": name,
            "index": index,
            "age": case.age,
            "lesions": len(case.lesions),
            "lesion_ml": round(sum(f.labelled_ml for f in case.lesions), 5),
            "distractors": len(case.findings) - len(case.lesions),
            "findings": [_row(name, case, finding) for finding in case.findings],
        }
        return record if lesions is None else record | {"masks": lesions.names}


def _row(name: str, case: PhantomCase, finding: FindingTruth) -> tuple:
    age = case.age if finding.kind == "lesion" else ""
    factors = (finding.adc_factor, finding.dwi_factor, age)
    return (name, finding.kind, finding.volume_ml, finding.labelled_ml, *finding.centre_mm, *factors)


def _nifti_bytes(array: np.ndarray, affine: np.ndarray) -> bytes:
    """A .nii.gz file of a (z, y, x) array; no time stamp, so the same array gives the same bytes."""
    image = nib.Nifti1Image(array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    return gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)
