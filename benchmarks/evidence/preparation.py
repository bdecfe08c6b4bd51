"""From raw data to folds and preprocessed cases, by nnU-Net's and this package's commands."""

import json
from collections.abc import Mapping
from pathlib import Path

from experiment import OURS, Evidence, Network, Place, Size

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.demo.small_plan import shrink_plan


def plan(evidence: Evidence, place: Place, size: Size, configuration: str) -> None:
    """Fingerprint and plans, each of the evidence's under its name."""
    place.run("fingerprint", "nnUNetv2_extract_fingerprint", "-d", evidence.dataset[7:10], "-np", 1, "--clean")
    if evidence.planner is None:
        place.run("plan", "nnUNetv2_plan_experiment", "-d", evidence.dataset[7:10])
        source = "nnUNetPlans"
    else:
        evidence.planner(place, size.network)
        source = "nnUNetSizePenaltyPlans"
    folder = Path(place.nnunet["nnUNet_preprocessed"]) / evidence.dataset
    plans = json.loads((folder / f"{source}.json").read_text())
    for name, entries in evidence.plans.items():
        new = _named(plans, name, configuration, size.network)
        new["configurations"][configuration] |= entries
        with atomic_file(folder / f"{name}.json") as path:
            path.write_text(json.dumps(new, indent=2))


def _named(plans: dict, name: str, configuration: str, network: Network | None) -> dict:
    if network is None:
        own = plans["configurations"][configuration] | {"data_identifier": f"{name}_{configuration}"}
        return {**plans, "plans_name": name, "configurations": {configuration: own}}
    small = shrink_plan(
        plans, name, configuration=configuration, patch_size=network.patch_size, batch_size=network.batch_size,
        features=network.features,
    )  # fmt: skip
    # those of the plan are for its own stages; without them they follow the map that reaches the bottleneck
    small["configurations"][configuration]["architecture"]["arch_kwargs"].pop("aspp_dilations", None)
    return small


def split(evidence: Evidence, place: Place) -> None:
    """Five folds beside a test part that no training sees."""
    if evidence.test_cases is None:
        command = ("split", "-d", evidence.dataset[7:10], "--holdout", 0.25, "--processes", 1, "--overwrite")
        place.run("split", OURS, *command)
        return
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.nnunet_io.folds import write_folds
    from nnunetv2_sizepenalty.splitting import splits
    from nnunetv2_sizepenalty.splitting.case_volumes import case_sizes

    dataset = find_dataset(evidence.dataset)
    groups = splits.default_groups(list(dataset.labels))
    test = evidence.test_cases(list(dataset.labels))
    volumes, _ = case_sizes(dataset, [case for case in dataset.labels if case not in set(test)])
    folds = splits.stratified_folds(volumes, groups, test=test)
    splits.check_folds(folds, groups)
    write_folds(dataset.folder, folds)


def prepare(evidence: Evidence, source: Path, place: Place, size: Size, matrix: Mapping) -> None:
    """Everything that comes before the first training."""
    place.step("raw", lambda: evidence.write_raw(source, place, size.cases))
    place.step("plan", lambda: plan(evidence, place, size, matrix["configuration"]))
    for name in evidence.plans:
        place.step(
            f"preprocess_{name}",
            lambda name=name: place.run(
                f"preprocess_{name}",
                *("nnUNetv2_preprocess", "-d", evidence.dataset[7:10], "-plans_name", name),
                *("-c", matrix["configuration"], "-np", 1 if size.device == "cpu" else 8),
            ),
        )
    place.step("split", lambda: split(evidence, place))
