"""Checks of the labels: values that dataset.json doesn't name, instance ids, cases without a lesion."""

from collections.abc import Mapping, Sequence

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, NOTE, WARNING, Finding
from nnunetv2_sizepenalty.pages.numbers import plural

# Share of the values that are one component in their case, from which they look like numbers of lesions.
ONE_COMPONENT = 0.9
BINARISE = (
    "Write 1 for every lesion and name one label in dataset.json: lesions are told apart as connected components "
    "wherever they are needed."
)


def label_values(audit: AuditedDataset) -> list[Finding]:
    """Values that dataset.json doesn't name, which nnU-Net refuses; called instance ids where they look so."""
    known = {0, *(value for values in audit.classes.values() for value in values), _ignore(audit)}
    unknown = {
        case.raw.case: sorted(set(case.raw.components) - known)
        for case in audit.cases
        if set(case.raw.components) - known
    }
    if not unknown:
        return []
    components = [case.raw.components for case in audit.cases if case.raw.case in unknown]
    ids = any(len(values) > 1 for values in components) and _one_component(components)
    what = f"{plural(len(unknown), 'case')} with label values that dataset.json doesn't name"
    remedy = "Map them to the values of dataset.json, or name them there, in consecutive order."
    if ids:
        what += "; each value is one connected component, so they look like instance ids"
        remedy = BINARISE
    where = tuple(f"{case}: {_listed(values)}" for case, values in unknown.items())
    return [Finding(ERROR, "instance ids" if ids else "label values", f"{what}.", remedy, where)]


def instance_ids(audit: AuditedDataset) -> list[Finding]:
    """Labels that dataset.json names but that number the lesions of a case: 1 for the first, 2 for the second, ...

    Signs, all needed: three labels or more, each one component where it occurs; a case with m of them has 1 to m; m
    differs, and fewer than half of the cases have all.
    """
    values = {value for entry in audit.classes.values() for value in entry}
    components = [
        {value: n for value, n in case.raw.components.items() if value in values}
        for case in audit.cases
        if set(case.raw.components) & values
    ]
    if len(values) < 3 or len(components) < 2 or not _one_component(components):
        return []
    counts = [len(case) for case in components]
    numbered = all(set(case) == set(range(1, len(case) + 1)) for case in components)
    if not numbered or len(set(counts)) == 1 or 2 * counts.count(len(values)) >= len(counts):
        return []
    what = (
        f"The {len(values)} labels look like instance ids: each is one connected component, and a case with m of them "
        "has the values 1 to m."
    )
    names = tuple(f"{name}: {_listed(entry)}" for name, entry in audit.classes.items())
    return [Finding(WARNING, "instance ids", what, BINARISE, names)]


def absent_labels(audit: AuditedDataset) -> list[Finding]:
    """Labels that dataset.json names and no case holds: their Dice is undefined in every validation."""
    there = set(audit.lesions["label"])
    absent = [name for name in audit.classes if name not in there]
    if not absent or not any(case.raw.components for case in audit.cases):
        return []
    what = f"{plural(len(absent), 'label')} of dataset.json in no case."
    return [Finding(WARNING, "label values", what, "Remove them from dataset.json.", tuple(absent))]


def cases_without_lesion(audit: AuditedDataset) -> list[Finding]:
    """Cases whose label map is empty, ignored voxels aside."""
    empty = [
        case.raw.case
        for case in audit.cases
        if case.raw.label is not None and not set(case.raw.components) - {_ignore(audit)}
    ]
    if not empty:
        return []
    if len(empty) == len(audit.cases):
        return [Finding(ERROR, "lesion-free cases", "No case has a lesion.", "Check the labels in labelsTr.")]
    what = f"{plural(len(empty), 'case')} of {len(audit.cases)} without a lesion: S is 0 there, patches lie at random."
    command = f"nnUNetv2_sizepenalty split -d {audit.number}"
    return [Finding(NOTE, "lesion-free cases", what, "Keep them, spread over the folds.", tuple(empty), command)]


def _ignore(audit: AuditedDataset) -> int | None:
    return audit.dataset.settings["labels"].get("ignore")


def _one_component(components: Sequence[Mapping[int, int]]) -> bool:
    counts = [n for case in components for n in case.values() if n]
    return sum(n == 1 for n in counts) >= ONE_COMPONENT * len(counts)


def _listed(values: Sequence[int]) -> str:
    """ "3, 4, 5" or "1 to 40 (38 values)"."""
    if len(values) <= 8:
        return ", ".join(map(str, values))
    return f"{min(values)} to {max(values)} ({len(values)} values)"
