"""Attributes of an object, other ones for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def attributes_set(of: Any, **attributes: Any) -> Iterator[None]:
    """Sets attributes of an object within the block, and puts back what it had."""
    before = dict(vars(of))
    vars(of).update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            if name in before:
                vars(of)[name] = before[name]
            else:
                del vars(of)[name]
