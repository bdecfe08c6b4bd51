"""Cases that may be of one patient: what their names say, and who is on both sides of a fold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.folds import Fold
from nnunetv2_sizepenalty.splitting.splits import default_groups, groups_by_pattern

# A visit or a side behind the patient's name (P12_ses-2, P12_baseline, P12_left).
VISIT = (
    r"(?i)^(.+?)(?:[_-](?:ses|session|visit|v|time|timepoint|tp|t|scan|baseline|bl|followup|fu|pre|post|left|right|l|r)"
    r"[_-]?\d*)?$"
)
# A count behind it (P12_1, P12_2), and one in its last two digits (0800, 0801, 0900).
COUNTS = (r"^(.*\d)[_-]\d{1,2}$", r"^(.*\d)\d\d$")
MOST_VISITS = 10


@dataclass(frozen=True)
class Patients:
    """Case -> patient, and the pattern, as `split --group` takes it, that tells them apart ("" for BIDS subjects)."""

    groups: Mapping[str, str]
    pattern: str = ""


def likely_patients(names: Sequence[str]) -> Patients:
    """Finds the patients that the names seem to tell: BIDS subjects, a visit or a side, a short count.

    Cautious: a pattern counts only where some patient has two cases, and a count only where it matches every name and
    starts at 0 or 1 in each patient, so that a plain numbering of the cases (`case_001`) is none.
    """
    bids = default_groups(names)
    if _repeats(bids):
        return Patients(bids)
    for pattern in (VISIT, *COUNTS):
        try:
            groups = groups_by_pattern(names, pattern)
        except UserError:
            continue
        few = max(Counter(groups.values()).values()) <= MOST_VISITS
        if _repeats(groups) and few and (pattern == VISIT or _counts(groups)):
            return Patients(groups, pattern)
    return Patients(bids)


def _repeats(groups: Mapping[str, str]) -> bool:
    """Whether there are several groups, and one with several cases."""
    return 1 < len(set(groups.values())) < len(groups)


def _counts(groups: Mapping[str, str]) -> bool:
    """Whether what follows the patient's name counts 0, 1, 2 or 1, 2, 3 in each of them."""
    numbers: dict[str, list[int]] = {}
    for name, group in groups.items():
        numbers.setdefault(group, []).append(int(name[len(group) :].lstrip("_-")))
    return all(
        min(found) in (0, 1) and sorted(found) == list(range(min(found), min(found) + len(found)))
        for found in numbers.values()
    )


def straddling(folds: Sequence[Fold], groups: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Groups with cases in two parts (train, validation, test) of a fold -> their cases, whichever fold it is."""
    members: dict[str, set[str]] = {}
    for name, group in groups.items():
        members.setdefault(group, set()).add(name)
    return {
        group: tuple(sorted(names))
        for group, names in members.items()
        if any(sum(bool(names & set(part)) for part in (fold.train, fold.val, fold.test)) > 1 for fold in folds)
    }
