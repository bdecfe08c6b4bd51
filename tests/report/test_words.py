"""Sentences and numbers: what the first screen says, and how it writes them."""

import math

import pandas as pd
import pytest

from nnunetv2_sizepenalty.evaluation.summary import Estimate, LabelSummary, LesionStratum, Tables
from nnunetv2_sizepenalty.pages.numbers import interval, number, percent, plural, size_name, threshold
from nnunetv2_sizepenalty.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.97, "0.970"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (-0.5, "−0.500"),
        (1e-7, "1.00e-07"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.333, "33 %"), (0.0, "0 %"), (1.0, "100 %"), (0.004, "0.4 %"), (0.996, "99.6 %"), (math.nan, "–")],
)
def test_percent_never_rounds_to_nothing_or_all(value, text):
    assert percent(value) == text


def test_interval_is_empty_where_it_is_undefined():
    assert interval(0.1, 0.25) == "0.100 to 0.250"
    assert interval(math.nan, 0.2) == ""


def test_an_interval_reads_what_rounding_left_of_0_as_0():
    assert interval(-6.94e-18, 0.2) == "0 to 0.200"
    assert interval(-1e-5, 1e-5) == "-1.00e-05 to 1.00e-05"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (0.999, "0.999"),
        (0.99995, "0.99995"),
        (1 - 2e-9, "0.999999998"),
        (0.0001, "0.000100"),
        (1, "1.00"),
    ],
)
def test_a_threshold_differs_from_1_where_it_does(value, text):
    assert threshold(value) == text


@pytest.mark.parametrize(("stratum", "text"), [("none", "no lesion"), (">= 5 mL", "≥ 5 mL"), ("1-5 mL", "1–5 mL")])
def test_size_name(stratum, text):
    assert size_name(stratum) == text


def test_plural():
    assert (plural(1, "lesion"), plural(0, "lesion"), plural(1200, "lesion")) == (
        "1 lesion",
        "0 lesions",
        "1,200 lesions",
    )


def stratum(lesions, missed, false_positives=0):
    estimate = Estimate(value=0.5, low=0.25, high=0.75, interval="BCa")
    estimates = dict.fromkeys(("detection_rate", "false_positives_per_case"), estimate)
    every = LesionStratum("all", lesions, missed, false_positives, 1.5, tp=0, fp=0, fn=0, estimates=estimates)
    return LabelSummary((1,), Tables((), (every,)), {})


@pytest.mark.parametrize(
    ("lesions", "missed", "text"),
    [
        (117, 23, "23 of 117 lesions missed."),
        (5, 0, "All 5 lesions found."),
        (1, 0, "The only lesion was found."),
        (1, 1, "1 of 1 lesion missed."),
        (0, 0, "The references hold no lesion."),
    ],
)
def test_headline(lesions, missed, text):
    assert words.headline(stratum(lesions, missed)) == text


def lesions(fate, volumes):
    return pd.DataFrame({"fate": [fate] * len(volumes), "volume_ml": volumes})


@pytest.mark.parametrize(
    ("volumes", "text"),
    [
        ([], ""),
        ([0.25], "It has 0.250 mL."),
        ([0.25, 0.25], "Each has 0.250 mL."),
        ([0.1, 0.5, 3.0], "Half of them are smaller than 0.500 mL; they range from 0.100 to 3.00 mL."),
    ],
)
def test_missed_sizes(volumes, text):
    assert words.missed_sizes(lesions("missed", volumes)) == text


def test_detection_names_its_interval():
    assert words.detection(stratum(4, 2)) == "Overall 50 % were found (95 % interval 25 % to 75 %, BCa)."
    assert words.detection(stratum(0, 0)) == ""


def test_false_positives():
    assert words.false_positives(stratum(4, 2), lesions("missed", [1.0])) == "No predicted lesion is a false positive."
    text = words.false_positives(stratum(4, 2, 3), lesions("false positive", [0.1, 0.2, 0.3]))
    assert text.startswith("3 predicted lesions are false positives: 0.50 per case, 1.50 mL in all. Half of them")
