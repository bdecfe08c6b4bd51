"""Datasets and images as nnU-Net reads them: channels, labels, geometry, resampling."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.dataset_conversion import Channels, convert_dataset, find_isles22
from nnunetv2_sizepenalty.dataset_conversion.volumes import resample_mask, resample_volume
from nnunetv2_sizepenalty.report.channels import read_channel_names


def array(path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def scaled(values: np.ndarray) -> np.ndarray:
    """A restatement of the scaling, rank by rank: NumPy's linear percentile by hand."""
    ranks = np.sort(values.ravel())

    def percentile(q):
        position = q / 100 * (len(ranks) - 1)
        below = int(position)
        return ranks[below] + (position - below) * (ranks[below + 1] - ranks[below])

    low, high = percentile(1), percentile(99)
    return np.minimum(np.maximum((values - low) / (high - low), 0), 1)


def same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    # NIfTI keeps its geometry in float32.
    return a.GetSize() == b.GetSize() and all(
        np.allclose(getattr(a, f"Get{w}")(), getattr(b, f"Get{w}")(), rtol=0, atol=1e-6)
        for w in ("Spacing", "Origin", "Direction")
    )


def test_channels_labels_and_dataset_json(source, nnunet, capsys, convert):
    source.case("sub-2", seed=2)
    source.case("sub-1", seed=1)
    assert convert("isles22", source.root, "-d", "7") == 0
    assert "nnUNetv2_plan_and_preprocess -d 7" in capsys.readouterr().out
    folder = nnunet / "raw" / "Dataset007_ISLES22"
    settings = json.loads((folder / "dataset.json").read_text())
    assert settings["channel_names"] == {"0": "noNorm", "1": "noNorm", "2": "noNorm"}
    assert settings["labels"] == {"background": 0, "lesion": 1}
    assert settings["numTraining"] == 2
    assert settings["size_penalty"] == {"channels": {"adc": 0, "dwi": 1, "mismatch": 2}}
    assert "regions_class_order" not in settings
    for name, seed in (("sub-1", 1), ("sub-2", 2)):
        adc, dwi, mismatch = (array(folder / "imagesTr" / f"{name}_ses-0001_000{c}.nii.gz") for c in range(3))
        values = source.values(seed)
        assert {adc.dtype, dwi.dtype, mismatch.dtype} == {np.dtype(np.float32)}
        assert np.abs(adc - scaled(values["adc"])).max() < 1e-6
        assert np.abs(dwi - scaled(values["dwi"])).max() < 1e-6
        assert np.abs(mismatch - scaled(values["dwi"]) * (1 - scaled(values["adc"]))).max() < 1e-6
        assert np.array_equal(array(folder / "labelsTr" / f"{name}_ses-0001.nii.gz"), values["msk"])


def test_every_file_of_a_case_has_the_geometry_of_its_adc(source, nnunet):
    files = source.case("sub-1")
    source.write(files["dwi"], source.values(0)["dwi"], origin=(-30.5, 12.2503, 7.0))  # inside the tolerance
    folder = convert_dataset(find_isles22(source.root), 7, "X", channels=Channels())
    written = [sitk.ReadImage(str(path)) for path in sorted(folder.rglob("*.nii.gz"))]
    assert len(written) == 4
    assert all(same_grid(image, sitk.ReadImage(str(files["adc"]))) for image in written)


def test_single_output_is_one_sigmoid_head_for_nnunet(source, nnunet, convert):
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    source.case("sub-1")
    convert("isles22", source.root, "-d", "7", "--single-output")
    settings = json.loads((nnunet / "raw/Dataset007_ISLES22/dataset.json").read_text())
    manager = LabelManager(settings["labels"], settings["regions_class_order"])
    assert manager.has_regions
    assert manager.num_segmentation_heads == 1


def test_plain_keeps_every_value_and_nnunets_normalisation(source, nnunet, convert):
    source.case("sub-1")
    convert("isles22", source.root, "-d", "7", "--plain")
    folder = nnunet / "raw/Dataset007_ISLES22"
    settings = json.loads((folder / "dataset.json").read_text())
    assert settings["channel_names"] == {"0": "ADC", "1": "DWI"}
    assert "size_penalty" not in settings
    assert sorted(p.name for p in (folder / "imagesTr").iterdir()) == [f"sub-1_ses-0001_000{c}.nii.gz" for c in (0, 1)]
    for channel, role in enumerate(("adc", "dwi")):
        assert np.array_equal(array(folder / f"imagesTr/sub-1_ses-0001_000{channel}.nii.gz"), source.values(0)[role])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_formats(source, nnunet, suffix):
    files = source.case("sub-1", suffix=suffix)
    folder = convert_dataset(find_isles22(source.root), 7, "X", channels=Channels())
    adc = sitk.ReadImage(str(folder / "imagesTr/sub-1_ses-0001_0000.nii.gz"))
    assert same_grid(adc, sitk.ReadImage(str(files["adc"])))
    assert np.abs(sitk.GetArrayFromImage(adc) - scaled(source.values(0)["adc"])).max() < 1e-6


def test_images_are_the_same_as_in_the_dataset(source, nnunet, tmp_path, convert):
    files = source.case("sub-1")
    folder = convert_dataset(find_isles22(source.root), 7, "X", channels=Channels())
    out = tmp_path / "in"
    args = ["images", "--adc", files["adc"], "--dwi", files["dwi"], "-o", out]
    assert convert(*args) == 0
    for channel in range(3):
        name = f"sub-1_ses-0001_000{channel}.nii.gz"
        assert (out / name).read_bytes() == (folder / "imagesTr" / name).read_bytes()
    assert convert(*args) == 2
    assert convert(*args, "--overwrite", "--plain") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset.json", "sub-1_ses-0001_0000.nii.gz", "sub-1_ses-0001_0001.nii.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(("plain", "names"), [(False, ["ADC", "DWI", "mismatch"]), (True, ["ADC", "DWI"])])
def test_images_say_what_their_channels_are(source, tmp_path, convert, plain, names):
    files = source.case("sub-1")
    out = tmp_path / "in"
    args = ["images", "--adc", files["adc"], "--dwi", files["dwi"], "-o", out]
    assert convert(*args, *(["--plain"] if plain else [])) == 0
    said = read_channel_names(out)
    assert [said.of(number) for number in range(len(names))] == names
    assert said.in_order(range(len(names)))[0] == 1, "DWI comes first"


def test_folder_without_labels_goes_to_images_ts(source, nnunet, convert):
    source.case("sub-1")
    pattern = str(source.root / "rawdata/*/*/*_{}.nii.gz")
    args = ["folder", "--adc", pattern.format("adc"), "--dwi", pattern.format("dwi"), "-d", "9", "-n", "Y"]
    assert convert(*args) == 0
    folder = nnunet / "raw/Dataset009_Y"
    assert len(list((folder / "imagesTs").iterdir())) == 3
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 0
    labels = str(source.root / "derivatives/*/*/*_msk.nii.gz")
    assert convert(*args, "--labels", labels, "--overwrite") == 0
    assert len(list((folder / "imagesTr").iterdir())) == 3
    assert not (folder / "imagesTs").exists()


def test_several_processes_write_the_same(source, nnunet):
    for n in range(3):
        source.case(f"sub-{n}", seed=n)
    cases = find_isles22(source.root)
    one = convert_dataset(cases, 1, "One", channels=Channels())
    two = convert_dataset(cases, 2, "Two", channels=Channels(), processes=2)
    files = sorted(p.relative_to(one) for p in one.rglob("*.nii.gz"))
    assert len(files) == 12
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (4.0, 1.0, 3.0), (8.0, 3.0, 3.0)])
def test_spacing_is_z_y_x_and_the_formula_holds_voxel_by_voxel(source, nnunet, spacing, convert):
    files = source.case("sub-1")
    assert convert("isles22", source.root, "-d", "7", "--spacing", *spacing) == 0
    folder = nnunet / "raw/Dataset007_ISLES22"
    images = [sitk.ReadImage(str(folder / f"imagesTr/sub-1_ses-0001_000{c}.nii.gz")) for c in range(3)]
    adc, dwi, mismatch = map(sitk.GetArrayFromImage, images)
    assert images[0].GetSpacing() == pytest.approx(spacing[::-1])
    assert np.array_equal(mismatch, dwi * (1 - np.clip(adc, 0, 1)))
    assert adc.min() >= 0
    assert adc.max() <= 1
    extent = np.array(source.shape) * (4.0, 1.5, 1.5)
    assert np.array_equal(adc.shape, np.round(extent / spacing))
    # The first corner of the field of view stays where it was.
    old = sitk.ReadImage(str(files["adc"]))
    corner = [-0.5, -0.5, -0.5]
    moved = np.subtract(
        images[0].TransformContinuousIndexToPhysicalPoint(corner), old.TransformContinuousIndexToPhysicalPoint(corner)
    )
    assert np.abs(moved).max() < 1e-5
    assert same_grid(images[0], sitk.ReadImage(str(folder / "labelsTr/sub-1_ses-0001.nii.gz")))


def test_resampling_a_smooth_field_keeps_its_values_in_space():
    """A linear ramp along each axis is a ramp on the new grid, so nothing is shifted or turned."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in (12, 14, 16)), indexing="ij")
    image = sitk.GetImageFromArray((4.0 * z + 1.5 * y + 0.5 * x).astype(np.float32))
    image.SetSpacing((0.5, 1.5, 4.0))
    new = sitk.GetArrayFromImage(resample_volume(image, (3.0, 1.0, 1.0)))
    z, y, x = np.meshgrid(
        *((np.arange(n) + 0.5) * s for n, s in zip(new.shape, (3.0, 1.0, 1.0), strict=True)), indexing="ij"
    )
    expected = (z - 2) + (y - 0.75) + (x - 0.25)
    inner = (slice(4, -4), slice(4, -4), slice(2, -2))  # the spline bends at the mirrored border
    assert np.abs(new - expected)[inner].max() < 0.05


def test_resampling_to_the_same_spacing_changes_nothing(source):
    mask = sitk.GetImageFromArray(source.values(0)["msk"])
    mask.SetSpacing((1.5, 1.5, 4.0))
    assert np.array_equal(sitk.GetArrayFromImage(resample_mask(mask, (4.0, 1.5, 1.5))), source.values(0)["msk"])


def test_mask_volume_is_kept():
    z, y, x = np.mgrid[:24, :24, :24] - 11.5
    mask = sitk.GetImageFromArray((z**2 + y**2 + x**2 < 64).astype(np.uint8))
    for spacing in ((0.6, 0.6, 0.6), (1.4, 1.4, 1.4), (3.0, 0.8, 0.8)):
        new = sitk.GetArrayFromImage(resample_mask(mask, spacing))
        assert new.sum() * np.prod(spacing) == pytest.approx(sitk.GetArrayFromImage(mask).sum(), rel=0.05)


def test_lesions_that_resampling_loses_are_counted(source, nnunet, capsys):
    files = source.case("sub-1")
    mask = source.values(0)["msk"]
    mask[5, 10, 1] = 1
    source.write(files["msk"], mask)
    second = source.case("sub-2")
    mask = np.zeros_like(mask)
    mask[3, 3, 3] = 1
    source.write(second["msk"], mask)
    convert_dataset(find_isles22(source.root), 7, "X", channels=Channels(spacing_mm=(8.0, 3.0, 3.0)))
    assert (
        "Resampling lost 2 of 3 lesions (connected components); none is left in sub-2_ses-0001"
        in capsys.readouterr().out
    )
