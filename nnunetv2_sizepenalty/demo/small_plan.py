"""A plan small enough for a CPU: nnU-Net's own plan with a smaller patch, batch and network."""

from collections.abc import Sequence
from copy import deepcopy

from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props


def shrink_plan(
    plans: dict, name: str, *, configuration: str, patch_size: Sequence[int], batch_size: int, features: Sequence[int]
) -> dict:
    """Returns nnU-Net's plans with `configuration` made small.

    Args:
        plans: as nnUNetv2_plan_experiment wrote them.
        name: of the new plans, which is also that of their file.
        configuration: kept and shrunk, the others are dropped.
        patch_size: voxels per axis, in the plan's axis order.
        features: of each stage; nnU-Net's topology for the patch decides the strides.

    Raises:
        ValueError: fewer than three stages: nnU-Net's deep supervision gives the lowest output no weight, and the
            weights of a single one are 0 / 0 (nnUNetTrainer._build_loss).
    """
    plans = deepcopy(plans)
    small = plans["configurations"][configuration]
    _, strides, kernel_sizes, _, _ = get_pool_and_conv_props(
        small["spacing"], patch_size, min_feature_map_size=4, max_numpool=len(features) - 1
    )
    n_stages = min(len(features), len(strides))
    if n_stages < 3:
        raise ValueError(f"{n_stages} stages: nnU-Net's loss needs three; take more features or a larger patch")
    arch_kwargs = small["architecture"]["arch_kwargs"]
    per_stage = "n_conv_per_stage" if "n_conv_per_stage" in arch_kwargs else "n_blocks_per_stage"
    arch_kwargs |= {
        "n_stages": n_stages,
        "features_per_stage": list(features[:n_stages]),
        "strides": [list(map(int, stride)) for stride in strides[:n_stages]],
        "kernel_sizes": [list(map(int, kernel)) for kernel in kernel_sizes[:n_stages]],
        per_stage: arch_kwargs[per_stage][:n_stages],
        "n_conv_per_stage_decoder": arch_kwargs["n_conv_per_stage_decoder"][: n_stages - 1],
    }
    small |= {"patch_size": list(patch_size), "batch_size": batch_size, "data_identifier": f"{name}_{configuration}"}
    plans |= {"plans_name": name, "configurations": {configuration: small}}
    return plans
