"""What nnU-Net calls its files and folders, for those too who may not import it."""

DATASET_JSON = "dataset.json"
PLANS_JSON = "plans.json"
FINGERPRINT = "dataset_fingerprint.json"
SPLITS = "splits_final.json"
# ours, beside nnU-Net's: the cases that no training sees
TEST_FOLDS = "test_folds.json"

IMAGES, REFERENCES, TEST_IMAGES = "imagesTr", "labelsTr", "imagesTs"
REFERENCE_COPIES = "gt_segmentations"

FINAL, LATEST, BEST = "checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth"
# in the order in which nnUNetv2_train --c takes them
CHECKPOINTS = (FINAL, LATEST, BEST)
VALIDATION = "validation"
SUMMARY = "summary.json"
# what nnUNetv2_predict was called with, beside its masks
PREDICTION_ARGUMENTS = "predict_from_raw_data_args.json"

NNUNET_PLANS = "nnUNetPlans"
# what nnUNetv2_export_model_to_zip takes along beside checkpoints; a fold without the last two can't be exported
MODEL_FILES = (PLANS_JSON, DATASET_JSON, FINGERPRINT)
FOLD_FILES = ("debug.json", "network_architecture.pdf", "progress.png", f"{VALIDATION}/{SUMMARY}")
