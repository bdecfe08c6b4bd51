"""How our figures look, and how they are written."""

from collections.abc import Callable
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "size penalty",
}
# without the hour of writing: the same bytes at every call
_METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save(make: Callable[..., Figure], path: Path, *arguments) -> None:
    """Writes the figure that `make(*arguments)` returns, in the format that the suffix of `path` names."""
    with rc_context(_STYLE):
        make(*arguments).savefig(path, dpi=150, metadata=_METADATA.get(path.suffix.lower()))
