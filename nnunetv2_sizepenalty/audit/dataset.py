"""All cases of a data set, audited in several processes, with its folds and its plan."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from nnunetv2_sizepenalty.audit.case import COLUMNS, AuditedCase, Work, audit_case
from nnunetv2_sizepenalty.audit.raw_case import CasePaths
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import PX, SizeBins
from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset, image_files
from nnunetv2_sizepenalty.nnunet_io.folds import Fold, nnunet_folds, read_folds
from nnunetv2_sizepenalty.nnunet_io.image_reader import find_reader
from nnunetv2_sizepenalty.nnunet_io.plan import Plan
from nnunetv2_sizepenalty.parallel import map_cases
from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions

MOST_TRIED = 5
ML_EDGES = (0.1, 1.0, 5.0)


@dataclass(frozen=True)
class AuditedDataset:
    """What all checks look at.

    Attributes:
        dataset: its name, folder and dataset.json.
        classes: name of each foreground class or region -> label values.
        channels: how many dataset.json names.
        cases: in the order of their names.
        lesions: the rows of all cases, and the column `bin` of their size.
        bins: of lesion size.
        folds: of splits_final.json, or nnU-Net's own where it does not exist.
        folds_exist: whether it does.
        plan: None without one.
    """

    dataset: Dataset
    classes: Mapping[str, tuple[int, ...]]
    channels: int
    cases: tuple[AuditedCase, ...]
    lesions: pd.DataFrame
    bins: SizeBins
    folds: tuple[Fold, ...]
    folds_exist: bool
    plan: Plan | None

    @property
    def number(self) -> int:
        """The data set's id."""
        return self.dataset.number


def audit_cases(dataset: Dataset, plan: Plan | None, *, processes: int = 1) -> AuditedDataset:
    """Reads every file of a data set once, and its preprocessed segmentations where there are any.

    Raises:
        UserError: dataset.json is not one of nnU-Net's.
    """
    settings = dataset.settings
    try:
        labels = read_labels(settings)
        channels = len(settings["channel_names"] if "channel_names" in settings else settings["modality"])
    except KeyError as error:
        raise UserError(f"{dataset.name}/dataset.json: nnU-Net refuses it ({error}); mend it") from None
    except UserError as error:
        raise UserError(f"{dataset.name}/{error}") from None
    classes = {label.name: label.declared for label in labels.by_channel}
    images = image_files(dataset)
    paths = [CasePaths(case, images[case], label) for case, label in sorted(dataset.labels.items())]
    reader = _reader(settings, paths)
    found = {}
    if plan is not None:
        there = [path.case for path in paths if plan.has(path.case)]
        found = find_lesions(plan.folder, there, list(classes.values()), processes=processes)
    work = partial(audit_case, work=Work(reader, settings, classes, plan))
    items = [(path, found.get(path.case)) for path in paths]
    cases = map_cases(work, items, processes=processes, description="Audit")
    flat = all(case.flat for case in cases if case.raw.label is not None)
    bins = SizeBins(PX.edges, PX) if flat else SizeBins(ML_EDGES)
    lesions = pd.concat([case.lesions for case in cases], ignore_index=True)
    lesions = lesions.astype(dict.fromkeys(COLUMNS[2:], float))  # a case without a lesion has no types
    lesions = lesions.assign(bin=bins.index(lesions["size"].to_numpy()))
    cases = tuple(replace(case, lesions=case.lesions.iloc[:0]) for case in cases)
    folds = read_folds(dataset.folder)
    shown = folds if folds is not None else nnunet_folds([path.case for path in paths])
    return AuditedDataset(dataset, classes, channels, cases, lesions, bins, shown, folds is not None, plan)


def _reader(settings: dict, paths: Sequence[CasePaths]) -> type:
    """nnU-Net's reader for the data set, found by reading an image as nnU-Net does; another where one is damaged."""
    examples = [path for case in paths for path in case.images if path.is_file()]
    for path in examples[:MOST_TRIED]:
        with contextlib.suppress(UserError):
            return find_reader(settings, path)
    tried = f"{examples[0]} and what follows" if examples else "there are no images"
    raise UserError(f"file_ending {settings.get('file_ending')}: nnU-Net has no reader that reads a file ({tried})")
