"""The formula on arrays and tensors, the percentile scaling, and the transform that recomputes the channel."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from nnunetv2_sizepenalty.mismatch import RecomputeMismatch, mismatch_of, scale_to_unit


@pytest.mark.parametrize(
    ("adc", "dwi", "expected"),
    [(0.0, 1.0, 1.0), (0.25, 0.8, 0.6), (1.0, 1.0, 0.0), (3.0, 1.0, 0.0), (-2.0, 0.5, 0.5), (0.5, -0.2, -0.1)],
)
@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_value(make, adc, dwi, expected):
    mismatch = mismatch_of(make([adc]), make([dwi]))
    assert type(mismatch) is type(make([0.0]))
    assert float(mismatch[0]) == pytest.approx(expected)


def test_float32_stays_float32():
    array = np.full((2, 2), 0.3, np.float32)
    assert mismatch_of(array, array).dtype == np.float32
    assert mismatch_of(torch.from_numpy(array), torch.from_numpy(array)).dtype == torch.float32


def test_scaling_clips_at_the_percentiles_and_fills_the_unit_interval():
    volume = np.arange(1001.0)[None, :, None] - 500  # percentiles at -490 and 490
    scaled = scale_to_unit(volume)
    assert scaled.dtype == np.float32
    assert scaled.shape == volume.shape
    assert scaled[0, :11, 0].max() == 0
    assert scaled[0, 990:, 0].min() == 1
    assert scaled[0, 500, 0] == pytest.approx(0.5)
    assert scaled[0, 255, 0] == pytest.approx((-245 + 490) / 980)


@pytest.mark.parametrize(
    ("factor", "dtype"), [(1e-3, np.float64), (1e-9, np.float32), (1, np.int16), (1e6, np.float64)]
)
def test_scaling_does_not_depend_on_the_unit(factor, dtype):
    volume = np.random.default_rng(0).integers(-30, 3000, (6, 7, 8))
    assert scale_to_unit((volume * factor).astype(dtype)) == pytest.approx(scale_to_unit(volume), abs=1e-6)


@pytest.mark.parametrize("volume", [np.full(200, 7.0), np.eye(1, 200)[0]], ids=["constant", "one voxel"])
def test_nothing_to_scale_is_refused(volume):
    with pytest.raises(ValueError, match="both"):
        scale_to_unit(volume)


@pytest.mark.parametrize("channels", [(0, 1, 2), (2, 0, 1), (1, 3, 0)])
def test_transform_recomputes_its_channel_alone(channels):
    adc, dwi, mismatch = channels
    image = torch.randn(4, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    segmentation = torch.ones(1, 3, 4, 5)
    result = RecomputeMismatch(*channels)(image=image, segmentation=segmentation)
    expected = before.numpy()[dwi] * (1 - np.clip(before.numpy()[adc], 0, 1))
    assert np.array_equal(result["image"][mismatch].numpy(), expected)
    others = [c for c in range(4) if c != mismatch]
    assert torch.equal(result["image"][others], before[others])
    assert result["segmentation"] is segmentation
    assert torch.equal(image, before), "the loader's own array was written to"


def test_transform_survives_a_read_only_memory_map(tmp_path):
    """Writing into such a map kills the process, so the proof runs in one of its own."""
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((3, 4, 4, 4), dtype=np.float32))
    code = (
        "import sys, numpy as np, torch, warnings; warnings.simplefilter('ignore')\n"
        "from nnunetv2_sizepenalty.mismatch import RecomputeMismatch\n"
        "image = torch.from_numpy(np.load(sys.argv[1], mmap_mode='r'))\n"
        "print(float(RecomputeMismatch()(image=image)['image'][2].mean()))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "image.npy"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert 0 < float(run.stdout) < 1


def test_the_formula_needs_no_torch():
    code = "import sys, nnunetv2_sizepenalty.dataset_conversion; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
