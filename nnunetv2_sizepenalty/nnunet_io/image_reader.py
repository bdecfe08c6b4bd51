"""nnU-Net's reader of a data set's files, for those too who import without nnU-Net."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.errors import UserError


def find_reader(dataset_json: Mapping[str, Any], example: Path | None = None) -> type:
    """Finds nnU-Net's reader class: the one that dataset.json names, else the first for its ending.

    Args:
        dataset_json: `file_ending`, and `overwrite_image_reader_writer` where one is named.
        example: a file that the reader has to read; None takes the first without a trial.

    Raises:
        UserError: no reader is for that ending, or reads the example.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    # nnU-Net tries its readers in turn and prints each failure.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            file = None if example is None else str(example)
            return determine_reader_writer_from_dataset_json(dict(dataset_json), file, verbose=False)
        except RuntimeError:
            what = f"file_ending {dataset_json['file_ending']}" if example is None else str(example)
            raise UserError(f"{what}: none of nnU-Net's readers reads it; convert the files to .nii.gz") from None
