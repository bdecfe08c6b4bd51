"""JSON files that somebody else may have changed."""

import json
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.errors import UserError


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: it can't be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
