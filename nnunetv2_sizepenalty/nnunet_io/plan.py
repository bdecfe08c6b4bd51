"""The plan and configuration in a dataset's folder of preprocessed data that is meant."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset

STOCK = "nnUNetPlans"


@dataclass(frozen=True)
class Plan:
    """A configuration of a plans file.

    Attributes:
        path: of the plans file.
        configuration: its name.
    """

    path: Path
    configuration: str

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def manager(self) -> PlansManager:
        """nnU-Net's view of the plans."""
        return _managers(self.path, self.configuration)[0]

    @property
    def settings(self) -> ConfigurationManager:
        """nnU-Net's view of the configuration."""
        return _managers(self.path, self.configuration)[1]

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Voxels, two axes in a 2D configuration."""
        return tuple(int(n) for n in self.settings.patch_size)

    @property
    def folder(self) -> Path:
        """Where the preprocessed cases are, or would be."""
        return self.path.parent / self.settings.data_identifier

    def has(self, case: str) -> bool:
        """Whether the case is preprocessed."""
        return (self.folder / f"{case}.pkl").is_file()

    def label_manager(self, settings: dict) -> LabelManager:
        """nnU-Net's view of dataset.json's labels."""
        return self.manager.get_label_manager(settings)


@cache
def _managers(path: Path, configuration: str) -> tuple[PlansManager, ConfigurationManager]:
    manager = PlansManager(str(path))
    return manager, manager.get_configuration(configuration)


def find_plan(dataset: Dataset, name: str | None, configuration: str | None) -> Plan | None:
    """The plan that is asked for; without a name nnU-Net's own or the only one there is, None where there is none.

    Without a configuration 3d_fullres, or 2d where that is not planned.

    Raises:
        UserError: a plan or configuration was named that does not exist, or several plans and none of nnU-Net's own.
    """
    there = [path.stem for path in _plans_files(dataset.folder)]
    if name is None and not there:
        if configuration is not None:
            raise UserError(
                f"-c {configuration}: {dataset.folder} holds no plans; {_plan_command(dataset)} writes them"
            )
        return None
    if name is None:
        name = STOCK if STOCK in there else there[0]
        if name not in there or (len(there) > 1 and name != STOCK):
            raise UserError(f"{dataset.folder}: holds {', '.join(there)}; name one with -p")
    path = dataset.folder / f"{name}.json"
    if name not in there:
        known = f"there are {', '.join(there)}" if there else f"{_plan_command(dataset)} writes nnU-Net's own"
        raise UserError(f"-p {name}: {path} does not exist; {known}")
    planned = json.loads(path.read_text())["configurations"]
    if configuration is None:
        configuration = "3d_fullres" if "3d_fullres" in planned else "2d" if "2d" in planned else next(iter(planned))
    if configuration not in planned:
        raise UserError(f"-c {configuration}: not in {path}; there are {', '.join(planned)}")
    return Plan(path, configuration)


def _plans_files(folder: Path) -> Sequence[Path]:
    """Every plans file of a preprocessed dataset's folder."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text())
        except ValueError:
            continue  # no plans, whatever it is
        if isinstance(content, dict) and {"configurations", "plans_name"} <= set(content):
            found.append(path)
    return found


def _plan_command(dataset: Dataset) -> str:
    return f"nnUNetv2_plan_and_preprocess -d {dataset.number}"


def preprocess_command(plan: Plan, number: int) -> str:
    """What preprocesses the data set's cases for a plan."""
    return f"nnUNetv2_preprocess -d {number} -plans_name {plan.name} -c {plan.configuration}"
