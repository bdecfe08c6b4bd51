"""Two gloo processes with half the batch each against one process with all of it."""

import subprocess
import sys

import loss_ddp_worker
import pytest
import torch
from loss_ddp_worker import CASES, draw, network

from nnunetv2_sizepenalty.losses import build_loss


@pytest.fixture(scope="module")
def of_two(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("gloo")
    command = (sys.executable, loss_ddp_worker.__file__)
    arguments = (str(folder / "rendezvous"), str(folder / "results.pt"))
    processes = [
        subprocess.Popen([*command, str(rank), *arguments], stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return torch.load(folder / "results.pt")


@pytest.mark.integration
@pytest.mark.parametrize("index", range(len(CASES)), ids=[str(case) for case in CASES])
def test_two_processes_get_the_gradient_of_one(of_two, index):
    case = CASES[index]
    images, target = draw(case)
    model = network(case)
    build_loss(case.code, **case.options)(model(images), target).backward()
    expected = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(of_two["gradients"][index], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.integration
def test_balance_agrees_on_the_largest_gradient(of_two):
    own, other = of_two["factors"].tolist()
    assert own == other
    assert 0.49 < 0.8 * own < 0.5
