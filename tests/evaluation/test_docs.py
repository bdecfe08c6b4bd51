"""The documentation names every column and protocol that there is."""

import re
from pathlib import Path

import pytest

from nnunetv2_sizepenalty.evaluation.lesionwise import COLUMNS
from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "names"), [("evaluation.md", METRICS), ("protocols.md", (*PROTOCOLS, *COLUMNS))])
def test_every_name_is_documented(page, names):
    named = set(re.findall(r"`([\w-]+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert set(names) <= named
