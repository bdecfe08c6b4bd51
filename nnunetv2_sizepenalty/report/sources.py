"""Reads a case's masks and image for the viewer: the masks as they were scored."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.masks import ENDINGS, Grid, MaskReader, mask_reader
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.evaluation.summary import Summary
from nnunetv2_sizepenalty.nnunet_io.classes import Label
from nnunetv2_sizepenalty.nnunet_io.dataset import mismatch_channels
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json
from nnunetv2_sizepenalty.report.scans import Scan, make_scan


def filter_of(summary: Summary) -> Protocol:
    """The part of an evaluation's protocol that decides which components are in its masks."""
    names = ("connectivity", "min_voxels", "min_mm3", "filter_reference", "dilation", "dilate_prediction")
    return Protocol(**{name: summary.settings[name] for name in names if name in summary.settings})


@dataclass(frozen=True)
class Sources:
    """The folders of one evaluation."""

    summary: Summary
    reference_folder: Path
    prediction_folder: Path
    images_folder: Path | None = None

    @cached_property
    def _references(self) -> tuple[MaskReader, dict[str, Path]]:
        return mask_reader(self.reference_folder)

    @cached_property
    def _predictions(self) -> tuple[MaskReader, dict[str, Path]]:
        return mask_reader(self.prediction_folder)

    @cached_property
    def _channel(self) -> str:
        try:
            channels = mismatch_channels(read_json(self.images_folder.parent / DATASET_JSON))
            return f"_{channels['dwi']:04d}"
        except (UserError, AttributeError, KeyError, TypeError, ValueError):
            return "_0000"

    def masks(self, case: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Grid]:
        """Reference and prediction of each label (z, y, x), one z where the case is a slice, and the file's grid.

        Raises:
            UserError: a file is missing or can't be read.
        """
        reader, paths = self._references
        if case not in paths:
            raise UserError(f"{self.reference_folder}: no mask of {case}; name the folder that was evaluated")
        reference, grid = reader.read(paths[case])
        reader, paths = self._predictions
        # A prediction that was missing was scored as empty.
        prediction = reader.read(paths[case])[0] if case in paths else np.zeros_like(reference)
        if prediction.shape != reference.shape:
            raise UserError(f"{paths[case]}: {prediction.shape} instead of {reference.shape}; it was changed since")
        ignored = np.isin(reference, self.summary.ignore)
        reference, prediction = np.where(ignored, 0, reference), np.where(ignored, 0, prediction)
        labels = [Label(name, entry.values) for name, entry in self.summary.labels.items()]

        def scored(array: np.ndarray, is_reference: bool) -> dict[str, np.ndarray]:
            rules = filter_of(self.summary)
            instances = {
                label.name: find_instances(label.mask(array), grid.spacing_mm, rules, is_reference=is_reference)
                for label in labels
            }
            return {name: (found.labels != 0).reshape(_three_axes(array.shape)) for name, found in instances.items()}

        return scored(reference, True), scored(prediction, False), grid

    def image(self, case: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """One channel (z, y, x), all three (3, z, y, x) of a colour photograph; None without a folder of images.

        The channel is the first, or DWI where a dataset.json beside the folder says which one that is.

        Raises:
            UserError: the image is missing, can't be read, or has another shape than the masks.
        """
        if self.images_folder is None:
            return None
        candidates = [
            self.images_folder / f"{case}{channel}{ending}" for channel in (self._channel, "") for ending in ENDINGS
        ]
        path = next((p for p in candidates if p.is_file()), None)
        if path is None:
            wanted = f"{case}{self._channel}.nii.gz or the like"
            raise UserError(f"{self.images_folder}: no image of {case} ({wanted}); mend --images")
        image = _read_image(path)
        if image.shape[1:] != _three_axes(shape):
            raise UserError(f"{path}: {image.shape[1:]} instead of the masks' {_three_axes(shape)}; mend --images")
        return image[:3] if len(image) in (3, 4) else image[0]

    def scan(self, case: str) -> Scan:
        """The case as the viewer draws it."""
        reference, prediction, grid = self.masks(case)
        return make_scan(reference, prediction, self.image(case, grid.shape), grid.affine)


def _three_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 3 else (1, *shape)


def _read_image(path: Path) -> np.ndarray:
    """All channels of one file (channels, z, y, x) through nnU-Net's reader."""
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending

    ending = next(e for e in ENDINGS if path.name.endswith(e))
    try:
        reader = determine_reader_writer_from_file_ending(ending, allow_nonmatching_filename=True, verbose=False)
        return reader().read_images((str(path),))[0]
    except Exception as error:  # readers raise whatever their libraries do
        raise UserError(f"{path}: cannot be read ({error}); replace the file") from None
