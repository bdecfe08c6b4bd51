"""FROC and calibration of a folder of probabilities that nnU-Net saved (`--save_probabilities`, `--npz`)."""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.curves.calibration import summarise_calibration
from nnunetv2_sizepenalty.curves.froc import (
    KEYS,
    Froc,
    FrocSummary,
    LabelFroc,
    MeanOverCases,
)
from nnunetv2_sizepenalty.curves.froc_case import CaseCurve, FrocRules
from nnunetv2_sizepenalty.curves.froc_curve import lesion_average_precision, make_curves
from nnunetv2_sizepenalty.curves.score_maps import FrocSetup, score_probabilities
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.folder import pair_cases, refuse_as_reference, size_bins
from nnunetv2_sizepenalty.evaluation.formulas import Ratio
from nnunetv2_sizepenalty.evaluation.masks import mask_reader
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, SHARE, Protocol, Rule
from nnunetv2_sizepenalty.evaluation.strata import ALL, stratum_names
from nnunetv2_sizepenalty.lesions import SizeBins, SizeUnit
from nnunetv2_sizepenalty.nnunet_io.classes import Label, Labels, read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import read_dataset_json
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON
from nnunetv2_sizepenalty.nnunet_io.probabilities import count_channels
from nnunetv2_sizepenalty.parallel import map_cases


def evaluate_probabilities(
    reference_folder: str | Path,
    probabilities_folder: str | Path,
    *,
    dataset_json: str | Path | None = None,
    protocol: Protocol | str = "default",
    detection: Rule | str = SHARE,
    bins_ml: Sequence[float] | None = None,
    bins_px: Sequence[float] | None = None,
    only_predicted: bool = False,
    processes: int = 1,
) -> Froc:
    """Scores saved probabilities at 93 thresholds, evenly spaced in the logit.

    Args:
        reference_folder: masks.
        probabilities_folder: CASE.npz as nnU-Net writes them, and nnU-Net's dataset.json where it wrote that too.
        dataset_json: another one; without any, one foreground class is assumed.
        protocol, bins_ml, bins_px, only_predicted, processes: as for `evaluate_folder`.
        detection: when a lesion is detected; the protocol's own rule is for one operating point, not for a sweep.

    Raises:
        UserError: probabilities are missing or unusable, or belong to other labels; the references are predictions of
            nnU-Net, or none holds a lesion.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    detection = Rule.parse(detection) if isinstance(detection, str) else detection
    protocol = dataclasses.replace(protocol, detection=detection)
    probabilities = {path.name.removesuffix(".npz"): path for path in sorted(Path(probabilities_folder).glob("*.npz"))}
    if not probabilities:
        raise UserError(
            f"{probabilities_folder}: holds no .npz; predict with --save_probabilities (validate with --npz)"
        )
    beside = Path(probabilities_folder) / DATASET_JSON
    content = read_dataset_json(dataset_json or beside) if dataset_json or beside.exists() else None
    reader, references = mask_reader(reference_folder, content)
    refuse_as_reference(Path(reference_folder), references, {})
    bins = size_bins(reader.unit, bins_ml, bins_px)
    pairs = pair_cases(references, probabilities, allow_missing=False, only_predicted=only_predicted)
    labels = read_labels(content) if content is not None else _labels_without_names(pairs[0].prediction)
    setup = FrocSetup(reader, labels, FrocRules(protocol, bins))
    outcomes = map_cases(partial(score_probabilities, setup), pairs, processes=processes, description="scoring")
    problems = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if problems:
        raise UserError(_in_one_line(problems, len(pairs)))
    if not sum(curve.lesions.sum() for curves in outcomes for curve in curves):
        raise UserError(f"{reference_folder}: no reference holds a lesion, nothing was written; check -ref and -djfile")
    cases = [pair.case for pair in pairs]
    per_label = {label.name: [curves[i] for curves in outcomes] for i, label in enumerate(labels.foreground)}
    curves = {name: _curves(name, of_label, setup.rules) for name, of_label in per_label.items()}
    return Froc(
        curves=pd.concat(curves.values(), ignore_index=True),
        points=_points(cases, per_label, setup.rules.thresholds),
        voxels=_voxels(cases, per_label, bins.unit),
        summary=FrocSummary(
            version=__version__,
            reference_folder=str(reference_folder),
            probabilities_folder=str(probabilities_folder),
            protocol=protocol.name,
            description=protocol.described(bins.unit),
            edges=bins.edges,
            unit=bins.unit,
            cases=len(cases),
            labels={name: _summarise(per_label[name], curves[name], bins) for name in per_label},
        ),
    )


def _labels_without_names(example: Path) -> Labels:
    """One foreground class, or one region where there is a single channel."""
    channels = count_channels(example)
    if channels > 2:
        raise UserError(f"{example}: has {channels} channels; name dataset.json with -djfile")
    return Labels((Label("foreground", channel=channels - 1),), regions=channels == 1)


def _in_one_line(problems: Sequence[str], cases: int, named: int = 3) -> str:
    if len(problems) == 1:
        return f"{problems[0]}; nothing was written"
    more = f"; and {len(problems) - named} more" if len(problems) > named else ""
    return f"{len(problems)} of {cases} cases can't be scored, nothing was written: {'; '.join(problems[:named])}{more}"


def _curves(name: str, cases: Sequence[CaseCurve], rules: FrocRules) -> pd.DataFrame:
    return make_curves(
        name,
        rules.thresholds,
        stratum_names(rules.bins, of_cases=False),
        sum(case.lesions for case in cases),
        sum(case.detected for case in cases),
        sum(case.false_positives for case in cases),
        len(cases),
    )


def _points(cases: Sequence[str], per_label: dict[str, list[CaseCurve]], thresholds: Sequence[float]) -> pd.DataFrame:
    rows = [
        dict(zip(KEYS, (case, name, threshold), strict=True)) | row
        for i, case in enumerate(cases)
        for name, curves in per_label.items()
        for threshold, row in zip(thresholds, curves[i].rows, strict=True)
    ]
    return pd.DataFrame(rows)


def _voxels(cases: Sequence[str], per_label: dict[str, list[CaseCurve]], unit: SizeUnit) -> pd.DataFrame:
    rows = []
    for i, case in enumerate(cases):
        for name, curves in per_label.items():
            counts = curves[i].calibration
            rows.append(
                {
                    "case": case,
                    "label": name,
                    "average_precision": counts.average_precision,
                    "pr_auc": curves[i].pr_auc,
                    **{
                        unit.column(of): getattr(counts, of) * counts.voxel_size(unit)
                        for of in ("reference", "soft", "hard")
                    },
                    "soft_to_hard": Ratio(counts.soft, counts.hard).value,
                }
            )
    return pd.DataFrame(rows)


def _summarise(cases: Sequence[CaseCurve], curves: pd.DataFrame, bins: SizeBins) -> LabelFroc:
    calibration = summarise_calibration([case.calibration for case in cases], bins)
    # defined where average precision is
    n, areas = calibration.n_average_precision, np.array([case.pr_auc for case in cases])
    return LabelFroc.of(
        lesion_average_precision(curves[curves["stratum"] == ALL]),
        MeanOverCases(float(np.nanmean(areas)) if n else math.nan, n),
        calibration,
    )
