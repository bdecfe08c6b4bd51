"""nnU-Net's planner with AttentionASPPUNet in every configuration, and the recipe's patches in one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json
from nnunetv2_sizepenalty.nnunet_io.plan import plans_file
from nnunetv2_sizepenalty.planning.memory import CUDA_RESERVE, GIB, StepMemory, simulate_step
from nnunetv2_sizepenalty.planning.notes import by, memory_note, padding_note, rounding_note
from nnunetv2_sizepenalty.planning.shared_data import share_preprocessed_data
from nnunetv2_sizepenalty.planning.topology import (
    PRESET_BATCH_SIZE,
    PRESET_SMALL_PATCH,
    PRESETS,
    SMALL_PATCH_PROBABILITY,
    Topology,
    architecture,
    default_small_patch,
    rounded_up,
    topology_for,
)

PLANS_NAME = "nnUNetSizePenaltyPlans"


@dataclass(frozen=True)
class Request:
    """What a user wants of one configuration; None leaves it to the planner.

    Attributes:
        patch_size, small_patch_size: voxels in the images' own axis order (z, y, x), two of them for 2d.
        batch_size: patches of the large size per batch.
        preset: a key of `PRESETS`, whose patches are slices first whatever the images' order.
    """

    patch_size: tuple[int, ...] | None = None
    small_patch_size: tuple[int, ...] | None = None
    batch_size: int | None = None
    preset: str | None = None


class SizePenaltyPlanner(ExperimentPlanner):
    """Plans `request` for one configuration and fits the others to the images and the memory target.

    Patch and batch that nobody asked for follow nnU-Net's procedure (the largest patch of which two fit, then as
    many as fit, but no more than 5 % of the data set), with memory estimated by `memory.py`.

    Attributes:
        notes: lines for the user about the requested configuration, after `plan_experiment`.
    """

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        *,
        configuration: str = "3d_fullres",
        request: Request | None = None,
    ):
        super().__init__(dataset_name_or_id, gpu_memory_target_in_gb, plans_name=PLANS_NAME)
        self.configuration = configuration
        self.request = request or Request()
        self.notes: list[str] = []
        self._caches: dict[str, dict] = {}
        # nnU-Net compares `estimate / bs * 2` with `value * target / 8`: in bytes with these.
        self.UNet_reference_val_2d = self.UNet_reference_val_3d = self.UNet_reference_val_corresp_GB * GIB
        self.UNet_reference_val_corresp_bs_2d = self.UNet_reference_val_corresp_bs_3d = 1

    def get_plans_for_configuration(
        self, spacing, median_shape, data_identifier: str, approximate_n_voxels_dataset: float, _cache: dict
    ) -> dict:
        """nnU-Net's entries with our patch, batch and network."""
        name = data_identifier.removeprefix(f"{self.plans_identifier}_")
        request = self.request if name == self.configuration else Request()
        # Both are read by static_estimate_VRAM_usage, which nnU-Net's procedure calls below.
        self._patch_is_given = request.patch_size is not None or request.preset is not None
        self._fit_batch = request.batch_size or self.UNet_min_batch_size
        plan = super().get_plans_for_configuration(
            spacing, median_shape, data_identifier, approximate_n_voxels_dataset, self._caches.setdefault(name, {})
        )
        if self._patch_is_given:
            asked = PRESETS[request.preset] if request.preset else self._network_order(request.patch_size, spacing)
            topology = topology_for(asked, spacing)
        else:
            asked = tuple(map(int, plan["patch_size"]))
            kwargs = plan["architecture"]["arch_kwargs"]
            topology = Topology(asked, kwargs["strides"], kwargs["kernel_sizes"])
        notes = rounding_note("--patch", asked, topology.patch_size, topology.divisor)
        small, small_notes = self._small_patch(request, topology, spacing)
        memory = self._memory(topology)
        batch_size = self._batch_size(request, memory, topology, approximate_n_voxels_dataset)
        plan |= {
            "batch_size": batch_size,
            "patch_size": list(topology.patch_size),
            "architecture": architecture(topology),
            "size_penalty": {
                "small_patch_size": list(small),
                "small_patch_probability": SMALL_PATCH_PROBABILITY,
            },
        }
        if name == self.configuration:
            self.notes = [
                *notes,
                *small_notes,
                *padding_note(median_shape, topology.patch_size),
                memory_note(memory, batch_size, self.UNet_vram_target_GB),
            ]
        return plan

    def static_estimate_VRAM_usage(
        self, patch_size, input_channels, output_channels, arch_class_name, arch_kwargs, arch_kwargs_req_import
    ) -> float:
        """Half the bytes that a step with the smallest wanted batch needs: nnU-Net doubles them."""
        if self._patch_is_given:
            return 1.0
        topology = Topology(tuple(map(int, patch_size)), arch_kwargs["strides"], arch_kwargs["kernel_sizes"])
        needed = self._memory(topology).at(self._fit_batch) + CUDA_RESERVE
        if needed > self.UNet_vram_target_GB * GIB and math.prod(topology.patch_size) <= 16 ** len(topology.patch_size):
            raise UserError(
                f"--gpu-memory-gb {self.UNet_vram_target_GB:g}: too little even for patches of 16 voxels a side, "
                f"about {needed / GIB:.1f} GB are needed; raise it or name --patch and --batch"
            )
        return needed / 2

    def save_plans(self, plans: dict) -> None:
        """Writes the plans as nnU-Net does, naming nnU-Net's preprocessed data where they would be the same.

        Raises:
            UserError: the requested configuration has no patch of its own among the plans; nothing is written.
        """
        own = [name for name, entry in plans["configurations"].items() if "inherits_from" not in entry]
        if self.configuration not in own:
            raise UserError(
                f"-c {self.configuration}: {self.dataset_name} can be planned for {', '.join(own)}; name one"
            )
        stock = plans_file(Path(nnUNet_preprocessed) / self.dataset_name)
        if stock.is_file():
            share_preprocessed_data(plans, read_json(stock))
        super().save_plans(plans)

    def _network_order(self, size: Sequence[int], spacing: Sequence[float]) -> tuple[int, ...]:
        """From the images' axis order to the network's. The plane of 2d keeps its own."""
        return tuple(size) if len(spacing) == 2 else tuple(size[axis] for axis in self.determine_transpose()[0])

    def _small_patch(
        self, request: Request, topology: Topology, spacing: Sequence[float]
    ) -> tuple[tuple[int, ...], list[str]]:
        if request.small_patch_size is not None:
            asked = self._network_order(request.small_patch_size, spacing)
        elif request.preset is not None:
            asked = PRESET_SMALL_PATCH
        else:
            asked = default_small_patch(topology)
        small = rounded_up(asked, topology.divisor)
        if any(a > b for a, b in zip(small, topology.patch_size, strict=True)):
            raise UserError(
                f"--small-patch {by(asked)}: larger than the patch {by(topology.patch_size)}; name a smaller one"
            )
        if small == topology.divisor:
            raise UserError(
                f"--small-patch {by(asked)}: the network makes a single voxel of it, which can't be normalised; "
                f"name at least {by([2 * n for n in topology.divisor])} or a smaller --patch"
            )
        return small, rounding_note("--small-patch", asked, small, topology.divisor)

    def _memory(self, topology: Topology) -> StepMemory:
        if len(topology.strides) < 2:
            raise UserError(
                f"patch {by(topology.patch_size)}: too small for a U-Net; 8 voxels along two axes are needed"
            )
        n_channels = len(self.dataset_json.get("channel_names") or self.dataset_json["modality"])
        # Without "ignore"; a region more or less doesn't move the estimate.
        n_heads = len([label for label in self.dataset_json["labels"] if label != "ignore"])
        return plan_memory(topology, n_channels, n_heads)

    def _batch_size(
        self, request: Request, memory: StepMemory, topology: Topology, approximate_n_voxels_dataset: float
    ) -> int:
        if request.batch_size is not None:
            return request.batch_size
        if request.preset is not None:
            return PRESET_BATCH_SIZE
        fitting = memory.largest_batch(self.UNet_vram_target_GB * GIB - CUDA_RESERVE)
        share = round(approximate_n_voxels_dataset * self.max_dataset_covered / math.prod(topology.patch_size))
        return max(min(fitting, share), self.UNet_min_batch_size)


def plan_memory(topology: Topology, n_channels: int, n_heads: int, *, mixed_precision: bool = True) -> StepMemory:
    """Estimates the memory of a patch and its network, without deep supervision."""
    reference = replace(topology, patch_size=tuple(16 * n for n in topology.divisor))
    memory = _simulated(reference, n_channels, n_heads, mixed_precision)
    return memory.scaled(math.prod(topology.patch_size) / math.prod(reference.patch_size))


@cache
def _simulated(topology: Topology, n_channels: int, n_heads: int, mixed_precision: bool) -> StepMemory:
    # Cached: nnU-Net's procedure tries dozens of patches with the same stages.
    entry = architecture(topology)
    build = partial(
        get_network_from_plans,
        entry["network_class_name"],
        entry["arch_kwargs"],
        entry["_kw_requires_import"],
        n_channels,
        n_heads,
        allow_init=False,
        deep_supervision=False,
    )
    return simulate_step(build, n_channels, topology.patch_size, mixed_precision=mixed_precision)
