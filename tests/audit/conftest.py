"""Made datasets in nnU-Net's folders, and what an audit finds in them."""

import pytest
from made_datasets import MadeDataset, make_dataset

from nnunetv2_sizepenalty.audit import audit_cases, run_checks
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
from nnunetv2_sizepenalty.nnunet_io.plan import find_plan


@pytest.fixture
def made(tmp_path, monkeypatch):
    """`make_dataset` in nnU-Net's folders of this test."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))

    def make(**values) -> MadeDataset:
        return make_dataset(tmp_path, **values)

    return make


@pytest.fixture
def audited():
    """The audit of a made dataset and its findings, with the plan that it has."""

    def audit(made: MadeDataset):
        dataset = find_dataset(made.raw.name)
        result = audit_cases(dataset, find_plan(dataset, None, None))
        return result, run_checks(result)

    return audit
