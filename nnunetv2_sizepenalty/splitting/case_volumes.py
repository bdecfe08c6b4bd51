"""The lesion volume of a dataset's cases, by which folds are balanced."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import ML, SizeUnit, Spacing, size_of, size_unit
from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset
from nnunetv2_sizepenalty.nnunet_io.image_reader import find_reader
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of
from nnunetv2_sizepenalty.parallel import map_cases


def case_sizes(dataset: Dataset, cases: Sequence[str], *, processes: int = 1) -> tuple[dict[str, float], SizeUnit]:
    """Measures the foreground of any label, read with nnU-Net's reader for this dataset.

    Returns:
        Case -> its size, and the unit of the sizes: mL, or pixels where the files have no spacing.

    Raises:
        UserError: a label file is missing.
    """
    missing = next((case for case in cases if not dataset.labels[case].is_file()), None)
    if missing:
        raise UserError(f"case {missing}: {dataset.labels[missing]} does not exist")
    if not cases:
        return {}, ML
    reader = find_reader(dataset.settings, dataset.labels[cases[0]])
    work = partial(_count, reader=reader, ignore_label=read_labels(dataset.settings).ignore)
    paths = [str(dataset.labels[case]) for case in cases]
    counted = map_cases(work, paths, processes=processes, description="Lesion volumes")
    sizes = {case: size_of(voxels, spacing) for case, (voxels, spacing) in zip(cases, counted, strict=True)}
    return sizes, size_unit(counted[0][1])


def _count(path: str, reader: type, ignore_label: int | None) -> tuple[int, Spacing]:
    labels, properties = reader().read_seg(path)
    return int(np.count_nonzero((labels > 0) & (labels != ignore_label))), spacing_of(properties)
