"""The matrix: what is trained, on what, and how it is scored; read from YAML or from options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS
from nnunetv2_sizepenalty.lesions import ML
from nnunetv2_sizepenalty.nnunet_io.file_names import NNUNET_PLANS
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP
from nnunetv2_sizepenalty.operating_point.grid import THESIS_MIN_VOXELS, THESIS_THRESHOLDS


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | dict) else value


def _as_name(value: Any) -> Any:
    """Dataset ids may be written as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_row(value: Any) -> Any:
    return {"trainer": value} if isinstance(value, str) else value


def _unique(values: list) -> list:
    if repeated := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ValueError(f"{repeated[0]} is listed twice")
    return values


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"), BeforeValidator(_as_name)]
Names = Annotated[list[Name], Field(min_length=1), BeforeValidator(_as_list)]
Number = Annotated[int, Field(ge=0, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]
Edges = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


class TrainerRow(BaseModel):
    """One trainer; with `datasets` or `plans` it is trained on these instead of the matrix's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trainer: Name
    datasets: Names | None = None
    plans: Names | None = None


class Matrix(BaseModel):
    """A matrix file's content; docs/ablation.md explains each key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datasets: Names
    trainers: Annotated[
        list[Annotated[TrainerRow, BeforeValidator(_as_row)]], Field(min_length=1), BeforeValidator(_as_list)
    ]
    configuration: Name = "3d_fullres"
    plans: Names = [NNUNET_PLANS]
    folds: Annotated[list[Number], Field(min_length=1), BeforeValidator(_as_list)] = [0, 1, 2, 3, 4]
    seeds: Annotated[list[Number], Field(min_length=1), BeforeValidator(_as_list)] | None = None
    device: Literal["cuda", "cpu", "mps"] = "cuda"
    step_size: Annotated[float, Field(gt=0, le=1)] = VALIDATION_STEP
    thresholds: Annotated[list[Share], Field(min_length=1)] | Literal["dense", "data"] = [*THESIS_THRESHOLDS]
    min_voxels: Annotated[
        list[Annotated[float, Field(ge=0)]], Field(min_length=1), BeforeValidator(_as_list)
    ] = [THESIS_MIN_VOXELS]  # fmt: skip
    objective: str = "dice"
    protocol: str = "default"
    bins_ml: Edges = list(ML.edges)
    bins_px: Edges | None = None

    @field_validator("trainers", "datasets", "plans", "folds", "seeds")
    @classmethod
    def _listed_once(cls, values: list | None) -> list | None:
        return None if values is None else _unique(values)

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(f"unknown; there are {', '.join(PROTOCOLS)}")
        return name

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, text: str) -> str:
        from nnunetv2_sizepenalty.operating_point import Objective

        try:
            Objective.parse(text)
        except UserError as error:
            raise ValueError(str(error)) from None
        return text


class _Loader(yaml.SafeLoader):
    """A key that is written twice is an error: YAML's last one would silently win."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise yaml.constructor.ConstructorError(None, None, f"key {repeated[0]} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_matrix(path: Path) -> Matrix:
    """Reads the matrix of a YAML file.

    Raises:
        UserError: one line that names the file, the key and what would be right.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no keys: it needs datasets and trainers at least")
    return make_matrix(content, str(path))


def make_matrix(content: Mapping[str, Any], source: str) -> Matrix:
    """Makes the matrix of these keys; UserError as `read_matrix`, with `source` for the file."""
    try:
        return Matrix(**{str(key): value for key, value in content.items()})
    except ValidationError as error:
        raise UserError(f"{source}: {_first_line(error)}") from None


def _first_line(error: ValidationError) -> str:
    """Says what is wrong with the first bad key, and how many other keys are bad."""
    found: dict[str, dict] = {}
    for entry in error.errors():
        # a part such as list[float] names an alternative of the key's type, no part of the file
        found.setdefault(".".join(str(part) for part in entry["loc"] if "[" not in str(part)), entry)
    (key, first), *others = found.items()
    if first["type"] == "extra_forbidden":
        known = TrainerRow.model_fields if len(first["loc"]) > 1 else Matrix.model_fields
        text = f"unknown key {key}; there are {', '.join(known)}"
    elif first["type"] == "missing":
        text = f"key {key} is missing"
    else:
        reason = first["msg"].removeprefix("Value error, ")
        text = f"{key}: {reason[0].lower() + reason[1:]}, got {first['input']!r}"
    return text + (f" (and {len(others)} more)" if others else "")
