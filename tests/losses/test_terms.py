"""The tables of letters: that they need no torch, that each row finds its formula, and that a row is enough for one."""

import subprocess
import sys

import pytest
import torch

from nnunetv2_sizepenalty import losses
from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, TERMS, Term, build_loss, formulas


@pytest.mark.parametrize("module", ["losses", "losses.terms", "losses.size_term", "trainers.names"])
def test_grammar_and_tables_need_no_torch(module):
    script = f"import sys, nnunetv2_sizepenalty.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_every_exported_name_is_there():
    assert all(getattr(losses, name) is not None for name in losses.__all__)
    with pytest.raises(AttributeError, match="no attribute 'build_los'"):
        losses.build_los  # noqa: B018 the access is what raises


@pytest.mark.parametrize("letter", TERMS)
def test_every_row_finds_its_formula(letter):
    formula = TERMS[letter].resolve()
    assert callable(formula)
    if TERMS[letter].takes == "voxel":
        assert isinstance(formula(), formulas.VoxelTerm)


def test_every_letter_is_in_a_combination():
    assert set("".join(COMMON_COMBINATIONS)) == set(TERMS)


def test_a_term_is_a_formula_and_a_row(monkeypatch):
    monkeypatch.setattr(formulas, "missed", lambda predicted, reference, overlap: reference - overlap, raising=False)
    monkeypatch.setitem(
        TERMS, "M", Term("missed", "volume that was not found", 0.5, "formulas:missed", "overlap", "tab:pink")
    )
    logits, mask = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    value = build_loss("DM", regions=True)(logits, mask)
    assert value.item() == pytest.approx(1 - 16 / 24 + 0.5 * 8)
