"""The documentation names every column and protocol that there is."""

import argparse
import re
from pathlib import Path

import pytest

from nnunetv2_sizepenalty.cli.evaluate import add_arguments
from nnunetv2_sizepenalty.evaluation.challenge_columns import COLUMNS
from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS

DOCS = Path(__file__).parents[2] / "docs"
APPENDED = {name for columns in COLUMNS.values() for name in columns.names}


@pytest.mark.parametrize(("page", "names"), [("evaluation.md", METRICS), ("protocols.md", (*PROTOCOLS, *APPENDED))])
def test_every_name_is_documented(page, names):
    named = set(re.findall(r"`([\w-]+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert set(names) <= named


def test_help_names_every_protocol():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    help_of_protocol = next(action.help for action in parser._actions if "--protocol" in action.option_strings)
    assert set(PROTOCOLS) <= set(re.findall(r"[\w-]+", help_of_protocol))
