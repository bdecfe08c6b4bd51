"""nnU-Net's splits, with the test part beside them."""

import json

import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.folds import Fold, nnunet_folds, read_folds, write_folds

FOLDS = (Fold(("a", "b"), ("c",), ("e",)), Fold(("c",), ("a", "b"), ("e",)))


def test_what_was_written_is_read(tmp_path):
    assert read_folds(tmp_path) is None
    write_folds(tmp_path, FOLDS)
    assert read_folds(tmp_path) == FOLDS
    (tmp_path / "test_folds.json").write_text(json.dumps([{"test": ["e"]}]))
    assert [fold.test for fold in read_folds(tmp_path)] == [("e",), ()]
    (tmp_path / "test_folds.json").unlink()
    assert [fold.test for fold in read_folds(tmp_path)] == [(), ()]


def test_cases_keep_the_order_of_the_file(tmp_path):
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": ["b", "a"], "val": ["d", "c"]}]))
    assert read_folds(tmp_path) == (Fold(("b", "a"), ("d", "c")),)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train": []}', '[{"train": ["a"]}]', "[3]", "7"])
def test_no_list_of_folds_is_named(tmp_path, text):
    (tmp_path / "splits_final.json").write_text(text)
    with pytest.raises(UserError, match=r"splits_final.json: not a list of folds"):
        read_folds(tmp_path)


def test_nnunets_own_folds_need_five_cases():
    names = list("fbcdea")
    assert nnunet_folds(names[:4]) == ()
    folds = nnunet_folds(names)
    assert folds == nnunet_folds(sorted(names))
    assert sorted(case for fold in folds for case in fold.val) == sorted(names)
