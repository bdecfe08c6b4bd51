"""Planning a dataset: the fingerprint is nnU-Net's, the plans are written beside nnU-Net's own."""

from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
from nnunetv2_sizepenalty.nnunet_io.file_names import FINGERPRINT
from nnunetv2_sizepenalty.planning.planner import Request, SizePenaltyPlanner
from nnunetv2_sizepenalty.planning.topology import PRESETS


def check_request(configuration: str, request: Request) -> None:
    """Refuses, with a UserError, sizes that no plan can have or that do not go together."""
    n_axes = 2 if configuration == "2d" else 3
    if request.preset is not None and request.preset not in PRESETS:
        raise UserError(f"--preset {request.preset}: there are {', '.join(PRESETS)} and auto")
    if request.preset is not None and (request.patch_size is not None or n_axes == 2):
        raise UserError(f"--preset {request.preset} is a 3D patch of its own: leave out --patch, or -c 2d")
    for option, size in (("--patch", request.patch_size), ("--small-patch", request.small_patch_size)):
        if size is not None and (len(size) != n_axes or min(size) < 1):
            raise UserError(f"{option} {' '.join(map(str, size))}: -c {configuration} needs {n_axes} positive numbers")
    if request.batch_size is not None and request.batch_size < 1:
        raise UserError(f"--batch {request.batch_size}: at least 1 is needed")


def plan_dataset(
    dataset: str,
    *,
    configuration: str = "3d_fullres",
    request: Request | None = None,
    gpu_memory_gb: float = 8,
    processes: int = 1,
) -> SizePenaltyPlanner:
    """Writes `nnUNetSizePenaltyPlans.json`; a missing fingerprint is extracted first.

    Args:
        dataset: id or name.
        configuration: the one that `request` and the returned notes are about; all others are planned too.
        gpu_memory_gb: target for patches and batches that are not given.
        processes: for the fingerprint.

    Returns:
        The planner: its `plans` and its `notes`.

    Raises:
        UserError: nnU-Net's folders or the dataset are missing, or no plan fits the request; nothing is written.
    """
    request = request or Request()
    check_request(configuration, request)
    if not 0 < gpu_memory_gb < float("inf"):
        raise UserError(f"--gpu-memory-gb {gpu_memory_gb}: a positive number is needed")
    found = find_dataset(dataset)
    if not (found.folder / FINGERPRINT).is_file():
        print(f"{found.name} has no fingerprint yet: nnU-Net extracts it", flush=True)
        extract_fingerprint_dataset(convert_dataset_name_to_id(found.name), num_processes=processes, clean=False)
    planner = SizePenaltyPlanner(found.name, gpu_memory_gb, configuration=configuration, request=request)
    planner.plan_experiment()
    return planner
