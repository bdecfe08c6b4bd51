"""Small raw nnU-Net datasets, whole ones and with one thing wrong."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

SPACING_MM = (4.0, 2.0, 2.0)
ONE_LABEL = {"background": 0, "lesion": 1}


@dataclass
class MadeDataset:
    """A dataset in nnU-Net's raw folder, to be spoilt file by file.

    Attributes:
        raw: `nnUNet_raw/DatasetXXX_NAME`.
        cases: names.
        ending: .nii.gz, or .png for 2D images.
    """

    raw: Path
    cases: Sequence[str]
    ending: str = ".nii.gz"
    channels: int = 2
    labels: dict = field(default_factory=lambda: dict(ONE_LABEL))

    @property
    def preprocessed(self) -> Path:
        return self.raw.parents[1] / "preprocessed" / self.raw.name

    def image(self, case: str, channel: int = 0) -> Path:
        return self.raw / "imagesTr" / f"{case}_{channel:04d}{self.ending}"

    def label(self, case: str) -> Path:
        return self.raw / "labelsTr" / f"{case}{self.ending}"

    def write_settings(self, **changes) -> None:
        """dataset.json."""
        settings = {
            "channel_names": {str(channel): f"channel {channel}" for channel in range(self.channels)},
            "labels": self.labels,
            "numTraining": len(self.cases),
            "file_ending": self.ending,
        }
        (self.raw / "dataset.json").write_text(json.dumps(settings | changes))

    def write(self, path: Path, array: np.ndarray, spacing_mm=SPACING_MM, **place) -> None:
        """A file of this dataset; `place` is what SimpleITK sets, such as Origin."""
        if self.ending == ".png":
            Image.fromarray(array[0].astype(np.uint8)).save(path)
            return
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing_mm[::-1])
        for what, values in place.items():
            getattr(image, f"Set{what}")(values)
        sitk.WriteImage(image, str(path))

    def read(self, path: Path) -> np.ndarray:
        """The array (z, y, x) of a file."""
        if self.ending == ".png":
            return np.asarray(Image.open(path))[None]
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))

    def write_folds(self, *validations: Sequence[str]) -> None:
        """splits_final.json with these validation parts."""
        self.preprocessed.mkdir(parents=True, exist_ok=True)
        folds = [
            {"train": [case for case in self.cases if case not in part], "val": list(part)} for part in validations
        ]
        (self.preprocessed / "splits_final.json").write_text(json.dumps(folds))

    def write_plans(
        self, name="nnUNetPlans", spacing_mm=SPACING_MM, patch_size=(8, 16, 16), transpose=(0, 1, 2)
    ) -> Path:
        """Plans of one configuration, 3d_fullres or 2d, with what preprocessing needs."""
        self.preprocessed.mkdir(parents=True, exist_ok=True)
        resampling = {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None}
        configuration = {
            "architecture": {},
            "data_identifier": f"{name}_data",
            "spacing": list(spacing_mm),
            "patch_size": list(patch_size),
            "normalization_schemes": ["NoNormalization"] * self.channels,
            "use_mask_for_norm": [False] * self.channels,
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {**resampling, "is_seg": False, "order": 3},
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_seg_kwargs": resampling,
        }
        plans = {
            "dataset_name": self.raw.name,
            "plans_name": name,
            "transpose_forward": list(transpose),
            "transpose_backward": [int(axis) for axis in np.argsort(transpose)],
            "image_reader_writer": "NaturalImage2DIO" if self.ending == ".png" else "SimpleITKIO",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(channel): {} for channel in range(self.channels)},
            "configurations": {"2d" if len(patch_size) == 2 else "3d_fullres": configuration},
        }
        path = self.preprocessed / f"{name}.json"
        path.write_text(json.dumps(plans))
        return path


def lesions(number: int, shape=(8, 24, 24)) -> np.ndarray:
    """Two lesions of 18 and 2 voxels that do not touch, elsewhere in each case; uint8 (z, y, x)."""
    labels = np.zeros(shape, np.uint8)
    z, y = (1 + number % 3, 2 + number) if shape[0] > 1 else (0, 2 + number)
    labels[z : z + 2, y : y + 3, 4:7] = 1
    labels[min(z + 3, shape[0] - 1), y, 14 : 14 + 2] = 1
    return labels


def make_dataset(root: Path, *, flat=False, cases=("a", "b", "c", "d", "e", "f"), **values) -> MadeDataset:
    """Writes a dataset with nothing wrong: random images, two lesions a case.

    Args:
        root: holds the folders raw and preprocessed.
        flat: 2D PNG images with one channel.
    """
    if flat:
        values = {"ending": ".png", "channels": 1} | values
    made = MadeDataset(root / "raw" / "Dataset500_Made", list(cases), **values)
    for part in ("imagesTr", "labelsTr"):
        (made.raw / part).mkdir(parents=True)
    shape = (1, 24, 24) if flat else (8, 24, 24)
    for number, case in enumerate(made.cases):
        generator = np.random.default_rng(number)
        for channel in range(made.channels):
            made.write(made.image(case, channel), generator.integers(1, 255, shape).astype(np.float32))
        made.write(made.label(case), lesions(number, shape))
    made.write_settings()
    return made
