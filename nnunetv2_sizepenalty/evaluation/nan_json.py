"""JSON in which `null` stands for NaN, which standard JSON lacks, as text and as typed records."""

import json
import math
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from nnunetv2_sizepenalty.evaluation.sized import as_tree

Record = TypeVar("Record")

# A field of a record whose `null` is NaN.
Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


def to_json(content: Any) -> str:
    """Writes a dataclass or tree of dicts and lists as standard JSON, NaN as null; an infinity is a ValueError.

    >>> print(to_json({"dice": math.nan}), end="")
    {
     "dice": null
    }
    """
    return json.dumps(_replace(as_tree(content), math.nan, None), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """Reads what `to_json` wrote as dicts and lists; every null becomes NaN.

    >>> from_json('{"dice": null}')
    {'dice': nan}
    """
    return _replace(json.loads(text), None, math.nan)


def read_record(kind: type[Record], content: Any) -> Record:
    """Makes a dataclass of the dicts and lists that it was written as, its fields' types checked.

    Raises:
        ValueError: a field is missing or of another type; the line names the first.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _replace(tree: Any, old: Any, new: Any) -> Any:
    """`tree` with every NaN (old = nan) or None (old = None) leaf replaced."""
    if isinstance(tree, dict):
        return {key: _replace(value, old, new) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_replace(value, old, new) for value in tree]
    is_old = tree is None if old is None else isinstance(tree, float) and math.isnan(tree)
    return new if is_old else tree
