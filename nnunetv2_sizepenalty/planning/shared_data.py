"""Plans that preprocess alike share the preprocessed data: nothing is computed or stored twice."""

import json

# What decides how a case is preprocessed: plans that agree on it can share the preprocessed data.
PREPROCESSING = (
    "preprocessor_name",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_seg",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg_kwargs",
)


def share_preprocessed_data(plans: dict, stock: dict) -> None:
    """Points configurations of `plans` to the data of `stock` plans where both preprocess alike; in place."""
    if any(plans[key] != stock.get(key) for key in ("transpose_forward", "image_reader_writer")):
        return
    for name, configuration in plans["configurations"].items():
        other = stock["configurations"].get(name, {})
        if "data_identifier" in configuration and "data_identifier" in other:
            ours, theirs = (json.loads(json.dumps(_plain(c))) for c in (configuration, other))
            if ours == theirs:
                configuration["data_identifier"] = other["data_identifier"]


def _plain(configuration: dict) -> dict:
    plain = {key: configuration.get(key) for key in PREPROCESSING}
    return plain | {"spacing": [float(value) for value in configuration["spacing"]]}
