"""Reads a case's masks and images for the viewer: the masks as they were scored."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.instances import Instances, find_instances
from nnunetv2_sizepenalty.evaluation.lesion_ids import lesion_map
from nnunetv2_sizepenalty.evaluation.masks import ENDINGS, Grid, MaskReader, mask_reader
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.evaluation.summary import Summary
from nnunetv2_sizepenalty.nnunet_io.classes import Label
from nnunetv2_sizepenalty.nnunet_io.image_reader import find_reader
from nnunetv2_sizepenalty.report.channels import ChannelNames, find_images, read_channel_names
from nnunetv2_sizepenalty.report.places import Places, find_places
from nnunetv2_sizepenalty.report.scans import Scan, make_scan


def filter_of(summary: Summary) -> Protocol:
    """The part of an evaluation's protocol that decides which components are in its masks."""
    names = ("connectivity", "instances", "min_voxels", "min_mm3", "filter_reference", "dilation", "dilate_prediction")
    return Protocol(**{name: summary.settings[name] for name in names if name in summary.settings})


@dataclass(frozen=True)
class Sources:
    """The folders of one evaluation; `channel`, a name or number, is the one to show first."""

    summary: Summary
    reference_folder: Path
    prediction_folder: Path
    images_folder: Path | None = None
    channel: str | None = None

    @cached_property
    def _references(self) -> tuple[MaskReader, dict[str, Path]]:
        return mask_reader(self.reference_folder)

    @cached_property
    def _predictions(self) -> tuple[MaskReader, dict[str, Path]]:
        return mask_reader(self.prediction_folder)

    @cached_property
    def _names(self) -> ChannelNames:
        return read_channel_names(self.images_folder)

    @cached_property
    def _image_files(self) -> dict[str, dict[int, Path]]:
        return find_images(self.images_folder)

    def instances(self, case: str) -> tuple[dict[str, Instances], dict[str, Instances], Grid]:
        """The lesions of reference and prediction of each label, numbered as in lesions.csv, and the file's grid.

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
        rules = filter_of(self.summary)

        def lesions(array: np.ndarray, is_reference: bool) -> dict[str, Instances]:
            return {
                label.name: find_instances(
                    lesion_map(label, array, rules.instances, is_reference=is_reference),
                    grid.spacing_mm,
                    rules,
                    is_reference=is_reference,
                )
                for label in labels
            }

        return lesions(reference, True), lesions(prediction, False), grid

    def masks(self, case: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Grid]:
        """Reference and prediction of each label (z, y, x), one z where the case is a slice, and the file's grid.

        Raises:
            UserError: a file is missing or can't be read.
        """
        reference, prediction, grid = self.instances(case)
        return _masks(reference), _masks(prediction), grid

    def images(self, case: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Name -> channel (z, y, x), (3, z, y, x) of a colour photograph; empty without a folder of images.

        First stands the channel that was asked for, or DWI where dataset.json names one, or the first.

        Raises:
            UserError: there is no image, no such channel, or an image that can't be read or has another shape than
                the masks.
        """
        if self.images_folder is None:
            return {}
        files = self._image_files.get(case)
        if not files:
            wanted = f"{case}_0000.nii.gz or the like"
            raise UserError(f"{self.images_folder}: no image of {case} ({wanted}); mend --images")
        images = {}
        for number in self._names.in_order(files, self.channel):
            image = _read_image(files[number])
            if image.shape[1:] != _three_axes(shape):
                raise UserError(
                    f"{files[number]}: {image.shape[1:]} instead of the masks' {_three_axes(shape)}; mend --images"
                )
            images[self._names.of(number)] = image[:3] if len(image) in (3, 4) else image[0]
        return images

    def read(self, case: str) -> tuple[Scan, dict[tuple[str, bool], Places]]:
        """The case as the viewer draws it, and where its lesions lie: (label, whether of the reference) -> places."""
        reference, prediction, grid = self.instances(case)
        images = self.images(case, grid.shape)
        scan = make_scan(_masks(reference), _masks(prediction), images, grid.affine)
        sides = ((True, reference), (False, prediction))
        places = {(label, of): find_places(found) for of, side in sides for label, found in side.items()}
        return scan, places


def _masks(instances: dict[str, Instances]) -> dict[str, np.ndarray]:
    return {name: (found.labels != 0).reshape(_three_axes(found.labels.shape)) for name, found in instances.items()}


def _three_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 3 else (1, *shape)


def _read_image(path: Path) -> np.ndarray:
    """All channels of one file (channels, z, y, x) through nnU-Net's reader."""
    ending = next(e for e in ENDINGS if path.name.endswith(e))
    try:
        return find_reader({"file_ending": ending})().read_images((str(path),))[0]
    except Exception as error:  # readers raise whatever their libraries do
        raise UserError(f"{path}: cannot be read ({error}); replace the file") from None
