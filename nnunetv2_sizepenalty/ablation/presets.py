"""Trainers that are worth a try together, by name; the first is the baseline."""

# None is known to be better: they say where a lesion is, or which voxels are hardest, on top of nnU-Net's losses.
PRESETS: dict[str, tuple[str, ...]] = {
    "small-lesions": (
        "nnUNetTrainer",
        "nnUNetTrainerDK_nnUNet",
        "nnUNetTrainerDC_nnUNet_sizeweight4",
        "nnUNetTrainerDK_nnUNet_sizeweight4",
        "nnUNetTrainerDCL_nnUNet",
        "nnUNetTrainerDKL_nnUNet",
        "nnUNetTrainerDKL_nnUNet_sizeweight4",
        "nnUNetTrainerDTF_nnUNet",
    ),
}
