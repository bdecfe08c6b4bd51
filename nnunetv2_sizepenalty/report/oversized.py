"""The mark on what is far larger than the lesions that it touches: how it changes the counts, and where to look."""

from typing import Any

from nnunetv2_sizepenalty.evaluation.protocols import split_detection
from nnunetv2_sizepenalty.evaluation.share_check import OVERSIZED, ShareSummary
from nnunetv2_sizepenalty.evaluation.summary import LabelSummary, Summary
from nnunetv2_sizepenalty.pages.numbers import percent, plural
from nnunetv2_sizepenalty.report.embed import Embedded

LINKS = 12


def oversized_mark(summary: Summary, label: str, embedded: Embedded) -> dict[str, Any] | None:
    """What the page says of oversized components: paragraphs (`text`), `links` to the largest, and how many `more`.

    None where there is none and both rules count the same, and in files of 0.1.0.
    """
    share = summary.labels[label].share
    if share is None:
        return None
    rules = both_rules(share, split_detection(summary.description)[1])
    count = sum(map(len, share.oversized.values()))
    if not count:
        return {"text": [rules], "links": [], "more": 0} if rules else None
    links = _links(summary.labels[label], label, embedded)
    return {"text": [_oversized(count), *[rules] * bool(rules)], "links": links[:LINKS], "more": max(0, count - LINKS)}


def both_rules(share: ShareSummary, rule: str) -> str:
    """The lesions found and the false positives under both rules; empty where they are the same.

    Args:
        rule: the protocol's own, in words.
    """
    counts = (share.detected, share.false_positives), (share.detected_by_share, share.false_positives_by_share)
    if counts[0] == counts[1]:
        return ""
    found = [
        f"{percent(detected / max(share.lesions, 1))} of the lesions are found ({detected:,} of "
        f"{share.lesions:,}), with {plural(false_positives, 'false positive')}"
        for detected, false_positives in counts
    ]
    return (
        f"As this page counts ({rule}), {found[0]}. By the share rule, which asks that at least a tenth of what is "
        f"predicted around a lesion is lesion, {found[1]}."
    )


def _oversized(count: int) -> str:
    are = "is" if count == 1 else "are"
    return (
        f"{plural(count, 'predicted lesion')} {are} more than {OVERSIZED:g} times as large as the lesions touched, or "
        "as all lesions of the case where none is touched. By mere contact something so large finds whatever lies in "
        "it: look at it before you trust the numbers."
    )


def _links(summary: LabelSummary, label: str, embedded: Embedded) -> list[dict[str, Any]]:
    """The components, the largest in proportion first, each with its voxel where the page carries its case."""
    found = [(one.times, case, one) for case, of in summary.share.oversized.items() for one in of]
    return [
        {
            "case": case,
            "text": f"{case}: {one.times:,.0f} times, touches {plural(one.touched, 'lesion')}",
            **embedded.place_of(case, label, one.lesion, is_reference=False),
        }
        for _, case, one in sorted(found, key=lambda entry: (-entry[0], entry[1], entry[2].lesion))
    ]
