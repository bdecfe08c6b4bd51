"""A table of text, as the pages draw it (templates/macros.html.j2)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """`text` large, `sub` small below it (an interval), `note` on hovering; `words` may break over lines."""

    text: str
    sub: str = ""
    note: str = ""
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table as the templates draw it; the first cell of a row is its heading, a row of one cell heads those below."""

    title: str
    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
