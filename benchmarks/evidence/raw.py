"""Raw data sets from archives, whole or their first cases."""

import json
import zipfile
from pathlib import Path

from experiment import FOLDERS, Place

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError


def unpack(archive: Path, place: Place, cases: int | None, *, dataset: str) -> None:
    """An archive that holds the nnU-Net dataset as it is."""
    if not archive.is_file():
        raise UserError(f"{archive}: no such file; name the archive that benchmarks/evidence/README.md tells of")
    raw = place.folder / FOLDERS[0]
    with atomic_folder(raw / dataset, overwrite=True) as new:
        with zipfile.ZipFile(archive) as file:
            file.extractall(new)
        for path in (new / dataset).iterdir():
            path.rename(new / path.name)
        (new / dataset).rmdir()
        keep_cases(new, cases)


def keep_cases(raw: Path, cases: int | None) -> None:
    """Removes all but the first cases of a raw data set."""
    if cases is None:
        return
    settings = json.loads((raw / "dataset.json").read_text())
    ending = settings["file_ending"]
    names = sorted(path.name.removesuffix(ending) for path in (raw / "labelsTr").glob(f"*{ending}"))
    for name in names[cases:]:
        (raw / "labelsTr" / f"{name}{ending}").unlink(missing_ok=True)
        for path in (raw / "imagesTr").glob(f"{name}_????{ending}"):
            path.unlink()
    settings["numTraining"] = min(cases, len(names))
    (raw / "dataset.json").write_text(json.dumps(settings, indent=1))
