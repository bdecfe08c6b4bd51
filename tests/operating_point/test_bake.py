"""Thresholds in the head's bias: networks that shift, filters that stock postprocessing can do, refusals."""

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from operating_point_data import NESTED, REGIONS, SOFTMAX
from torch import nn

from nnunetv2_sizepenalty.architectures import AttentionASPPUNet
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
from nnunetv2_sizepenalty.operating_point.bake import postprocessing, shift_head
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid

KWARGS = {
    "input_channels": 1,
    "n_stages": 3,
    "features_per_stage": (4, 6, 8),
    "conv_op": nn.Conv3d,
    "kernel_sizes": 3,
    "strides": (1, 2, 2),
    "n_conv_per_stage_decoder": 1,
    "conv_bias": True,
    "norm_op": nn.InstanceNorm3d,
    "norm_op_kwargs": {"affine": True},
    "nonlin": nn.LeakyReLU,
}
NETWORKS = {
    "plain": lambda n: PlainConvUNet(**KWARGS, num_classes=n, n_conv_per_stage=1, deep_supervision=True),
    "ResEnc": lambda n: ResidualEncoderUNet(**KWARGS, num_classes=n, n_blocks_per_stage=1, deep_supervision=True),
    "ours": lambda n: AttentionASPPUNet(**KWARGS, num_classes=n, n_conv_per_stage=1, deep_supervision=True),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("dataset", "cuts", "shift"),
    [
        (SOFTMAX, {"lesion": 0.9}, [0, -np.log(9)]),
        (REGIONS, {"core": 0.2, "rim": 0.9999}, [np.log(4), -np.log(9999)]),
    ],
    ids=["softmax", "regions"],
)
def test_the_logits_at_inference_shift_and_nothing_else_does(network, dataset, cuts, shift):
    torch.manual_seed(0)
    model = NETWORKS[network](2).eval()
    weights, image = model.state_dict(), torch.randn(1, 1, 16, 16, 16)
    shifted = shift_head(weights, read_labels(dataset), {name: Cut(t) for name, t in cuts.items()})
    with torch.no_grad():
        before = model(image)
        model.load_state_dict(shifted)
        after = model(image)
        model.decoder.deep_supervision = False
        inference = model(image)
    difference = (after[0] - before[0]).mean(dim=(0, 2, 3, 4)).tolist()
    assert difference == pytest.approx(shift, abs=1e-5)
    assert torch.equal(inference, after[0])
    assert torch.equal(after[1], before[1])


def test_softmax_with_more_classes_and_foreign_networks_say_why_they_cannot():
    labels = read_labels({"labels": {"background": 0, "a": 1, "b": 2}})
    with pytest.raises(UserError, match="a shift of its bias with each on its own; use `nnUNetv2_sizepenalty apply`"):
        shift_head({}, labels, {})
    with pytest.raises(UserError, match=r"no bias of 2 channels in decoder\.seg_layers"):
        shift_head({"head.bias": torch.zeros(2)}, read_labels(SOFTMAX), {"lesion": Cut(0.9)})
    with pytest.raises(UserError, match="no bias of 2 channels"):
        shift_head({"decoder.seg_layers.0.bias": torch.zeros(3)}, read_labels(SOFTMAX), {"lesion": Cut(0.9)})


def test_the_highest_of_eleven_heads_is_taken_by_number():
    weights = {f"decoder.seg_layers.{i}.bias": torch.zeros(2) for i in range(11)}
    shifted = shift_head(weights, read_labels(SOFTMAX), {"lesion": Cut(0.9)})
    assert [name for name, bias in shifted.items() if bias.any()] == ["decoder.seg_layers.10.bias"]


def test_one_smallest_size_becomes_stock_postprocessing():
    functions, arguments = postprocessing(
        ThresholdGrid(), read_labels(REGIONS), {"core": Cut(0.3, 5), "rim": Cut(0.6, 5)}
    )
    assert [f"{f.__module__}.{f.__name__}" for f in functions] == ["cc3d.dust"]
    assert arguments == [{"threshold": 5, "connectivity": 18}]
    assert postprocessing(ThresholdGrid(), read_labels(NESTED), {"whole": Cut(0.3), "core": Cut(0.6)}) is None


@pytest.mark.parametrize(
    ("dataset", "cuts", "unit", "reason"),
    [
        (NESTED, {"whole": Cut(0.3, 5), "core": Cut(0.6, 5)}, "voxels", "regions that overlap"),
        (REGIONS, {"core": Cut(0.3, 5), "rim": Cut(0.6, 9)}, "voxels", "one smallest size for all"),
        (REGIONS, {"core": Cut(0.3, 5), "rim": Cut(0.6)}, "voxels", "one smallest size for all"),
        (SOFTMAX, {"lesion": Cut(0.3, 5)}, "mm3", "counts voxels"),
    ],
    ids=["nested regions", "two sizes", "one filtered", "mm3"],
)
def test_filters_that_stock_postprocessing_cannot_do_are_refused(dataset, cuts, unit, reason):
    with pytest.raises(UserError, match=reason):
        postprocessing(ThresholdGrid(unit=unit), read_labels(dataset), cuts)


def test_checkpoints_hold_what_nnunet_logs_and_run_nothing(tmp_path):
    logged = {"a": np.float64(0.5), "b": np.float32(2), "c": np.int64(3), "d": [np.bool_(True), 1.5, None]}
    torch.save({"network_weights": {"w": torch.ones(2)}, "logging": logged}, tmp_path / "good.pth")
    for mmap in (False, True):
        loaded = load_checkpoint(tmp_path / "good.pth", mmap=mmap)
        assert loaded["logging"] == logged
        assert loaded["network_weights"]["w"].tolist() == [1, 1]
    torch.save({"hook": print}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"evil\.pth is no checkpoint that can be read safely"):
        load_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:200])
    with pytest.raises(UserError, match=r"cut\.pth is no checkpoint"):
        load_checkpoint(tmp_path / "cut.pth")
    with pytest.raises(UserError, match="-chk"):
        load_checkpoint(tmp_path / "missing.pth")
