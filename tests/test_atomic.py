"""Files and folders appear whole or not at all."""

import pytest

from nnunetv2_sizepenalty.atomic import atomic_file, atomic_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_replaces_the_old_one_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "table.csv"
    for text in ("one", "two"):
        with atomic_file(path) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".csv"
            assert not path.exists() or path.read_text() == "one"
    assert path.read_text() == "two"
    assert names(path.parent) == ["table.csv"]
    assert path.stat().st_mode & 0o444 == 0o444


def test_failed_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "dataset") as temporary:
        (temporary / "case").write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []


def test_folder_in_use_is_kept_unless_overwritten(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(FileExistsError), atomic_folder(folder):
        pass
    assert names(folder) == ["old"]
    with atomic_folder(folder, overwrite=True) as temporary:
        (temporary / "new").write_text("")
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["dataset"]


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_file_in_the_parents_place_is_named(tmp_path, atomic):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"), atomic(tmp_path / "file" / "x"):
        pass
