"""Networks as nnU-Net builds them from a plan, with small features; fixtures give the functions to the tests."""

import pytest
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

THICK_SLICES = [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]


def make_arch_kwargs(strides, kernels=None, features=(4, 6, 8, 10, 12, 12), *, residual=False, **changes):
    """What a plan of nnU-Net's ExperimentPlanner (or of its ResEnc planners) holds for these strides."""
    dim, n = len(strides[0]), len(strides)
    blocks = {"n_blocks_per_stage": [1, 3, 4, 6, 6, 6][:n]} if residual else {"n_conv_per_stage": [2] * n}
    return {
        "n_stages": n,
        "features_per_stage": list(features[:n]),
        "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
        "kernel_sizes": kernels or [[3] * dim] * n,
        "strides": [list(stride) for stride in strides],
        **blocks,
        "n_conv_per_stage_decoder": [1 if residual else 2] * (n - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
        **changes,
    }


def build_network(kwargs, *, inputs=3, outputs=1, deep_supervision=False):
    """The network as nnU-Net's trainer builds it from a plan."""
    return get_network_from_plans(
        "nnunetv2_sizepenalty.architectures.AttentionASPPUNet",
        kwargs,
        ["conv_op", "norm_op", "dropout_op", "nonlin"],
        inputs,
        outputs,
        allow_init=True,
        deep_supervision=deep_supervision,
    )


@pytest.fixture
def arch_kwargs():
    return make_arch_kwargs


@pytest.fixture
def build():
    return build_network


@pytest.fixture(scope="session")
def thesis_network():
    """The thesis's instance (section 4.3): 3 inputs, 1 output, base 32; stages as in docs/network.md."""
    return build_network(make_arch_kwargs(THICK_SLICES, features=(32, 64, 128, 256, 320), conv_bias=False))
