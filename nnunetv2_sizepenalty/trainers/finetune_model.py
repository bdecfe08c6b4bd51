"""Fine-tunes the folds of a trained model with another loss, through nnUNetv2_train."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON, PLANS_JSON
from nnunetv2_sizepenalty.nnunet_io.fold_folder import (
    finished,
    fold_name,
    resumable_checkpoint,
    set_aside_unreadable,
    validated,
)
from nnunetv2_sizepenalty.nnunet_io.folders import PREPROCESSED, RESULTS, nnunet_folder
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder, model_name
from nnunetv2_sizepenalty.scripts import installed_script
from nnunetv2_sizepenalty.trainers.finetune import SOURCE, refuse_other_network
from nnunetv2_sizepenalty.trainers.names import right_spelling

# what a plan must have in common with the model's, of its configuration
_SAME = ("architecture", "spacing", "patch_size", "normalization_schemes", "data_identifier")


@dataclass(frozen=True)
class FineTuning:
    """A trained model and the trainer that goes on with it.

    Attributes:
        model: the folder that is started from.
        trainer: its name ends in `_finetune` (but for length and seed).
        checkpoint: of each fold of `model`.
    """

    model: ModelFolder
    trainer: str
    checkpoint: str

    @property
    def output(self) -> Path:
        """The results folder of the new trainer."""
        _, plans, configuration = self.model.identifier
        return nnunet_folder(RESULTS) / self.model.dataset / model_name(self.trainer, plans, configuration)

    def source(self, fold: str) -> Path:
        return self.model.path / fold_name(fold) / self.checkpoint


def finetuning_name(name: str) -> str:
    """Adds `_finetune` to a trainer's name, in its place.

    >>> finetuning_name("nnUNetTrainerDK_nnUNet_sizeweight4_50epochs")
    'nnUNetTrainerDK_nnUNet_sizeweight4_finetune_50epochs'

    Raises:
        UserError: the name is none of ours.
    """
    right = right_spelling(name if "finetune" in name.split("_") else f"{name}_finetune")
    if right is None:
        raise UserError(f"-tr {name} is not a name of ours; `nnUNetv2_sizepenalty trainers {name}` says what is wrong")
    return right


def check(tuning: FineTuning, folds: Sequence[str]) -> None:
    """Compares plan, network, channels and classes before anything is trained or written.

    Raises:
        UserError: something is missing, or differs from what the model was trained with.
    """
    for variable in (PREPROCESSED, RESULTS):
        if nnunet_folder(variable) is None:
            raise UserError(f"{variable} is not set: finetune trains with nnU-Net, which needs it")
    missing = [tuning.source(fold) for fold in folds if not tuning.source(fold).is_file()]
    if missing:
        raise UserError(
            f"{missing[0]} is missing: fine-tuning starts from it; name the folds that were trained with -f"
        )
    model = tuning.model
    _, plans, configuration = model.identifier
    dataset_file, plans_file = model.preprocessed / DATASET_JSON, model.preprocessed / f"{plans}.json"
    dataset = read_json(dataset_file)
    for key in ("channel_names", "labels", "regions_class_order"):
        if dataset.get(key) != model.dataset_json.get(key):
            raise UserError(
                f"{dataset_file}: {key} is {dataset.get(key)}, the model was trained with "
                f"{model.dataset_json.get(key)}; fine-tune it on the channels and classes that it knows"
            )
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    ours, theirs = (
        manager.get_configuration(configuration) for manager in (PlansManager(read_json(plans_file)), model.manager)
    )
    for key in _SAME:
        if ours.configuration.get(key) != theirs.configuration.get(key):
            raise UserError(
                f"{plans_file}: {configuration} has another {key} than {model.path / PLANS_JSON}; fine-tune with the "
                "plan that the model was trained with"
            )
    weights = load_checkpoint(tuning.source(folds[0]), mmap=True)["network_weights"]
    refuse_other_network(tuning.source(folds[0]), weights, _own_parameters(tuning))


def _own_parameters(tuning: FineTuning) -> dict[str, Any]:
    """The parameters of the network that the trainer would build."""
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    from nnunetv2_sizepenalty.trainers.factory import trainer_class

    manager, dataset = tuning.model.manager, tuning.model.dataset_json
    configuration = manager.get_configuration(tuning.model.identifier[2])
    channels = determine_num_input_channels(manager, configuration, dataset)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    network = trainer_class(tuning.trainer).build_network_architecture(manager, configuration, channels, heads, True)
    return network.state_dict()


def train_fold(tuning: FineTuning, fold: str, device: str) -> None:
    """Runs nnUNetv2_train for one fold, from where its files say it stands; probabilities are saved for `threshold`.

    Raises:
        UserError: it started from another checkpoint before, or nnUNetv2_train failed.
    """
    folder = tuning.output / fold_name(fold)
    if finished(folder) and validated(folder, tuning.model.validation_cases(fold)):
        print(f"fold {fold} is finished: {folder}")
        return
    _name_source(folder, tuning.source(fold))
    for line in set_aside_unreadable(folder):
        print(line)
    _, plans, configuration = tuning.model.identifier
    command = [installed_script("nnUNetv2_train"), tuning.model.dataset, configuration, fold, "-tr", tuning.trainer]
    command += ["-p", plans, "-device", device, "--npz", *(["--c"] if resumable_checkpoint(folder) else [])]
    code = subprocess.run(command, env=os.environ).returncode
    if code:
        raise UserError(f"fold {fold}: nnUNetv2_train ended with {code}; the same command goes on where it stopped")


def _name_source(folder: Path, source: Path) -> None:
    """Writes where the fold starts from, once."""
    file, content = folder / SOURCE, {"checkpoint": str(source.resolve())}
    if file.is_file():
        if read_json(file) != content:
            raise UserError(
                f"{folder} was started from {read_json(file)['checkpoint']}: move it away to start from {source}"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as temporary:
        Path(temporary).write_text(json.dumps(content))
