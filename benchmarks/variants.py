"""Variants of the size penalty under nnU-Net's recipe on the demo's phantom, at the demo's length.

python benchmarks/variants.py FOLDER

Prints the table of docs/variants.md; each cell holds the repeats' values. What is in FOLDER already is not done again:
an interrupted run goes on when it is called anew.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.curves.calibration import count_calibration
from nnunetv2_sizepenalty.demo import commands
from nnunetv2_sizepenalty.demo.run import DATASET, PLANS, Demo
from nnunetv2_sizepenalty.demo.scores import metrics, read_cases

# without S, with it, and its variants
VARIANTS = (
    "DT_nnUNet",
    "DTS_nnUNet",
    "DTS_nnUNet_lambda0p1",
    "DTS_nnUNet_late40",
    "DTS_nnUNet_balanced",
    "DTS_nnUNet_priorbias",
)
LENGTH = "_1epochs"  # 250 steps, as the demo's nnU-Net
SEEDS = (0, 1)
COLUMNS = (
    "trainer",
    "Dice at 0.5",
    "cases predicted empty",
    "lesions missed",
    "average precision",
    "threshold from validation",
    "Dice there",
)
FORMATS = ("{:.3f}", "{:.0f}", "{:.0f}", "{:.3f}", "{:.3g}", "{:.3f}")


def train_and_predict(demo: Demo, trainer: str) -> Path:
    """Fold 0 trained, test cases predicted and cut at the validation's threshold too; returns operating_point.json."""
    model = Path(demo.nnunet["nnUNet_results"]) / DATASET / f"{trainer}__{PLANS}__3d_fullres"
    if not (model / "fold_0" / "validation" / "summary.json").exists():
        demo.train(trainer, "--npz", "--c")
    point = model / "operating_point" / "operating_point.json"
    threshold = ("nnUNetv2_sizepenalty", "threshold", model, "-f", "0", "--thresholds", "dense", "--min-voxels", "0")
    if not point.exists():
        commands.run(threshold, demo.folder / "logs" / f"threshold_{trainer}.log", demo.nnunet)
    predicted, cut = (demo.folder / "predictions" / name for name in (trainer, f"{trainer}_cut"))
    images = len(list((demo.folder / "test_images").glob("*_0000.nii.gz")))
    if len(list(predicted.glob("*.npz"))) < images or len(list(predicted.glob("*.nii.gz"))) < images:
        demo.predict(trainer, trainer, "--save_probabilities")
    if not cut.exists():
        apply = ("nnUNetv2_sizepenalty", "apply", "-i", predicted, "-o", cut, "--operating-point", point, "--fold", "0")
        commands.run(apply, demo.folder / "logs" / f"apply_{trainer}.log", demo.nnunet)
    return point


def score(demo: Demo, trainer: str, point: Path) -> list[float]:
    """The columns' values over the test cases; average precision over those with a lesion."""
    cases = read_cases(demo.folder, [trainer, f"{trainer}_cut"])
    found = [metrics(case, case.predictions[trainer]) for case in cases]
    cut = [metrics(case, case.predictions[f"{trainer}_cut"]) for case in cases]
    precisions = []
    for case in cases:
        (path,) = (demo.folder / "predictions" / trainer).glob(f"{case.name}*.npz")
        probability = np.load(path)["probabilities"][1]
        precisions.append(count_calibration(probability, case.reference, case.spacing_mm).average_precision)
    return [
        np.mean([row["dice"] for row in found]),
        sum(not case.predictions[trainer].any() for case in cases),
        sum(row["missed"] for row in found),
        np.nanmean(precisions),
        json.loads(point.read_text())["classes"]["lesion"]["folds"]["0"]["threshold"],
        np.mean([row["dice"] for row in cut]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    demo = Demo(parser.parse_args().folder.resolve())
    if not (demo.folder / "prepared").exists():
        demo.prepare()
        (demo.folder / "prepared").touch()
    rows = {}
    for seed in SEEDS:
        for variant in VARIANTS:
            trainer = f"nnUNetTrainer{variant}{LENGTH}_seed{seed}"
            rows[variant, seed] = score(demo, trainer, train_and_predict(demo, trainer))
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for variant in VARIANTS:
        repeats = zip(FORMATS, *(rows[variant, seed] for seed in SEEDS), strict=True)
        cells = (" / ".join(map(form.format, values)) for form, *values in repeats)
        print(f"| `{variant}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
