"""The floor plan, the glossary and the recipes name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page):
    named = set(re.findall(r"`((?:[\w.]+/)+[\w.]+)`", (ROOT / page).read_text(encoding="utf-8")))
    assert len(named) > 5
    missing = [
        path for path in named if not any((ROOT / start / path).exists() for start in (".", "nnunetv2_sizepenalty"))
    ]
    assert not missing
