"""Two gloo processes with half the batch each against one process with all of it."""

import subprocess
import sys

import loss_ddp_worker
import pytest
import torch
from loss_ddp_worker import CASES, draw, network

from nnunetv2_sizepenalty.losses import build_loss


@pytest.fixture(scope="module")
def gradients_of_two(tmp_path_factory) -> list[list[torch.Tensor]]:
    folder = tmp_path_factory.mktemp("gloo")
    command = (sys.executable, loss_ddp_worker.__file__)
    arguments = (str(folder / "rendezvous"), str(folder / "gradients.pt"))
    processes = [
        subprocess.Popen([*command, str(rank), *arguments], stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return torch.load(folder / "gradients.pt")


@pytest.mark.integration
@pytest.mark.parametrize("index", range(len(CASES)), ids=[str(case) for case in CASES])
def test_two_processes_get_the_gradient_of_one(gradients_of_two, index):
    case = CASES[index]
    images, target = draw(case)
    model = network(case)
    build_loss(case.code, **case.options)(model(images), target).backward()
    expected = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(gradients_of_two[index], expected, rtol=1e-5, atol=1e-7)
