"""Who found which lesion: a row per reference lesion."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.lesion_sizes import reference_lesions
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.setting import Setting

NONE = "none"
# the last three where the images have a spacing
PLACE = ("z", "y", "x", "x_mm", "y_mm", "z_mm")


def found_column(model: str) -> str:
    """The column of one model."""
    return f"found by {model}"


def who_found(models: Sequence[Model], setting: Setting) -> pd.DataFrame:
    """Lists the reference lesions, the largest first, each with who found it at the models' own operating points.

    Columns case, label, lesion, volume_ml (_px), voxels, `PLACE` (as in lesions.csv of `evaluate`), `found_column` of
    each model (the share of its repeats), found_by: "both" ("all" of three and more), "none", or the models' names. A
    model with repeats found it where more than half of them did.
    """
    keys, size = ["case", "label", "lesion"], setting.bins.unit.column("volume")
    first, *_ = reference_lesions(models[0], setting.label)
    place = [column for column in PLACE if column in first]
    table = first[[*keys, size, "voxels", *place]].reset_index(drop=True)
    for model in models:
        repeats = pd.concat(reference_lesions(model, setting.label))
        detected = repeats.assign(found=repeats["detected"].astype(float)).groupby(keys)["found"].mean()
        table[found_column(model.name)] = detected.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy()
    found = table[[found_column(model.name) for model in models]].to_numpy() > 0.5
    table["found_by"] = [_words(row, [model.name for model in models]) for row in found]
    return table.sort_values([size, *keys], ascending=[False, True, True, True], ignore_index=True)


def _words(found: np.ndarray, names: Sequence[str]) -> str:
    if found.all():
        return "both" if len(names) == 2 else "all"
    return ", ".join(name for name, one in zip(names, found, strict=True) if one) or NONE


def cases_to_show(lesions: pd.DataFrame) -> dict[str, int]:
    """Cases with lesions that some models found and others missed -> how many, the most first."""
    apart = lesions[~lesions["found_by"].isin(("both", "all", NONE))]
    return apart["case"].value_counts().to_dict()


def count_found(lesions: pd.DataFrame) -> Mapping[str, int]:
    """How many lesions each set of models found, those that all found first."""
    return lesions["found_by"].value_counts().to_dict()
