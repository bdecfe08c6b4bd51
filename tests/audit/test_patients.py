"""What the names of cases tell of patients, and what they don't."""

import pytest

from nnunetv2_sizepenalty.audit.patients import likely_patients, straddling
from nnunetv2_sizepenalty.nnunet_io.folds import Fold
from nnunetv2_sizepenalty.splitting.splits import groups_by_pattern


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], ["sub-01", "sub-01", "sub-02"]),
        (["P1_baseline", "P1_followup", "P2_baseline"], ["P1", "P1", "P2"]),
        (["kim_left", "kim_right", "lee"], ["kim", "kim", "lee"]),
        (["A-T0", "A-T1", "B-T0", "B-T1"], ["A", "A", "B", "B"]),
        (["P1_1", "P1_2", "P2_1", "P3_1"], ["P1", "P1", "P2", "P3"]),
        # nnU-Net's issue 1871
        (
            ["genius_0800", "genius_0801", "genius_0802", "genius_0900", "genius_0901"],
            ["genius_08"] * 3 + ["genius_09"] * 2,
        ),
    ],
    ids=["BIDS", "visits", "sides", "time points", "count", "count in the last digits"],
)
def test_patients(names, patients):
    found = likely_patients(names)
    assert found.groups == dict(zip(names, patients, strict=True))
    if found.pattern:
        assert groups_by_pattern(names, found.pattern) == found.groups, "what split --group makes of it"


@pytest.mark.parametrize(
    "names",
    [
        [f"case_{i:03d}" for i in range(217)],
        [f"case_{i}" for i in range(12)],
        [f"hippocampus_{i:03d}" for i in (1, 3, 4, 6, 101, 104, 205, 301)],
        [f"train_IDRiD_{i:02d}" for i in range(1, 55)],
        [f"hie_{i}" for i in (100, 101, 231, 234, 358, 359, 440, 441)],
        [f"site{s}_{i:02d}" for s in (1, 2) for i in range(1, 40)],
        ["scan_1", "scan_2", "scan_3"],
        [f"left_{i}" for i in range(5)],
        ["amy", "ben", "cat"],
    ],
    ids=lambda names: f"{names[0]} and so on",
)
def test_a_plain_numbering_is_no_patient(names):
    assert len(set(likely_patients(names).groups.values())) == len(names)


@pytest.mark.parametrize(
    ("fold", "across"),
    [
        (Fold(("a1", "b"), ("a2",)), {"a": ("a1", "a2")}),
        (Fold(("a1", "a2"), ("b",)), {}),
        (Fold(("a1",), ("b",), ("a2",)), {"a": ("a1", "a2")}),
        (Fold(("b",), ("c",)), {}),
    ],
    ids=["train and val", "train alone", "train and test", "in no part"],
)
def test_straddling(fold, across):
    groups = {"a1": "a", "a2": "a", "b": "b", "c": "c"}
    assert straddling([Fold(("b",), ("c",)), fold], groups) == across


@pytest.mark.parametrize("names", [["P1_1", "P1_2", "P2_1", "P2_2", "P3_1", "P3_2"], None], ids=["seeming", "BIDS"])
def test_patients_on_both_sides_are_found_and_the_command_mends_it(made, audited, names):
    from nnunetv2_sizepenalty.cli.main import main

    names = names or [f"sub-{p}_ses-{s}" for p in (1, 2, 3) for s in (1, 2)]
    dataset = made(cases=names)
    dataset.write_folds(names[::2], names[1::2])
    _, (finding,) = audited(dataset)
    assert (finding.check, finding.severity) == ("leakage", "error" if names[0].startswith("sub") else "warning")
    assert finding.where == tuple(", ".join(pair) for pair in zip(names[::2], names[1::2], strict=True))
    words = finding.command.replace("'", "").split()
    assert words[:2] == ["nnUNetv2_sizepenalty", "split"]
    assert not main([*words[1:], "--folds", "3"])
    _, findings = audited(dataset)
    assert findings == ()


def test_random_folds_are_looked_at_before_there_is_a_split(made, audited):
    dataset = made(cases=[f"sub-{p}_ses-{s}" for p in (1, 2, 3) for s in (1, 2)])
    audit, (finding,) = audited(dataset)
    assert not audit.folds_exist
    assert "nnU-Net's own split" in finding.what
    assert "--overwrite" not in finding.command
