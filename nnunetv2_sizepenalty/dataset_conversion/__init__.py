"""ADC and DWI to nnU-Net's raw format with the mismatch channel: finding cases, checking volumes, writing datasets."""

from nnunetv2_sizepenalty.dataset_conversion.cases import Case, find_by_patterns, find_isles22, read_csv
from nnunetv2_sizepenalty.dataset_conversion.convert import Channels, convert_dataset, convert_images, make_images

__all__ = [
    "Case",
    "Channels",
    "convert_dataset",
    "convert_images",
    "find_by_patterns",
    "find_isles22",
    "make_images",
    "read_csv",
]
