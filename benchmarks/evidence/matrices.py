"""The matrix beside a script, at the length of one of its sizes."""

import re
from collections.abc import Mapping

from experiment import Size

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.trainers.names import parse


def with_epochs(trainer: str, epochs: int) -> str:
    """A trainer's name with another length; nnU-Net's own calls one epoch `_1epoch`."""
    text = "_1epoch" if epochs == 1 and parse(trainer) is None else f"_{epochs}epochs"
    renamed, found = re.subn(r"_\d+epochs?(?=_|$)", text, trainer)
    if found != 1:
        raise UserError(f"trainers: {trainer} names no length, such as _20epochs")
    return renamed


def resized(matrix: Mapping, size: Size) -> dict:
    """The matrix of another size."""
    rows = [dict(row) if isinstance(row, dict) else {"trainer": row} for row in matrix["trainers"]][: size.models]
    if size.epochs is not None:
        rows = [row | {"trainer": with_epochs(row["trainer"], size.epochs)} for row in rows]
    return {**matrix, "trainers": rows, "seeds": matrix["seeds"][: size.repeats], "device": size.device}


def one_run(matrix: Mapping, trainer: str, repeat: str) -> dict:
    """The matrix cut to one trainer and repeat; its plans stay."""
    rows = [row for row in matrix["trainers"] if row["trainer"] == trainer]
    if not rows:
        raise UserError(
            f"--reproduce: no {trainer}; there are {', '.join(row['trainer'] for row in matrix['trainers'])}"
        )
    seeds = [seed for seed in matrix["seeds"] if str(seed) == repeat]
    if not seeds:
        raise UserError(f"--reproduce: no repeat {repeat}; there are {', '.join(map(str, matrix['seeds']))}")
    return {**matrix, "trainers": rows, "seeds": seeds}
