import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from nnunetv2_sizepenalty.planning.memory import StepMemory, simulate_step
from nnunetv2_sizepenalty.planning.planner import plan_memory
from nnunetv2_sizepenalty.planning.topology import architecture, topology_for

VOXELS, FLOAT = 16**3, 4


def pointwise(n_layers):
    """Convolutions of 8 channels, 16^3 voxels, without bias."""
    return nn.Sequential(*[nn.Conv3d(8, 8, 1, bias=False) for _ in range(n_layers)])


def test_a_step_counted_by_hand():
    """At the peak of two convolutions: input, two outputs, the gradients of both."""
    memory = simulate_step(lambda: pointwise(2), 8, (16, 16, 16), mixed_precision=False)
    n_weights = 2 * 8 * 8
    assert memory.fixed == 3 * n_weights * FLOAT
    # A weight's gradient, the mean and its gradient are small beside a map.
    assert 0 <= memory.per_sample - 5 * 8 * VOXELS * FLOAT <= n_weights * FLOAT + 64


def test_maps_halve_with_mixed_precision_and_weights_do_not():
    full, mixed = (
        simulate_step(lambda: pointwise(6), 8, (16, 16, 16), mixed_precision=mixed) for mixed in (False, True)
    )
    # The loss takes float32 logits: one map is kept in full.
    assert 0.5 <= mixed.per_sample / full.per_sample < 0.7
    assert mixed.fixed == 6 * 8 * 8 * 14


def test_maps_that_the_backward_pass_does_not_need_are_given_back():
    class Chain(nn.Module):
        """Ten sums, which keep nothing for their gradient."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            for _ in range(10):
                x = x + self.weight
            return x

    memory = simulate_step(Chain, 1, (16, 16, 16), mixed_precision=False)
    assert memory.per_sample <= 4 * VOXELS * FLOAT


@pytest.mark.parametrize(
    ("patch", "spacing"), [((32, 128, 128), (6.0, 1.0, 1.0)), ((16, 48, 64), (3.0, 1.0, 1.0)), ((256, 192), (1.0, 1.0))]
)
def test_scaling_to_a_patch_is_simulating_that_patch(patch, spacing):
    topology = topology_for(patch, spacing)
    entry = architecture(topology)
    build = partial(
        get_network_from_plans,
        entry["network_class_name"],
        entry["arch_kwargs"],
        entry["_kw_requires_import"],
        3,
        2,
        allow_init=False,
        deep_supervision=False,
    )
    exact = simulate_step(build, 3, patch)
    assert plan_memory(topology, 3, 2).at(4) == pytest.approx(exact.at(4), rel=0.02)


@pytest.mark.parametrize(("limit", "batch"), [(99, 0), (100, 0), (109, 0), (110, 1), (129, 2), (130, 3)])
def test_largest_batch(limit, batch):
    memory = StepMemory(fixed=100, per_sample=10)
    assert memory.largest_batch(limit) == batch
    if batch:
        assert memory.at(batch) <= limit < memory.at(batch + 1)


@pytest.mark.integration
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_the_estimate_is_within_a_fifth_of_the_measured_peak():
    script = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    done = subprocess.run(
        [sys.executable, script, "--device", "cpu", "--patch", "16", "64", "64"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
