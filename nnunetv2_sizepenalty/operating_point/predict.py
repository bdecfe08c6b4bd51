"""Probabilities of validation cases from nnU-Net's predictor, without a file."""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP


@dataclass(frozen=True)
class Prediction:
    """How validation cases are predicted; nnU-Net's own validation has `VALIDATION_STEP` and mirrors, too."""

    checkpoint: str = FINAL
    step_size: float = VALIDATION_STEP
    device: str = "cuda"


class FoldPredictor:
    """One fold's model and its preprocessed cases, predicted as nnU-Net's final validation predicts them."""

    def __init__(self, model: ModelFolder, fold: str, how: Prediction):
        """Loads the model.

        Raises:
            UserError: the checkpoint or the preprocessed data are missing.
        """
        if not (model.fold_folder(fold) / how.checkpoint).is_file():
            raise UserError(f"{model.fold_folder(fold) / how.checkpoint} is missing: name another with -chk")
        device = torch.device(how.device)
        with contextlib.redirect_stdout(io.StringIO()):  # it says on the CPU that it isn't a GPU
            self._predictor = nnUNetPredictor(
                tile_step_size=how.step_size,
                device=device,
                perform_everything_on_device=device.type == "cuda",
                allow_tqdm=False,
            )
            self._predictor.initialize_from_trained_model_folder(str(model.path), (fold,), how.checkpoint)
        configuration = self._predictor.configuration_manager
        data = model.preprocessed / configuration.data_identifier
        if not data.is_dir():
            raise UserError(f"{data} is missing: run nnUNetv2_preprocess, or set nnUNet_preprocessed")
        previous = configuration.previous_stage_name
        self._dataset = infer_dataset_class(str(data))(
            str(data),
            None,
            folder_with_segs_from_previous_stage=str(model.previous_stage(previous)) if previous else None,
        )
        self._data = data

    def logits(self, case: str) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Predicts the preprocessed case: float16 logits (channels, z, y, x), and its properties.

        Raises:
            UserError: it isn't preprocessed.
        """
        try:
            image, _, previous, properties = self._dataset.load_case(case)
        except (OSError, RuntimeError) as error:
            raise UserError(f"{case} can't be read from {self._data} ({error}): run nnUNetv2_preprocess") from error
        image = np.array(image[:])
        if previous is not None:
            labels = self._predictor.label_manager.foreground_labels
            image = np.vstack((image, convert_labelmap_to_one_hot(previous[:], labels, output_dtype=image.dtype)))
        logits = self._predictor.predict_logits_from_preprocessed_data(torch.from_numpy(image))
        return logits.cpu().numpy(), properties


def probabilities_from_logits(logits: np.ndarray, properties: Mapping[str, Any], model: ModelFolder) -> np.ndarray:
    """Makes probabilities in the original image's grid, by the function with which nnU-Net writes its .npz."""
    plans = model.manager
    _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        plans,
        plans.get_configuration(model.identifier[2]),
        plans.get_label_manager(model.dataset_json),
        properties,
        return_probabilities=True,
        num_threads_torch=1,
    )
    return probabilities
