"""Many cases in several processes."""

import os

import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.parallel import map_cases


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_items(processes):
    assert map_cases(abs, [-3, 1, -2], processes=processes, description="abs") == [3, 1, 2]


def test_no_items():
    assert map_cases(abs, [], processes=4, description="abs") == []


def test_a_killed_process_is_one_line_for_the_user():
    with pytest.raises(UserError, match=r"a process was killed, .* fewer than 2 processes"):
        map_cases(os._exit, [1, 1], processes=2, description="exit")


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_of_the_function_come_through(processes):
    with pytest.raises(TypeError):
        map_cases(abs, ["a", 1], processes=processes, description="abs")
