r"""Averaging logits, as nnU-Net does, against averaging probabilities, as the thesis does, over tiles and eight flips.

python benchmarks/logit_averaging.py RESULTS_FOLDER IMAGES LABELS [-f 0] [--step-size 0.5]

Both on the preprocessed grid, before nnU-Net resamples its prediction. With a model of the demo, on its test cases:

    nnUNetv2_sizepenalty demo -o demo
    export nnUNet_raw=demo/nnUNet_raw nnUNet_preprocessed=demo/nnUNet_preprocessed nnUNet_results=demo/nnUNet_results
    nnUNetv2_sizepenalty convert isles22 demo/phantom/test -d 998 -n PhantomTest
    python benchmarks/logit_averaging.py \
        $nnUNet_results/Dataset999_Phantom/nnUNetTrainer_1epoch__nnUNetDemoPlans__3d_fullres \
        $nnUNet_raw/Dataset998_PhantomTest/imagesTr $nnUNet_raw/Dataset998_PhantomTest/labelsTr
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import nn


class Probabilities(nn.Module):
    """A network that returns probabilities, so that nnU-Net's sliding window averages those."""

    def __init__(self, network: nn.Module, regions: bool):
        super().__init__()
        self.network = network
        self.activation = nn.Sigmoid() if regions else nn.Softmax(1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.activation(self.network(image))

    def load_state_dict(self, weights, *args, **kwargs):  # nnU-Net loads each fold's before it predicts
        return self.network.load_state_dict(weights, *args, **kwargs)


def foreground(averaged: torch.Tensor, regions: bool) -> np.ndarray:
    return averaged.float().numpy()[0 if regions else 1]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / max(a.sum() + b.sum(), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("-f", dest="fold", default="0")
    parser.add_argument("-device", default="cpu")
    parser.add_argument("--step-size", type=float, default=0.5)
    args = parser.parse_args()

    predictor = nnUNetPredictor(
        args.step_size,
        perform_everything_on_device=args.device == "cuda",
        device=torch.device(args.device),
        allow_tqdm=False,
    )
    fold = args.fold if args.fold == "all" else int(args.fold)
    predictor.initialize_from_trained_model_folder(str(args.model), (fold,), "checkpoint_final.pth")
    network, regions = predictor.network, predictor.label_manager.has_regions
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    ending = predictor.dataset_json["file_ending"]
    print("case, lesion voxels, voxels cut differently, mean and max difference, Dice of logits, of probabilities")
    rows = []
    for label in sorted(args.labels.glob(f"*{ending}")):
        case = label.name.removesuffix(ending)
        files = sorted(str(path) for path in args.images.glob(f"{case}_[0-9][0-9][0-9][0-9]{ending}"))
        if not files:
            continue
        data, reference, _ = preprocessor.run_case(
            files, str(label), predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
        )
        image = torch.as_tensor(np.asarray(data))
        reference = np.asarray(reference)[0] > 0
        predictor.network = network
        logits = predictor.predict_logits_from_preprocessed_data(image)
        ours = foreground(logits.float().sigmoid() if regions else logits.float().softmax(0), regions)
        predictor.network = Probabilities(network, regions)
        theirs = foreground(predictor.predict_logits_from_preprocessed_data(image), regions)
        difference = np.abs(ours - theirs)
        cut = ours > 0.5, theirs > 0.5
        rows.append(
            (
                reference.sum(),
                (cut[0] != cut[1]).sum(),
                difference.mean(),
                difference.max(),
                *(dice(c, reference) for c in cut),
            )
        )
        print(case, *(f"{value:.4g}" for value in rows[-1]), sep=", ", flush=True)
    print("mean", *(f"{value:.4g}" for value in np.mean(rows, 0)), sep=", ")


if __name__ == "__main__":
    main()
