"""Commands that are installed beside this Python."""

import shutil
import sysconfig

from nnunetv2_sizepenalty.errors import UserError


def installed_script(name: str) -> str:
    """The path of one of nnU-Net's commands or ours.

    Raises:
        UserError: it isn't installed beside this Python.
    """
    script = shutil.which(name, path=sysconfig.get_path("scripts"))
    if script is None:
        raise UserError(f"{name} is not installed beside this Python: pip install nnunetv2")
    return script
