"""A plan that is made too small to train is refused."""

import pytest

from nnunetv2_sizepenalty.demo.small_plan import shrink_plan


@pytest.mark.parametrize(
    ("patch_size", "features"), [((16, 16, 16), (4, 8)), ((4, 4, 4), (4, 8, 8))], ids=["two features", "a tiny patch"]
)
def test_fewer_than_three_stages_are_refused(patch_size, features):
    plans = {"configurations": {"3d_fullres": {"spacing": [1, 1, 1], "architecture": {"arch_kwargs": {}}}}}
    with pytest.raises(ValueError, match="nnU-Net's loss needs three"):
        shrink_plan(
            plans, "TinyPlans", configuration="3d_fullres", patch_size=patch_size, batch_size=2, features=features
        )
