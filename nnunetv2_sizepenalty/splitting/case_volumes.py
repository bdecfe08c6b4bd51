"""The lesion volume of a dataset's cases, by which folds are balanced."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import voxels_to_ml
from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset
from nnunetv2_sizepenalty.parallel import map_cases


def case_volumes_ml(dataset: Dataset, cases: Sequence[str], *, processes: int = 1) -> dict[str, float]:
    """Case -> mL of foreground of any label, read with nnU-Net's reader for this dataset.

    Raises:
        UserError: a label file is missing.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    missing = next((case for case in cases if not dataset.labels[case].is_file()), None)
    if missing:
        raise UserError(f"case {missing}: {dataset.labels[missing]} does not exist")
    if not cases:
        return {}
    reader = determine_reader_writer_from_dataset_json(
        dataset.settings, str(dataset.labels[cases[0]]), allow_nonmatching_filename=True, verbose=False
    )
    work = partial(_volume_ml, reader=reader, ignore_label=read_labels(dataset.settings).ignore)
    paths = [str(dataset.labels[case]) for case in cases]
    volumes = map_cases(work, paths, processes=processes, description="Lesion volumes")
    return dict(zip(cases, volumes, strict=True))


def _volume_ml(path: str, reader: type, ignore_label: int | None) -> float:
    labels, properties = reader().read_seg(path)
    return voxels_to_ml(int(np.count_nonzero((labels > 0) & (labels != ignore_label))), properties["spacing"])
