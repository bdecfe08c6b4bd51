"""Tables by size: cases by their reference volume, lesions by their own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE, REFERENCE
from nnunetv2_sizepenalty.evaluation.records import (
    CASE_COLUMNS,
    CaseStratum,
    Estimate,
    GroupTables,
    LesionStratum,
    Tables,
)
from nnunetv2_sizepenalty.evaluation.statistics import (
    aggregate,
    lin_ccc,
    mean_estimate,
    ratio_estimate,
    ratio_estimates,
)
from nnunetv2_sizepenalty.lesions import SizeBins

ALL, NONE = "all", "none"


def stratum_names(bins: SizeBins, *, of_cases: bool) -> list[str]:
    """Names of the strata in their order, such as all, none (cases only), < 1 mL, 1-5 mL, < 5 mL, >= 5 mL."""
    names = [ALL, NONE] if of_cases else [ALL]
    for i, name in enumerate(bins.names):
        names.append(name)
        # "Below the first edge" is the first bin already, and above the last edge nothing ends.
        if 0 < i < len(bins.edges_ml):
            names.append(f"< {bins.edges_ml[i]:g} mL")
    return names


def in_stratum(name: str, volume_ml: np.ndarray, bins: SizeBins) -> np.ndarray:
    """Which volumes belong to a stratum, shape as `volume_ml`. A volume of 0 belongs to "all" and "none" alone."""
    volume_ml = np.asarray(volume_ml, dtype=float)
    if name == ALL:
        return np.ones(volume_ml.shape, dtype=bool)
    if name == NONE:
        return volume_ml == 0
    if name in bins.names:
        return (volume_ml > 0) & (bins.index(volume_ml) == bins.names.index(name))
    return (volume_ml > 0) & (volume_ml < float(name.removeprefix("< ").removesuffix(" mL")))


def undefined_reason(cases: pd.DataFrame) -> list[str]:
    """Why a metric of each case may be undefined."""
    no_reference, no_prediction = cases["reference_ml"] == 0, cases["prediction_ml"] == 0
    return np.select(
        [no_reference & no_prediction, no_reference, no_prediction],
        ["both masks empty", "empty reference", "empty prediction"],
        "no lesion matched",
    ).tolist()


def case_stratum(name: str, cases: pd.DataFrame) -> CaseStratum:
    """All metrics of the cases of one stratum (rows of cases.csv, one label)."""
    reasons = undefined_reason(cases)
    metrics = [column for column in cases.columns if column not in CASE_COLUMNS[:2]]
    return CaseStratum(
        name=name,
        cases=len(cases),
        metrics=aggregate(cases[metrics], reasons),
        pooled=pooled(cases),
    )


def pooled(cases: pd.DataFrame) -> dict[str, Estimate]:
    """What is summed over cases before it is divided; see `records.CaseStratum`."""
    v_g, v_p = cases["reference_ml"].to_numpy(float), cases["prediction_ml"].to_numpy(float)
    dice = np.where(v_g + v_p > 0, cases["dice"], 0.0)
    free = v_g == 0
    found = cases["n_reference"] - cases["missed"]
    return {
        "pooled_dice": ratio_estimate(dice * (v_g + v_p), v_g + v_p),
        "volume_weighted_dice": ratio_estimate(dice * v_g, v_g),
        "lin_ccc": lin_ccc(v_g, v_p),
        "lesion_sensitivity": ratio_estimate(*formulas.sensitivity(found, cases["n_reference"])),
        "lesion_precision": ratio_estimate(*formulas.precision(cases["n_prediction"], cases["false_positives"])),
        "false_positives_per_case": mean_estimate(cases["false_positives"]),
        "false_positive_ml_per_case": mean_estimate(cases["false_positive_ml"]),
        "specificity": mean_estimate((v_p == 0)[free]),
    }


def lesion_stratum(name: str, lesions: pd.DataFrame, cases: Sequence[str]) -> LesionStratum:
    """The lesions of one size (rows of lesions.csv, one label) of `cases`; sums over cases are divided at the end."""
    reference = lesions["kind"] == REFERENCE
    columns = pd.DataFrame(
        {
            "case": lesions["case"],
            "lesions": reference,
            "found": reference & lesions["detected"].astype(bool),
            "tp": lesions["matched"].astype(bool),
            "false_positives": lesions["kind"] == FALSE_POSITIVE,
            "false_positive_ml": np.where(lesions["kind"] == FALSE_POSITIVE, lesions["volume_ml"], 0.0),
            "fp": ~reference,
            "iou": lesions["matched_iou"].fillna(0.0),
            "dice": lesions["dice"].fillna(0.0),
            "rve": lesions["rve"].fillna(0.0),
        }
    )
    per_case = columns.groupby("case").sum().reindex(list(cases), fill_value=0).astype(float)
    total = per_case.sum()
    fn = per_case["lesions"] - per_case["tp"]
    matched = formulas.recognition_quality(per_case["tp"], per_case["fp"], fn)
    missed = per_case["lesions"] - per_case["found"]
    detection_rate, dice, rve = ratio_estimates([per_case[c] for c in ("found", "dice", "rve")], per_case["lesions"])
    pq, rq = ratio_estimates([per_case["iou"], matched.numerator], matched.denominator)
    sq_matched = ratio_estimate(*formulas.segmentation_quality(per_case["iou"], per_case["tp"]))
    none_matched = total["tp"] == 0
    return LesionStratum(
        name=name,
        lesions=int(total["lesions"]),
        missed=int(total["lesions"] - total["found"]),
        false_positives=int(total["false_positives"]),
        false_positive_ml=float(total["false_positive_ml"]),
        tp=int(total["tp"]),
        fp=int(total["fp"]),
        fn=int(fn.sum()),
        estimates={
            "detection_rate": detection_rate,
            "dice": dice,
            "rve": rve,
            "lesion_f1": ratio_estimate(*formulas.lesion_f1(per_case["found"], missed, per_case["false_positives"])),
            "pq": pq,
            # The convention of a case's SQ: 0 where there are lesions and none is matched.
            "sq": rq if none_matched else sq_matched,
            "rq": rq,
            "sq_matched": sq_matched,
            "false_positives_per_case": mean_estimate(per_case["false_positives"]),
        },
    )


def tables(cases: pd.DataFrame, lesions: pd.DataFrame, bins: SizeBins) -> Tables:
    """Both stratifications of one label's rows."""
    return Tables(
        case_strata=[
            case_stratum(name, cases[in_stratum(name, cases["reference_ml"], bins)])
            for name in stratum_names(bins, of_cases=True)
        ],
        lesion_strata=[
            lesion_stratum(name, lesions[in_stratum(name, lesions["volume_ml"], bins)], cases["case"])
            for name in stratum_names(bins, of_cases=False)
        ],
    )


def group_tables(cases: pd.DataFrame, lesions: pd.DataFrame, bins: SizeBins, group: dict[str, str]) -> GroupTables:
    """The tables of each value of a grouping (case -> value), and the mean of the values' means."""
    by_value = {
        value: tables(cases[cases["case"].map(group) == value], lesions[lesions["case"].map(group) == value], bins)
        for value in sorted({group[case] for case in cases["case"]})
    }
    means = pd.DataFrame(
        {
            value: {metric: entry["mean"] for metric, entry in table["case_strata"][0]["metrics"].items()}
            for value, table in by_value.items()
        }
    ).mean(axis=1)
    return GroupTables(tables=by_value, mean_of_means={m: float(v) for m, v in means.items()} if len(means) else {})
