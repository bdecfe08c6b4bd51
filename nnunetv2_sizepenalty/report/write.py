"""Writes report.html and its figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.curves.froc import Froc
from nnunetv2_sizepenalty.evaluation.metrics import metrics_in
from nnunetv2_sizepenalty.evaluation.records import Evaluation
from nnunetv2_sizepenalty.lesions import SizeUnit
from nnunetv2_sizepenalty.pages import theme
from nnunetv2_sizepenalty.pages.export import write_figure
from nnunetv2_sizepenalty.pages.numbers import plural
from nnunetv2_sizepenalty.pages.offline import render
from nnunetv2_sizepenalty.report import tables
from nnunetv2_sizepenalty.report.choice import NAMED, by_importance, choose_cases
from nnunetv2_sizepenalty.report.embed import Embedded, embed_scans, volume_budget
from nnunetv2_sizepenalty.report.froc_section import check_froc
from nnunetv2_sizepenalty.report.label import make_label
from nnunetv2_sizepenalty.report.niivue import niivue_bundle
from nnunetv2_sizepenalty.report.sources import Sources

TEMPLATES = Path(__file__).parent / "templates"
CASE_METRICS = (
    "dice", "n_reference", "missed", "false_positives", "reference_ml", "prediction_ml",
    "volume_error_ml", "rve", "pq", "sq", "rq", "assd", "hd95",
)  # fmt: skip


def lesion_table(unit: SizeUnit) -> list[dict[str, Any]]:
    """The columns of the page's list of lesions."""
    return [
        {"key": "case", "title": "case", "text": True},
        {"key": "fate", "title": "lesion", "text": True},
        {"key": unit.column("volume"), "title": f"{unit.quantity} ({unit})"},
        {"key": "dice", "title": "Dice", "digits": 2, "note": "against the predicted lesions that touch it"},
        {"key": "matched_iou", "title": "IoU of match", "digits": 2, "note": "of the one-to-one match"},
        {"key": "z", "title": "z", "whole": True, "note": "centre as a voxel index of the file"},
        {"key": "y", "title": "y", "whole": True},
        {"key": "x", "title": "x", "whole": True},
    ]


def case_table(unit: SizeUnit) -> list[dict[str, Any]]:
    """The columns of the page's list of cases."""
    return [
        {"key": "case", "title": "case", "text": True},
        *(
            {"key": m.name, "title": m.heading, "note": m.definition}
            for m in map(metrics_in(unit).get, unit.columns(CASE_METRICS))
        ),
    ]


def write_report(
    out: str | Path,
    evaluation: Evaluation,
    *,
    reference_folder: str | Path,
    prediction_folder: str | Path,
    images_folder: str | Path | None = None,
    channel: str | None = None,
    cases: Sequence[str] = (),
    title: str | None = None,
    froc: Froc | None = None,
) -> Path:
    """Writes `out`/report.html, which opens from disk with no network, and its charts to `out`/figures.

    Args:
        out: a folder.
        evaluation: what `evaluate_folder` returns.
        reference_folder, prediction_folder: the masks that were evaluated.
        images_folder: nnU-Net's images (`CASE_0000.ENDING`); without it the viewer draws masks alone.
        channel: the image to show first, its name or number; the default is DWI where a dataset.json names one, else
            the first.
        cases: to show in the viewer, beside those with the largest missed lesions and with the lowest, median and
            highest Dice.
        title: of the page.
        froc: what `read_froc` returns, for the curves at every threshold.

    Returns:
        The path of report.html.

    Raises:
        UserError: a case of `cases` was not evaluated, there is no such channel, or a mask or image can't be read.
    """
    out = Path(out)
    images = None if images_folder is None else Path(images_folder)
    sources = Sources(evaluation.summary, Path(reference_folder), Path(prediction_folder), images, channel)
    chosen = choose_cases(evaluation, cases)
    page = make_page(evaluation, sources, chosen, title=title or "Segmentation report", froc=froc)
    path = out / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(page.html, encoding="utf-8")
    charts = tqdm(page.figures.items(), desc="drawing figures", unit="figure", disable=None)
    for stem, (chart, datasets) in charts:
        write_figure(chart, datasets, out / "figures" / stem)
    return path


@dataclass(frozen=True)
class Page:
    """The page's text, and its charts by the stem of their file: spec and datasets."""

    html: str
    figures: dict[str, tuple[dict[str, Any], dict[str, Any]]]


def make_page(
    evaluation: Evaluation, sources: Sources, chosen: dict[str, str], *, title: str, froc: Froc | None = None
) -> Page:
    """Reads the chosen cases (case -> why it is shown) and fills the page."""
    if froc is not None:
        check_froc(froc, evaluation.summary)
    unit = evaluation.summary.unit
    named = sum(reason == NAMED for reason in chosen.values())
    budget = volume_budget((evaluation.cases, evaluation.lesions))
    embedded = embed_scans(sources, chosen, by_importance(chosen), named, budget)
    labels = [make_label(evaluation, name, embedded, froc) for name in evaluation.summary.labels]
    html = render(
        "report.html.j2",
        TEMPLATES,
        functions={"niivue": niivue_bundle},
        title=title,
        summary=evaluation.summary,
        labels=labels,
        caption_end=tables.caption_end(evaluation.summary),
        froc_caption_end="" if froc is None else tables.caption_end(froc.summary),
        viewer_note=_viewer_note(evaluation, embedded, sources.images_folder is not None),
        volumes=any(not scan["flat"] for scan in embedded.scans.values()),
        data={
            "labels": [{key: label[key] for key in ("name", "charts", "datasets", "oversized")} for label in labels],
            "scans": embedded.scans,
            "case_columns": case_table(unit),
            "lesion_columns": lesion_table(unit),
            "chart_config": theme.chart_config(),
            "mask_colours": theme.MASK_COLOURS,
            "fates": theme.FATES,
            "unit": {"name": unit.name, "key": unit.key},
        },
    )
    figures = {
        (name if len(labels) == 1 else f"{name}_{index}"): (chart, label["datasets"])
        for index, label in enumerate(labels, start=1)
        for name, chart in label["charts"].items()
    }
    return Page(html, figures)


def _viewer_note(evaluation: Evaluation, embedded: Embedded, images: bool) -> str:
    """Which cases and channels the viewer holds, and that it draws masks alone where it does."""
    shown, count = len(embedded.scans), evaluation.summary.cases
    sentences = [] if images else ["No images were given (--images), so masks alone are drawn."]
    if shown == count:
        sentences.append("All cases are here.")
    else:
        sentences.append(
            f"{shown} of {count} cases are here: oversized predictions, the largest missed lesions, the lowest, median "
            "and highest Dice, and those named with --cases."
        )
    if embedded.left_out:
        sentences.append(f"{plural(len(embedded.left_out), 'case')} of those did not fit into the page.")
    if embedded.without_channels:
        sentences.append(
            f"Of {plural(embedded.without_channels, 'case')} channels are left out for the page's size; a case named "
            "with --cases comes first."
        )
    return " ".join(sentences)
