"""What the page says of predictions far larger than the lesions that they touch."""

import dataclasses

import numpy as np
import pytest
from made_evaluations import empty_label, make_summary

from nnunetv2_sizepenalty.evaluation import PROTOCOLS
from nnunetv2_sizepenalty.evaluation.share_check import Oversized, ShareSummary
from nnunetv2_sizepenalty.report.embed import Embedded
from nnunetv2_sizepenalty.report.oversized import LINKS, oversized_mark


def mark(*, found=(9, 7), false_positives=(2, 4), oversized=None, embedded=None):
    share = ShareSummary("share", 10, *found, *false_positives, oversized or {})
    label = dataclasses.replace(empty_label(1), share=share)
    summary = make_summary(description=PROTOCOLS["default"].description, labels={"a": label})
    return oversized_mark(summary, "a", embedded or Embedded())


def test_both_rules_are_shown_where_they_differ():
    (text,) = mark()["text"]
    assert text == (
        "As this page counts (any overlap), 90 % of the lesions are found (9 of 10), with 2 false positives. By the "
        "share rule, which asks that at least a tenth of what is predicted around a lesion is lesion, 70 % of the "
        "lesions are found (7 of 10), with 4 false positives."
    )
    assert mark(found=(9, 9), false_positives=(2, 3)) is not None


def test_nothing_is_said_where_they_agree():
    assert mark(found=(9, 9), false_positives=(2, 2)) is None


def test_files_of_0_1_0_say_nothing():
    summary = make_summary(labels={"a": empty_label(1)})
    assert oversized_mark(summary, "a", Embedded()) is None


def test_links_lead_to_the_component_the_largest_first():
    oversized = {"x": (Oversized(1, 3, 11.0),), "y": (Oversized(2, 1, 2500.4),)}
    located = {("x", "a", False): (np.array([[1, 2, 3]]), np.array([4.0]))}
    embedded = Embedded(scans={"x": {}}, located=located)
    made = mark(found=(9, 9), false_positives=(2, 2), oversized=oversized, embedded=embedded)
    assert len(made["text"]) == 1, "the rules agree"
    assert made["text"][0].startswith("2 predicted lesions are more than 10 times as large as the lesions touched")
    assert made["links"] == [
        {"case": "y", "text": "y: 2,500 times, touches 1 lesion", "at": None, "wide_mm": None},
        {"case": "x", "text": "x: 11 times, touches 3 lesions", "at": [1, 2, 3], "wide_mm": 4.0},
    ]


@pytest.mark.parametrize(("count", "links", "more"), [(LINKS, LINKS, 0), (LINKS + 3, LINKS, 3)])
def test_many_are_counted_not_listed(count, links, more):
    made = mark(oversized={"x": tuple(Oversized(i, 1, 20.0) for i in range(1, count + 1))})
    assert (len(made["links"]), made["more"]) == (links, more)
