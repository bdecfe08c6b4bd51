"""IDRiD's fundus photographs (Porwal et al. 2018, CC BY 4.0) as a 2D nnU-Net dataset with one label per kind of lesion.

    python benchmarks/idrid.py train_quarter.zip -o nnUNet_raw/Dataset054_IDRiD

The archive holds `images/CASE.jpg` and `masks/KIND/CASE.png`. Where masks overlap, the kind that is named first wins.
"""

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nnunetv2_sizepenalty.atomic import atomic_folder

KINDS = {"MA": "microaneurysm", "HE": "haemorrhage", "EX": "hard exudate", "SE": "soft exudate"}


def label_map(folder: Path, case: str, kinds: Sequence[str]) -> np.ndarray:
    """1 for the first of `kinds`, 2 for the second, ..., uint8 (y, x)."""
    labels = None
    for value, kind in reversed(list(enumerate(kinds, start=1))):
        mask = np.asarray(Image.open(folder / "masks" / kind / f"{case}.png")) > 0
        labels = np.zeros(mask.shape, np.uint8) if labels is None else labels
        labels[mask] = value
    return labels


def write_dataset(source: Path, output: Path, kinds: Sequence[str], *, overwrite: bool) -> int:
    """Writes the dataset, whole or not at all; returns the number of cases."""
    cases = sorted(path.stem for path in (source / "images").glob("*.jpg"))
    with atomic_folder(output, overwrite=overwrite) as folder:
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir()
        for case in cases:
            image = Image.open(source / "images" / f"{case}.jpg").convert("L")
            image.save(folder / "imagesTr" / f"{case}_0000.png")
            Image.fromarray(label_map(source, case, kinds)).save(folder / "labelsTr" / f"{case}.png")
        settings = {
            "channel_names": {"0": "green"},
            "labels": {"background": 0, **{KINDS[kind]: value for value, kind in enumerate(kinds, start=1)}},
            "numTraining": len(cases),
            "file_ending": ".png",
        }
        (folder / "dataset.json").write_text(json.dumps(settings, indent=4) + "\n")
    return len(cases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="train_quarter.zip, or the folder that it unpacks to")
    parser.add_argument("-o", dest="output", metavar="FOLDER", type=Path, required=True, help="DatasetXXX_NAME")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="lesions, as labels 1, 2, ...")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as unpacked:
        source = args.source
        if source.is_file():
            zipfile.ZipFile(source).extractall(unpacked)
            source = Path(unpacked)
        try:
            cases = write_dataset(source, args.output, args.kinds, overwrite=args.overwrite)
        except FileExistsError:
            sys.exit(f"{args.output} exists; replace it with --overwrite")
    print(f"{cases} cases in {args.output}")


if __name__ == "__main__":
    main()
