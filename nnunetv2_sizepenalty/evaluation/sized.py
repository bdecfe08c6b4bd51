"""Records whose file names a size by its unit: `reference_ml`, or `reference_px` where the images have no spacing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from nnunetv2_sizepenalty.lesions import ML, PX, SizeUnit


def size_field(stem: str) -> Any:
    """Declares a field of a `SizedRecord` that the file calls `stem` and its unit."""
    return field(metadata={"stem": stem})


@dataclass(frozen=True)
class SizedRecord:
    """A record with sizes in `unit`, which the file tells by the names of its `size_field`s."""

    unit: SizeUnit = field(default=ML, kw_only=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(cls._from_file, handler(source))

    @classmethod
    def _from_file(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        named = dict(content)
        for one in fields(cls):
            for unit in (ML, PX):
                key = unit.column(one.metadata["stem"]) if "stem" in one.metadata else None
                if key in named:
                    named |= {one.name: named.pop(key), "unit": unit}
        return named


def as_tree(content: Any) -> Any:
    """Makes dicts and lists of dataclasses, as a file holds them, sizes named by their unit.

    >>> @dataclass(frozen=True)
    ... class Lesion(SizedRecord):
    ...     size: float = size_field("volume")
    >>> as_tree([Lesion(0.5), Lesion(12, unit=PX)])
    [{'volume_ml': 0.5}, {'volume_px': 12}]
    """
    if is_dataclass(content):
        names = {
            one.name: content.unit.column(one.metadata["stem"]) if "stem" in one.metadata else one.name
            for one in fields(content)
            if not (isinstance(content, SizedRecord) and one.name == "unit")
        }
        return {key: as_tree(getattr(content, name)) for name, key in names.items()}
    if isinstance(content, Mapping):
        return {key: as_tree(value) for key, value in content.items()}
    return [as_tree(value) for value in content] if isinstance(content, list | tuple) else content
