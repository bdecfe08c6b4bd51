"""nnU-Net's raw data sets: dataset.json, and which files belong to a case."""

import json
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.errors import UserError

DATASET_JSON = "dataset.json"


def read_dataset_json(path: str | Path) -> dict[str, Any]:
    """The content of nnU-Net's dataset.json.

    Raises:
        UserError: the file is missing or something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["labels"]["background"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no nnU-Net dataset.json ({error!r}); name one with labels and file_ending") from None
    return content
