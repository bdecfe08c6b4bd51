import json

import pytest
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from nnunetv2_sizepenalty.planning.topology import (
    PRESET_STRIDES,
    architecture,
    default_small_patch,
    rounded_up,
    topology_for,
)

THICK, ISOTROPIC = (6.0, 0.9, 0.9), (2.0, 2.0, 2.0)


@pytest.mark.parametrize("spacing", [THICK, ISOTROPIC])
@pytest.mark.parametrize("patch", [(32, 128, 128), (32, 112, 112)])
def test_the_thesis_patches_have_the_thesis_stages_at_any_spacing(patch, spacing):
    topology = topology_for(patch, spacing)
    assert topology.patch_size == patch
    assert topology.strides == PRESET_STRIDES
    assert set(topology.kernel_sizes) == {(3, 3, 3)}
    assert topology.divisor == (4, 16, 16)


def test_the_thesis_patch_has_the_thesis_network():
    entry = architecture(topology_for((32, 128, 128), THICK))
    network = get_network_from_plans(
        entry["network_class_name"], entry["arch_kwargs"], entry["_kw_requires_import"], 3, 1, deep_supervision=False
    )
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 14_542_133
    assert entry["arch_kwargs"]["aspp_dilations"] == [[2, 2, 2], [4, 4, 4], [6, 6, 6]]


@pytest.mark.parametrize(
    ("patch", "spacing", "padded", "divisor"),
    [
        pytest.param((24, 160, 160), THICK, (24, 160, 160), (4, 32, 32), id="thick slices"),
        pytest.param((20, 100, 90), THICK, (20, 112, 96), (4, 16, 16), id="not a multiple"),
        pytest.param((64, 64, 64), ISOTROPIC, (64, 64, 64), (16, 16, 16), id="isotropic"),
        pytest.param((192, 160), (0.9, 0.9), (192, 160), (32, 32), id="2d"),
    ],
)
def test_other_patches_follow_nnunets_rules(patch, spacing, padded, divisor):
    topology = topology_for(patch, spacing)
    assert topology.patch_size == padded
    assert topology.divisor == divisor


def test_thick_slices_start_with_flat_kernels():
    assert topology_for((24, 160, 160), THICK).kernel_sizes[0] == (1, 3, 3)


@pytest.mark.parametrize(
    ("patch", "spacing", "small"),
    [
        ((32, 128, 128), THICK, (32, 64, 64)),
        ((24, 160, 160), THICK, (24, 96, 96)),
        ((192, 160), (0.9, 0.9), (96, 96)),
    ],
)
def test_the_default_small_patch_is_half_in_the_plane(patch, spacing, small):
    assert default_small_patch(topology_for(patch, spacing)) == small


def test_rounding_up():
    assert rounded_up((32, 33, 1), (4, 16, 16)) == (32, 48, 16)


@pytest.mark.parametrize("patch", [(32, 128, 128), (192, 160)])
def test_the_entry_is_what_a_json_file_gives_back(patch):
    entry = architecture(topology_for(patch, (1.0,) * len(patch)))
    assert json.loads(json.dumps(entry)) == entry
