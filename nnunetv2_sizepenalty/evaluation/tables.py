"""The tables of summary.json, made of cases.csv and lesions.csv."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE, REFERENCE
from nnunetv2_sizepenalty.evaluation.metrics import CASE_KEYS, unit_of
from nnunetv2_sizepenalty.evaluation.protocols import SHARE
from nnunetv2_sizepenalty.evaluation.share_check import Oversized, ShareSummary
from nnunetv2_sizepenalty.evaluation.statistics import (
    aggregate,
    lin_ccc,
    mean_estimate,
    ratio_estimate,
    ratio_estimates,
)
from nnunetv2_sizepenalty.evaluation.strata import in_stratum, stratum_names
from nnunetv2_sizepenalty.evaluation.summary import CaseStratum, Estimate, GroupTables, LesionStratum, Tables
from nnunetv2_sizepenalty.lesions import SizeBins


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
    """What is summed over cases before it is divided; see `summary.CaseStratum`."""
    unit = unit_of(cases)
    v_g, v_p = (cases[unit.column(of)].to_numpy(float) for of in ("reference", "prediction"))
    dice = cases["dice"].to_numpy(float)
    free = v_g == 0
    found = cases["n_reference"] - cases["missed"]
    return {
        "pooled_dice": ratio_estimate(*formulas.pooled_dice(dice, v_p, v_g)),
        "volume_weighted_dice": ratio_estimate(*formulas.volume_weighted_dice(dice, v_g)),
        "lin_ccc": lin_ccc(v_g, v_p),
        "lesion_sensitivity": ratio_estimate(*formulas.sensitivity(found, cases["n_reference"])),
        "lesion_precision": ratio_estimate(*formulas.precision(cases["n_prediction"], cases["false_positives"])),
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
        false_positive_size=float(total["false_positive_size"]),
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
        unit=unit,
    )


def tables(cases: pd.DataFrame, lesions: pd.DataFrame, bins: SizeBins) -> Tables:
    """Both stratifications of one label's rows."""
    return Tables(
        case_strata=tuple(
            case_stratum(name, cases[in_stratum(name, cases[bins.unit.column("reference")], bins)])
            for name in stratum_names(bins, of_cases=True)
        ),
        lesion_strata=tuple(
            lesion_stratum(name, lesions[in_stratum(name, lesions[bins.unit.column("volume")], bins)], cases["case"])
            for name in stratum_names(bins, of_cases=False)
        ),
    )


def summarise_share(cases: pd.DataFrame, oversized: dict[str, tuple[Oversized, ...]]) -> ShareSummary:
    """Sums one label's rows under both rules of detection."""
    counts = {name: int(cases[name].sum()) for name in ("n_reference", "missed", "false_positives")}
    missed, false_positives = int(cases["missed_share"].sum()), int(cases["false_positives_share"].sum())
    return ShareSummary(
        rule=str(SHARE),
        lesions=counts["n_reference"],
        detected=counts["n_reference"] - counts["missed"],
        detected_by_share=counts["n_reference"] - missed,
        false_positives=counts["false_positives"],
        false_positives_by_share=false_positives,
        oversized=oversized,
    )


def group_tables(cases: pd.DataFrame, lesions: pd.DataFrame, bins: SizeBins, group: dict[str, str]) -> GroupTables:
    """The tables of each value of a grouping (case -> value) with several cases, and the mean of the values' means."""
    members: dict[str, list[str]] = {}
    for case in cases["case"]:
        members.setdefault(group[case], []).append(case)
    by_value = {
        value: tables(cases[cases["case"].isin(of_value)], lesions[lesions["case"].isin(of_value)], bins)
        for value, of_value in sorted(members.items())
        if len(of_value) > 1
    }
    means = pd.DataFrame(
        {
            value: {metric: aggregate.mean for metric, aggregate in of_value.case_stratum().metrics.items()}
            for value, of_value in by_value.items()
        }
    ).mean(axis=1)
    single = {value: of_value[0] for value, of_value in sorted(members.items()) if len(of_value) == 1}
    return GroupTables(by_value, {m: float(v) for m, v in means.items()} if len(by_value) > 1 else {}, single)
