"""What integration tests share: nnU-Net's folders and one tiny preprocessed dataset, made once a test process."""

import pytest
from nnunet_commands import FOLDERS, TinyDataset, Workspace, write_small_plan


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Workspace:
    """nnU-Net's three folders, empty."""
    folder = tmp_path_factory.mktemp("nnunet")
    for name in FOLDERS:
        (folder / name).mkdir()
    return Workspace(folder)


@pytest.fixture(scope="session")
def tiny_dataset(workspace) -> TinyDataset:
    """Phantom, converted, planned and preprocessed by the commands of the README; made once a test process."""
    phantom, images = workspace.folder / "phantom", workspace.folder / "test_images"
    shape = ("--shape", "24", "32", "32", "--spacing", "6", "6", "6")
    workspace.run("nnUNetv2_sizepenalty", "phantom", "-o", phantom, "--cases", 5, "--seed", 3, *shape)
    workspace.run("nnUNetv2_sizepenalty", "convert", "isles22", phantom, "-d", 997, "-n", "Tiny")
    patterns = [
        argument
        for role in ("adc", "dwi")
        for argument in (f"--{role}", phantom / "rawdata" / "*" / "*" / f"*_{role}.nii.gz")
    ]
    workspace.run("nnUNetv2_sizepenalty", "convert", "images", *patterns, "-o", images)
    for extra in sorted(images.glob("*.nii.gz"))[6:]:  # two cases are enough to predict
        extra.unlink()
    workspace.run("nnUNetv2_extract_fingerprint", "-d", 997, "-np", 1, "--verify_dataset_integrity")
    workspace.run("nnUNetv2_plan_experiment", "-d", 997, nnUNet_n_proc_DA="1")  # 0 breaks nnU-Net's planner
    write_small_plan(
        workspace,
        "Dataset997_Tiny",
        "TinyPlans",
        configuration="3d_fullres",
        patch_size=(8, 16, 16),
        batch_size=2,
        features=(4, 8, 8),
    )
    workspace.run("nnUNetv2_preprocess", "-d", 997, "-plans_name", "TinyPlans", "-c", "3d_fullres", "-np", 1)
    return TinyDataset(workspace, "997", "Dataset997_Tiny", "TinyPlans", images, phantom)
