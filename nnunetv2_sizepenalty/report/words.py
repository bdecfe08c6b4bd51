"""What the first screen says in sentences."""

import pandas as pd

from nnunetv2_sizepenalty.evaluation.metrics import unit_of
from nnunetv2_sizepenalty.evaluation.strata import NONE
from nnunetv2_sizepenalty.evaluation.summary import LabelSummary
from nnunetv2_sizepenalty.pages.numbers import amount, number, percent, plural


def headline(label: LabelSummary) -> str:
    """How many of the reference lesions were missed."""
    everything = label.tables.lesion_stratum()
    lesions, missed = everything.lesions, everything.missed
    if lesions == 0:
        return "The references hold no lesion."
    if missed == 0:
        return f"All {plural(lesions, 'lesion')} found." if lesions > 1 else "The only lesion was found."
    return f"{missed:,} of {plural(lesions, 'lesion')} missed."


def _sizes(lesions: pd.DataFrame) -> str:
    """The median of some volumes and their range."""
    unit = unit_of(lesions)
    volumes = lesions[unit.column("volume")]
    smallest, median, largest = (amount(size, unit) for size in (volumes.min(), volumes.median(), volumes.max()))
    if len(volumes) == 1:
        return f"It has {smallest}."
    if smallest == largest:
        return f"Each has {smallest}."
    return f"Half of them are smaller than {median}; they range from {smallest.removesuffix(f' {unit}')} to {largest}."


def missed_sizes(lesions: pd.DataFrame) -> str:
    """How large the missed lesions are; empty where none was missed. `lesions` are `lesion_rows`."""
    missed = lesions[lesions["fate"] == "missed"]
    return _sizes(missed) if len(missed) else ""


def detection(label: LabelSummary) -> str:
    """The detection rate with its interval; empty where there is no lesion."""
    everything = label.tables.lesion_stratum()
    if everything.lesions == 0:
        return ""
    rate = everything.estimates["detection_rate"]
    text = f"Overall {percent(rate.value)} were found"
    if rate.interval != "none":
        text += f" (95 % interval {percent(rate.low)} to {percent(rate.high)}, {rate.interval})"
    return text + "."


def false_positives(label: LabelSummary, lesions: pd.DataFrame) -> str:
    """How many predicted lesions touch no reference lesion, and how large they are."""
    everything = label.tables.lesion_stratum()
    count = everything.false_positives
    if count == 0:
        return "No predicted lesion is a false positive."
    per_case = everything.estimates["false_positives_per_case"].value
    text = f"{plural(count, 'predicted lesion')} {'is a false positive' if count == 1 else 'are false positives'}: "
    text += f"{number(per_case, 2)} per case, {amount(everything.false_positive_size, everything.unit)} in all. "
    return text + _sizes(lesions[lesions["fate"] == "false positive"])


def lesion_free(label: LabelSummary) -> str:
    """What was predicted in the cases whose reference holds no lesion; empty where there is no such case."""
    stratum = label.tables.case_stratum(NONE)
    if stratum.cases == 0:
        return ""
    pooled, unit = stratum.pooled, unit_of(stratum.metrics)
    size = pooled[f"{unit.column('false_positive')}_per_case"]
    return (
        f"{plural(stratum.cases, 'case')} hold{'s' if stratum.cases == 1 else ''} no lesion: "
        f"{percent(pooled['specificity'].value)} were predicted empty, with "
        f"{number(pooled['false_positives_per_case'].value, 2)} false positives of "
        f"{number(size.value, 2)} {unit} per case."
    )
