"""The lesions of one class or region by their size."""

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset

MEDIANS = ("voxels", "kept", "patch_weight", "own_weight")


def by_size(audit: AuditedDataset, label: str) -> pd.DataFrame:
    """Makes a row a bin of size, in the order of `audit.bins`; NaN where nothing can be said.

    Returns:
        Columns `size` (the bin's name), `lesions`, `cases` with such a lesion, `lost` at the plan's spacing, the share
        of forced centres `by_voxel` and `by_lesion` (each adds up to 1 over the bins), and the medians of `MEDIANS`
        over the lesions (`kept` and the weights over those that are not lost).
    """
    lesions = audit.lesions[audit.lesions["label"] == label]
    planned = lesions["kept"].notna()
    shares = {name: lesions[name].sum() for name in ("by_voxel", "by_lesion")}
    rows = []
    for index, name in enumerate(audit.bins.names):
        here = lesions[lesions["bin"] == index]
        survivors = here[here["kept"] > 0]
        rows.append(
            {
                "size": name,
                "lesions": len(here),
                "cases": here["case"].nunique(),
                "lost": (here["kept"] == 0).sum() if planned.any() else np.nan,
                **{key: here[key].sum() / total if total else np.nan for key, total in shares.items()},
                **{key: _median(here if key == "voxels" else survivors, key) for key in MEDIANS},
            }
        )
    return pd.DataFrame(rows)


def _median(lesions: pd.DataFrame, column: str) -> float:
    return float(lesions[column].median()) if len(lesions) else float("nan")
