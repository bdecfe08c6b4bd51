import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.image_reader import find_reader


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a_0000.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.float32)), path)
    return path


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"file_ending": ".nii.gz"}, "SimpleITKIO"),
        ({"file_ending": ".nii.gz", "overwrite_image_reader_writer": "NibabelIO"}, "NibabelIO"),
        ({"file_ending": ".nii.gz", "overwrite_image_reader_writer": "None"}, "SimpleITKIO"),
    ],
)
def test_the_reader_is_dataset_jsons_or_the_first_that_reads(image, settings, name):
    assert find_reader(settings, image).__name__ == name
    assert find_reader(settings).__name__ == name


def test_files_that_no_reader_reads(image, capsys):
    with pytest.raises(UserError, match=r"file_ending \.docx: none of nnU-Net's readers"):
        find_reader({"file_ending": ".docx"})
    image.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a_0000\.nii\.gz: none of nnU-Net's readers reads it"):
        find_reader({"file_ending": ".nii.gz"}, image)
    # nnU-Net prints the failure of each reader
    assert capsys.readouterr() == ("", "")
