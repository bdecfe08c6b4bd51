import subprocess
import sys
from pathlib import Path

import pytest
import torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from dynamic_network_architectures.architectures.abstract_arch import test_submodules_loadable as submodules_loadable
from torch import nn

from nnunetv2_sizepenalty.architectures import AttentionASPPUNet, planned_dilations

THICK_SLICES = [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
ISOTROPIC = [(1, 1, 1)] + [(2, 2, 2)] * 4
FLAT_FIRST = [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
PLANE = [(1, 1)] + [(2, 2)] * 4


def trainable(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def test_parameters_of_the_thesis_instance(thesis_network):
    assert 14_535_000 < trainable(thesis_network) < 14_545_000
    assert trainable(thesis_network) == 14_542_133


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("encoder", 3_515_808),
        ("bottleneck", 2_926_464),
        ("decoder.gates", 88_724),
        ("decoder.seg_layers.3", 33),
    ],
)
def test_parameters_of_each_part(thesis_network, part, count):
    assert trainable(thesis_network.get_submodule(part)) == count


def test_parameters_of_the_way_up(thesis_network):
    decoder = thesis_network.decoder
    assert trainable(decoder.transpconvs) + trainable(decoder.stages) == 8_011_104


PLANS = {
    "thick slices": (THICK_SLICES, None, (8, 32, 32)),
    "thick slices, flat kernels": (THICK_SLICES, FLAT_FIRST, (8, 32, 32)),
    "isotropic": (ISOTROPIC, None, (32, 32, 32)),
    "2d": (PLANE, None, (32, 48)),
    "odd size": (THICK_SLICES, None, (9, 37, 33)),
    "odd size, flat kernels": (THICK_SLICES, FLAT_FIRST, (7, 35, 47)),
    "odd size, 2d": (PLANE, None, (45, 51)),
    "bottleneck of 1x1x2": (THICK_SLICES, None, (2, 16, 32)),
    "bottleneck of 1x2, 2d": (PLANE, None, (16, 32)),
    "two stages": (THICK_SLICES[:2], None, (4, 8, 8)),
    "stride 4 and 3": ([(1, 1, 1), (1, 4, 4), (2, 3, 3)], None, (4, 25, 26)),
}


@pytest.mark.parametrize("residual", [False, True], ids=["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("deep_supervision", [False, True], ids=["", "deep supervision"])
@pytest.mark.parametrize("plan", PLANS)
def test_any_plan_trains_at_batch_1_and_keeps_the_size(arch_kwargs, build, plan, residual, deep_supervision):
    strides, kernels, size = PLANS[plan]
    torch.manual_seed(0)
    network = build(arch_kwargs(strides, kernels, residual=residual), outputs=2, deep_supervision=deep_supervision)
    outputs = network.train()(torch.randn(1, 3, *size))
    outputs = outputs if deep_supervision else [outputs]
    assert outputs[0].shape == (1, 2, *size)
    if deep_supervision:
        scales, scale = [], [1.0] * len(size)
        for stride in strides[:-1]:
            scale = [a / b for a, b in zip(scale, stride, strict=True)]
            scales.append(scale)
        targets = DownsampleSegForDSTransform(scales)(segmentation=torch.zeros(1, *size))["segmentation"]
        assert [output.shape[2:] for output in outputs] == [target.shape[1:] for target in targets]
    sum(output.square().mean() for output in outputs).backward()
    missing = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(p.grad is None for p in network.parameters() if not p.requires_grad)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.requires_grad)


def test_the_residual_plan_gets_residual_blocks(arch_kwargs, build):
    network = build(arch_kwargs(THICK_SLICES, residual=True))
    assert [len(stage.blocks) for stage in network.encoder.stages] == [1, 3, 4, 6]


def test_weights_load_with_deep_supervision_on_or_off(arch_kwargs, build):
    kwargs = arch_kwargs(THICK_SLICES)
    on, off = build(kwargs, deep_supervision=True).eval(), build(kwargs).eval()
    off.load_state_dict(on.state_dict())
    x = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(on(x)[0], off(x), rtol=0, atol=0)
        on.decoder.deep_supervision = False
        torch.testing.assert_close(on(x), off(x), rtol=0, atol=0)
        on.decoder.deep_supervision = True
        assert len(on(x)) == 4


def test_heads_take_a_gradient_only_where_they_are_used(arch_kwargs, build):
    decoder = build(arch_kwargs(THICK_SLICES), deep_supervision=True).decoder
    for enabled, expected in ((True, [True] * 4), (False, [False] * 3 + [True]), (True, [True] * 4)):
        decoder.deep_supervision = enabled
        assert [head.weight.requires_grad and head.bias.requires_grad for head in decoder.seg_layers] == expected


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_feature_map_size_is_that_of_the_convolutions_that_ran(arch_kwargs, build, residual, deep_supervision):
    network = build(arch_kwargs(THICK_SLICES, residual=residual), deep_supervision=deep_supervision).eval()
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        counted += output[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.register_forward_hook(count)
    for branch in network.bottleneck.dilated:
        branch.register_forward_hook(count)
    size = (8, 32, 48)
    with torch.no_grad():
        network(torch.randn(1, 3, *size))
    assert network.compute_conv_feature_map_size(size) == counted


def test_planned_dilations_are_taken_from_the_plan(arch_kwargs, build):
    dilations = planned_dilations((8, 128, 128), THICK_SLICES)
    network = build(arch_kwargs(THICK_SLICES, aspp_dilations=dilations))
    assert [branch.dilation for branch in network.bottleneck.dilated] == [[1, 2, 2], [1, 4, 4], [1, 6, 6]]


@pytest.mark.parametrize("residual", [False, True])
def test_dynamic_network_architectures_finds_encoder_and_stem(arch_kwargs, build, residual):
    submodules_loadable(build(arch_kwargs(THICK_SLICES, residual=residual)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_conv_per_stage": None}, "n_conv_per_stage"),
        ({"n_blocks_per_stage": 2}, "n_conv_per_stage"),
        ({"features_per_stage": [4, 6]}, "features_per_stage must have 5"),
        ({"strides": [[1, 2, 2]] * 5}, "first stage's stride"),
        ({"n_stages": 1}, "n_stages"),
        ({"n_conv_per_stage_decoder": [2] * 5}, "n_conv_per_stage_decoder must have 4"),
    ],
)
def test_entries_that_do_not_agree_are_refused(arch_kwargs, build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(arch_kwargs(THICK_SLICES) | changes)


def test_scalars_stand_for_all_stages():
    network = AttentionASPPUNet(1, 3, 4, nn.Conv2d, 3, [1, 2, 2], 2, 1, 1, norm_op=nn.InstanceNorm2d)
    assert network(torch.randn(1, 1, 12, 12)).shape == (1, 1, 12, 12)


def test_wrong_number_of_axes_is_refused(arch_kwargs, build):
    with pytest.raises(ValueError, match="input_size"):
        build(arch_kwargs(THICK_SLICES)).compute_conv_feature_map_size((3, 8, 32, 32))


def test_half_precision_autocast_trains(arch_kwargs, build):
    network = build(arch_kwargs(THICK_SLICES)).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(1, 3, 8, 32, 32))
    output.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.requires_grad)


@pytest.mark.integration
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_compiles_without_graph_breaks(arch_kwargs, build, deep_supervision):
    torch._dynamo.reset()
    network = build(arch_kwargs(THICK_SLICES[:3]), deep_supervision=deep_supervision).eval()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))
        # nnU-Net reaches through to the original module to switch the heads.
        network.decoder.deep_supervision = not deep_supervision
        torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.integration
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_two_processes_train_the_same_weights(tmp_path, deep_supervision):
    worker = Path(__file__).with_name("ddp_worker.py")
    processes = [
        subprocess.Popen(
            [sys.executable, worker, str(rank), str(tmp_path / "rendezvous"), str(int(deep_supervision))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results[0][1] + results[1][1]
    assert results[0][0].strip().splitlines()[-1] == results[1][0].strip().splitlines()[-1] != ""
