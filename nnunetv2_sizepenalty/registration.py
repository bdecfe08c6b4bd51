"""Where nnU-Net finds our trainers: the plugin folder, and the variable that points at it."""

import os
from pathlib import Path

VARIABLE = "nnUNet_extTrainer"
PLUGIN_FOLDER = Path(__file__).resolve().parent / "nnunet_plugin"


def is_registered() -> bool:
    """Whether nnUNet_extTrainer of this process names the plugin folder."""
    folders = os.environ.get(VARIABLE, "").split(os.pathsep)
    return any(folder and Path(folder).resolve() == PLUGIN_FOLDER for folder in folders)


def export_line() -> str:
    """The shell line that registers the trainers where `.pth` files are switched off (such as `python -S`)."""
    if os.name == "nt":
        return f"set {VARIABLE}={PLUGIN_FOLDER}"
    return f'export {VARIABLE}="${{{VARIABLE}:+${VARIABLE}{os.pathsep}}}{PLUGIN_FOLDER}"'
