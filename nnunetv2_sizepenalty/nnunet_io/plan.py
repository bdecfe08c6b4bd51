"""The plan and configuration in a dataset's folder of preprocessed data that is meant."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset
from nnunetv2_sizepenalty.nnunet_io.file_names import NNUNET_PLANS
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager


@dataclass(frozen=True)
class Plan:
    """A configuration of a plans file, which need not exist.

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
    def configurations(self) -> tuple[str, ...]:
        """All that the file has."""
        return tuple(read_json(self.path)["configurations"])

    @property
    def manager(self) -> "PlansManager":
        """nnU-Net's view of the plans."""
        return _managers(self.path, self.configuration)[0]

    @property
    def settings(self) -> "ConfigurationManager":
        """nnU-Net's view of the configuration, with all that it inherits."""
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
        """Tells whether the case is preprocessed."""
        return (self.folder / f"{case}.pkl").is_file()

    def label_manager(self, settings: dict[str, Any]) -> "LabelManager":
        """nnU-Net's view of dataset.json's labels."""
        return self.manager.get_label_manager(settings)


@cache
def _managers(path: Path, configuration: str) -> tuple["PlansManager", "ConfigurationManager"]:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(str(path))
    return manager, manager.get_configuration(configuration)


def plans_file(folder: Path, name: str = NNUNET_PLANS) -> Path:
    """Names the plans file in a dataset's preprocessed folder; nnU-Net's own without a name."""
    return folder / f"{name}.json"


def find_plan(dataset: Dataset, name: str | None, configuration: str | None) -> Plan | None:
    """Finds a plan; without a name nnU-Net's own or the only one there is, None where there is none.

    Without a configuration 3d_fullres, or 2d where that is not planned.

    Raises:
        UserError: a plan or configuration was named that does not exist, or several plans and none of nnU-Net's own.
    """
    there = _names_of_plans(dataset.folder)
    if name is None and not there:
        if configuration is not None:
            raise UserError(
                f"-c {configuration}: {dataset.folder} holds no plans; {_plan_command(dataset)} writes them"
            )
        return None
    if name is None:
        name = NNUNET_PLANS if NNUNET_PLANS in there else there[0]
        if len(there) > 1 and name != NNUNET_PLANS:
            raise UserError(f"{dataset.folder}: holds {', '.join(there)}; name one with -p")
    path = plans_file(dataset.folder, name)
    if name not in there:
        known = f"there are {', '.join(there)}" if there else f"{_plan_command(dataset)} writes nnU-Net's own"
        raise UserError(f"-p {name}: {path} does not exist; {known}")
    planned = Plan(path, "").configurations
    if configuration is None:
        configuration = next((usual for usual in ("3d_fullres", "2d") if usual in planned), planned[0])
    if configuration not in planned:
        raise UserError(f"-c {configuration}: not in {path}; there are {', '.join(planned)}")
    return Plan(path, configuration)


def _names_of_plans(folder: Path) -> Sequence[str]:
    """Of every plans file of a preprocessed dataset's folder."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text())
        except ValueError:
            continue  # no plans, whatever it is
        if isinstance(content, dict) and {"configurations", "plans_name"} <= set(content):
            found.append(path.stem)
    return found


def _plan_command(dataset: Dataset) -> str:
    return f"nnUNetv2_plan_and_preprocess -d {dataset.number}"


def preprocess_command(plan: Plan, dataset: str | int) -> str:
    """Writes the command that preprocesses a dataset's cases for a plan."""
    return f"nnUNetv2_preprocess -d {dataset} -plans_name {plan.name} -c {plan.configuration}"
