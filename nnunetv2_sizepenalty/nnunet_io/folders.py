"""nnU-Net's three folders, as its environment variables name them."""

import os
from pathlib import Path

RAW, PREPROCESSED, RESULTS = VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


def nnunet_folder(variable: str) -> Path | None:
    """Returns the folder that a variable names, or None."""
    return Path(os.environ[variable]) if os.environ.get(variable) else None
