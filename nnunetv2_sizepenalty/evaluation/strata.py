"""Tables by size: cases by their reference volume, lesions by their own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE, REFERENCE
from nnunetv2_sizepenalty.evaluation.records import (
    CASE_KEYS,
    CaseStratum,
    Estimate,
    GroupTables,
    LesionStratum,
    Tables,
    unit_of,
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
        if 0 < i < len(bins.edges):
            names.append(f"< {bins.edges[i]:g} {bins.unit}")
    return names


def in_stratum(name: str, sizes: np.ndarray, bins: SizeBins) -> np.ndarray:
    """Which sizes belong to a stratum, shape as `sizes`. A size of 0 belongs to "all" and "none" alone."""
    sizes = np.asarray(sizes, dtype=float)
    if name == ALL:
        return np.ones(sizes.shape, dtype=bool)
    if name == NONE:
        return sizes == 0
    if name in bins.names:
        return (sizes > 0) & (bins.index(sizes) == bins.names.index(name))
    return (sizes > 0) & (sizes < float(name.removeprefix("< ").removesuffix(f" {bins.unit}")))


def undefined_reason(cases: pd.DataFrame) -> list[str]:
    """Why a metric of each case may be undefined."""
    no_reference, no_prediction = (cases[unit_of(cases).column(of)] == 0 for of in ("reference", "prediction"))
    return np.select(
        [no_reference & no_prediction, no_reference, no_prediction],
        ["both masks empty", "empty reference", "empty prediction"],
        "no lesion matched",
    ).tolist()


def case_stratum(name: str, cases: pd.DataFrame) -> CaseStratum:
    """All metrics of the cases of one stratum (rows of cases.csv, one label)."""
    reasons = undefined_reason(cases)
    metrics = [column for column in cases.columns if column not in CASE_KEYS]
    return CaseStratum(
        name=name,
        cases=len(cases),
        metrics=aggregate(cases[metrics], reasons),
        pooled=pooled(cases),
    )


def pooled(cases: pd.DataFrame) -> dict[str, Estimate]:
    """What is summed over cases before it is divided; see `records.CaseStratum`."""
    unit = unit_of(cases)
    v_g, v_p = (cases[unit.column(of)].to_numpy(float) for of in ("reference", "prediction"))
    dice = np.where(v_g + v_p > 0, cases["dice"], 0.0)
    free = v_g == 0
    found = cases["n_reference"] - cases["missed"]
    return {
        "pooled_dice": ratio_estimate(dice * (v_g + v_p), v_g + v_p),
        "volume_weighted_dice": ratio_estimate(dice * v_g, v_g),
        "lin_ccc": lin_ccc(v_g, v_p),
        "lesion_sensitivity": ratio_estimate(found, cases["n_reference"]),
        "lesion_precision": ratio_estimate(cases["n_prediction"] - cases["false_positives"], cases["n_prediction"]),
        "false_positives_per_case": mean_estimate(cases["false_positives"]),
        f"{unit.column('false_positive')}_per_case": mean_estimate(cases[unit.column("false_positive")]),
        "specificity": mean_estimate((v_p == 0)[free]),
    }


def lesion_stratum(name: str, lesions: pd.DataFrame, cases: Sequence[str]) -> LesionStratum:
    """The lesions of one size (rows of lesions.csv, one label) of `cases`; sums over cases are divided at the end."""
    reference = lesions["kind"] == REFERENCE
    unit = unit_of(lesions)
    columns = pd.DataFrame(
        {
            "case": lesions["case"],
            "lesions": reference,
            "found": reference & lesions["detected"].astype(bool),
            "tp": lesions["matched"].astype(bool),
            "false_positives": lesions["kind"] == FALSE_POSITIVE,
            "false_positive_size": np.where(lesions["kind"] == FALSE_POSITIVE, lesions[unit.column("volume")], 0.0),
            "fp": ~reference,
            "iou": lesions["matched_iou"].fillna(0.0),
            "dice": lesions["dice"].fillna(0.0),
            "rve": lesions["rve"].fillna(0.0),
        }
    )
    per_case = columns.groupby("case").sum().reindex(list(cases), fill_value=0).astype(float)
    total = per_case.sum()
    fn = per_case["lesions"] - per_case["tp"]
    recognised = per_case["tp"] + 0.5 * per_case["fp"] + 0.5 * fn
    detection_rate, dice, rve = ratio_estimates([per_case[c] for c in ("found", "dice", "rve")], per_case["lesions"])
    pq, rq = ratio_estimates([per_case["iou"], per_case["tp"]], recognised)
    sq_matched = ratio_estimate(per_case["iou"], per_case["tp"])
    none_matched = total["tp"] == 0
    return LesionStratum(
        name=name,
        lesions=int(total["lesions"]),
        missed=int(total["lesions"] - total["found"]),
        false_positives=int(total["false_positives"]),
        **{unit.column("false_positive"): float(total["false_positive_size"])},
        tp=int(total["tp"]),
        fp=int(total["fp"]),
        fn=int(fn.sum()),
        estimates={
            "detection_rate": detection_rate,
            "dice": dice,
            "rve": rve,
            "lesion_f1": ratio_estimate(
                2 * per_case["found"], per_case["lesions"] + per_case["found"] + per_case["false_positives"]
            ),
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
            case_stratum(name, cases[in_stratum(name, cases[bins.unit.column("reference")], bins)])
            for name in stratum_names(bins, of_cases=True)
        ],
        lesion_strata=[
            lesion_stratum(name, lesions[in_stratum(name, lesions[bins.unit.column("volume")], bins)], cases["case"])
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
