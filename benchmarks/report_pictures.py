"""The pictures of docs/report.md: phantom cases, a threshold as the model, the commands, a headless Chromium.

python benchmarks/report_pictures.py docs
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage

COMMAND = Path(sysconfig.get_path("scripts")) / "nnUNetv2_sizepenalty"
CASES, SEED = 24, 5
# Two thresholds on DWI, in robust standard deviations above the brain's median; ADC below 0.85 of its median in both.
MODELS = {"plain": 2.0, "eager": 1.6}


def run(root: Path, *arguments: object) -> None:
    """One of our commands, in `root`."""
    subprocess.run([COMMAND, *map(str, arguments)], check=True, cwd=root)


def predict(root: Path) -> None:
    """Two thresholds as models: nobody's, but they miss small lesions as models do."""
    for folder in ("masks", "images", *MODELS):
        (root / folder).mkdir()
    for mask in sorted((root / "phantom" / "derivatives").rglob("*_msk.nii.gz")):
        case = mask.name.removesuffix("_ses-0001_msk.nii.gz")
        adc_file, dwi_file = (
            next((root / "phantom" / "rawdata").rglob(f"{case}*_{role}.nii.gz")) for role in ("adc", "dwi")
        )
        adc, dwi = (sitk.GetArrayFromImage(sitk.ReadImage(path)) for path in (adc_file, dwi_file))
        brain = dwi > 0
        median = np.median(dwi[brain])
        deviation = 1.48 * np.median(np.abs(dwi[brain] - median))
        bright = ndimage.gaussian_filter((dwi - median) / deviation, 0.6)
        low = ndimage.gaussian_filter(adc, 0.6) < 0.85 * np.median(adc[brain])
        for name, threshold in MODELS.items():
            found = (bright > threshold) & low & ndimage.binary_erosion(brain, iterations=2)
            prediction = sitk.GetImageFromArray(found.astype(np.uint8))
            prediction.CopyInformation(sitk.ReadImage(mask))
            sitk.WriteImage(prediction, root / name / f"{case}.nii.gz", useCompression=True)
        shutil.copy(mask, root / "masks" / f"{case}.nii.gz")
        shutil.copy(dwi_file, root / "images" / f"{case}_0000.nii.gz")


def photograph(page_file: Path, picture: Path, *, dark: bool, width: int, height: int) -> None:
    """The first screen of a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=300_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=picture)
        browser.close()
    small = (
        Image.open(picture).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    small.save(picture, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the pictures")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run(root, "phantom", "-o", "phantom", "--cases", CASES, "--seed", SEED)
        predict(root)
        for name in MODELS:
            run(root, "evaluate", "-ref", "masks", "-pred", name, "-o", f"out_{name}",
                "--images", "images", "--min-mm3", 40)  # fmt: skip
        models = [f"{name}=out_{name}" for name in MODELS]
        run(root, "compare", *models, "-o", "comparison", "--images", "images")
        report = root / "out_plain" / "report.html"
        photograph(report, out / "report.png", dark=False, width=1360, height=860)
        photograph(report, out / "report_phone_dark.png", dark=True, width=390, height=860)
        photograph(root / "comparison" / "compare.html", out / "compare.png", dark=False, width=1180, height=760)


if __name__ == "__main__":
    sys.exit(main())
