"""Which cases train, validate and test in each fold; pure functions of names, groups, volumes and sites."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.folds import Fold

N_TENTHS = 10

# Cases with a lesion are balanced by the quarter of the data set's volumes that theirs falls into.
N_VOLUME_BINS = 4


def thesis_folds(order: Sequence[str], n_folds: int = 5) -> list[Fold]:
    """Ten sequential tenths; fold k tests tenth k, validates on the next and trains on the other eight (thesis, 4.4).

    Args:
        order: every case once. Where ten does not divide their number, the first tenths hold one more.

    Raises:
        UserError: fewer cases than tenths, or more folds than tenths.
    """
    if len(order) < N_TENTHS:
        raise UserError(f"{len(order)} cases are too few for ten tenths; use --scheme stratified")
    if not 1 <= n_folds <= N_TENTHS:
        raise UserError(f"--folds {n_folds}: the thesis's scheme has 1 to {N_TENTHS} folds")
    tenths = [tuple(order[i] for i in part) for part in np.array_split(np.arange(len(order)), N_TENTHS)]
    return [
        Fold(
            train=tuple(name for i, tenth in enumerate(tenths) if i not in (k, (k + 1) % N_TENTHS) for name in tenth),
            val=tenths[(k + 1) % N_TENTHS],
            test=tenths[k],
        )
        for k in range(n_folds)
    ]


def hold_out(groups: Mapping[str, str], share: float, seed: int) -> tuple[str, ...]:
    """Draws a test part of at most `share` of the cases, by whole groups and nothing but their names and the seed.

    Args:
        groups: case -> group.

    Raises:
        UserError: the share is not below one, or no group is small enough.
    """
    if not 0 <= share < 1:
        raise UserError(f"--holdout {share:g}: a share from 0 to below 1")
    if share == 0:
        return ()
    members = _members(groups)
    left = round(share * len(groups))
    held = []
    for group in np.random.default_rng(seed).permutation(sorted(members)):
        if len(members[group]) <= left:
            held += members[group]
            left -= len(members[group])
    if not held:
        raise UserError(f"--holdout {share:g} of {len(groups)} cases is less than the smallest group; raise it")
    return tuple(sorted(held))


def stratified_folds(
    volumes_ml: Mapping[str, float],
    groups: Mapping[str, str],
    sites: Mapping[str, str] | None = None,
    *,
    test: Sequence[str] = (),
    n_folds: int = 5,
    seed: int = 0,
) -> list[Fold]:
    """Folds whose validation parts are alike in lesion volume, lesion-free cases and site.

    scikit-learn's StratifiedGroupKFold on strata of (site, lesion-free or quarter of volume). The result depends on
    names and values, not on the order of the mappings.

    Args:
        volumes_ml: case -> lesion volume; 0 is lesion-free. The cases to split, without `test`.
        groups: case -> group (patient); no group straddles folds.
        sites: case -> site.
        test: the held-out part, the same in each fold.

    Raises:
        UserError: fewer groups than folds, or sites too small to be balanced.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names = sorted(volumes_ml)
    n_groups = len({groups[name] for name in names})
    if not 2 <= n_folds <= n_groups:
        raise UserError(f"--folds {n_folds}: {n_groups} groups (patients) can make 2 to {n_groups} folds")
    stratum = {}
    for site in sorted(set(sites.values()) if sites else {""}):
        here = [name for name in names if not sites or sites[name] == site]
        found = _strata(np.array([volumes_ml[name] for name in here]), n_folds)
        stratum |= {name: f"{site} {kind}" for name, kind in zip(here, found, strict=True)}
    strata = [stratum[name] for name in names]
    if max(Counter(strata).values()) < n_folds:
        raise UserError(f"--site: no site has {n_folds} cases, one for each fold; leave it out or take fewer folds")
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Strata smaller than the number of folds are spread as far as they reach.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = list(splitter.split(names, strata, [groups[name] for name in names]))
    test = tuple(sorted(test))
    return [Fold(tuple(names[i] for i in train), tuple(names[i] for i in val), test) for train, val in parts]


def groups_by_pattern(names: Sequence[str], pattern: str) -> dict[str, str]:
    """Groups cases by what `pattern` finds in their names: its first group in brackets, else the whole match.

    Raises:
        UserError: the pattern is no regular expression, or a name does not match.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group {pattern}: neither a column of the CSV nor a regular expression ({error})") from None
    groups = {}
    for name in names:
        match = regex.search(name)
        if not match or not (found := match[1] if regex.groups else match[0]):
            raise UserError(
                f"case {name}: --group {pattern} is no column of a CSV and as a pattern finds nothing in it"
            )
        groups[name] = found
    return groups


def default_groups(names: Sequence[str]) -> dict[str, str]:
    """Groups cases by BIDS subject (`sub-...`) where the name holds one, else each case by itself."""
    return {name: match[0] if (match := re.match(r"sub-[A-Za-z0-9]+", name)) else name for name in names}


def check_folds(folds: Sequence[Fold], groups: Mapping[str, str]) -> None:
    """Whatever made the folds: each part holds known cases, no case and no group lies in two parts of a fold.

    Args:
        groups: every case of the data set -> its group.

    Raises:
        UserError: naming the first case that breaks a rule.
    """
    for k, fold in enumerate(folds):
        parts = {"train": fold.train, "val": fold.val, "test": fold.test}
        case_part: dict[str, str] = {}
        group_part: dict[str, tuple[str, str]] = {}
        for part, names in parts.items():
            for name in names:
                if name not in groups:
                    raise UserError(f"fold {k}: case {name} is not in the data set")
                if name in case_part:
                    raise UserError(f"fold {k}: case {name} is in {case_part[name]} and again in {part}")
                case_part[name] = part
                other, other_name = group_part.setdefault(groups[name], (part, name))
                if other != part:
                    raise UserError(
                        f"fold {k}: group {groups[name]} straddles {other} ({other_name}) and {part} ({name});"
                        " use --scheme stratified, or an order in which no patient crosses a tenth's end"
                    )
        if not fold.train or not fold.val:
            raise UserError(
                f"fold {k}: no case is left to {'validate on' if fold.train else 'train on'}; use fewer folds"
            )


def _members(groups: Mapping[str, str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for name in sorted(groups):
        members.setdefault(groups[name], []).append(name)
    return members


def _strata(volumes_ml: np.ndarray, n_folds: int) -> list[str]:
    """Lesion-free or its volume's bin, for each case; up to `N_VOLUME_BINS` bins, each with a case for every fold."""
    free = volumes_ml == 0
    n_bins = int(np.clip((~free).sum() // n_folds, 1, N_VOLUME_BINS))
    ranks = pd.Series(volumes_ml).where(~free).rank(method="first") - 1
    bins = ranks * n_bins // max((~free).sum(), 1)
    # Too few with a lesion and too few without to keep them apart.
    apart = max(free.sum(), (~free).sum()) >= n_folds
    return ["all" if not apart else "free" if is_free else f"bin {b:g}" for is_free, b in zip(free, bins, strict=True)]
