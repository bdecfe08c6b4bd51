"""BraTS-METS 2024 to 2026 and the WMH challenge: against the organisers' code, and against the rules in plain loops.

`challenge_scores.json` holds what the organisers' code gave on the pairs of `challenge_pairs.made_pair`, seeds 0 to
199, one region each, and names that code with its commit and versions: no foreign code runs here.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from challenge_pairs import REGIONS, made_pair
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from nnunetv2_sizepenalty.evaluation import evaluate_folder
from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.joining import joining_masks
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS

SEEDS = range(200)
SCORES = Path(__file__).with_name("challenge_scores.json")
# GaNDLF's configuration puts the cavity into both.
REGIONS_2025 = REGIONS | {"WT": (1, 2, 3, 4), "TC": (1, 3, 4)}


def regions_of(protocol):
    return REGIONS_2025 if protocol == "brats-mets-2025" else REGIONS


def scores_of(protocol, region, reference, prediction, spacing):
    """The columns of cases.csv for one region of two label maps."""
    rules, values = PROTOCOLS[protocol], regions_of(protocol)[region]
    joining = joining_masks(values, reference, prediction, rules)
    masks = (np.isin(array, values) for array in (reference, prediction))
    return score_case(*masks, spacing, rules, joining).metrics


@pytest.mark.parametrize("protocol", ["brats-mets-2024", "brats-mets-2025", "brats-mets-2026", "wmh"])
def test_scores_equal_the_organisers(protocol):
    theirs = json.loads(SCORES.read_text(encoding="utf-8"))[protocol]
    columns = theirs["columns"][2:]
    assert [row[0] for row in theirs["rows"]] == list(SEEDS)
    for seed, region, *values in theirs["rows"]:
        ours = scores_of(protocol, region, *made_pair(seed))
        expected = {name: math.nan if value is None else value for name, value in zip(columns, values, strict=True)}
        # A mean over lesions hangs on their order in its last digits.
        got = {name: ours[name] for name in columns}
        assert got == pytest.approx(expected, rel=0, abs=4e-16 if "2024" in protocol else 2e-16, nan_ok=True), seed


# ---- the rules again, in plain loops over lists of voxels ----

NEAR_18 = [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if abs(z) + abs(y) + abs(x) <= 2]
FULL = np.ones((3, 3, 3))


def voxel_sets(mask):
    """The 26-connected components as sets of voxels."""
    labels, n = ndimage.label(mask, FULL)
    sets = [set() for _ in range(n)]
    for voxel in zip(*map(np.ndarray.tolist, np.nonzero(labels)), strict=True):
        sets[labels[voxel] - 1].add(voxel)
    return sets


def grown(voxels, shape):
    """A set of voxels with its 18 neighbours, inside the image."""
    return {
        voxel
        for one in voxels
        for voxel in (tuple(a + b for a, b in zip(one, step, strict=True)) for step in NEAR_18)
        if all(0 <= index < size for index, size in zip(voxel, shape, strict=True))
    }


def merged(mask):
    """Lesions that touch once they have grown are one; in the order of their grown voxels in an image (x, y, z)."""
    lesions = []
    for voxels in voxel_sets(ndimage.binary_dilation(mask, ndimage.generate_binary_structure(3, 2))):
        lesions.append((min(voxel[::-1] for voxel in voxels), {voxel for voxel in voxels if mask[voxel]}))
    return [voxels for _, voxels in sorted(lesions, key=lambda lesion: lesion[0])]


def joined_by(lesions, others, shape):
    """Lesions that grow into the same other lesion first are one."""
    groups = {}
    for number, lesion in enumerate(lesions):
        reach = grown(lesion, shape)
        touched = [other for other, voxels in enumerate(others) if reach & voxels]
        groups.setdefault(("other", touched[0]) if touched else ("alone", number), set()).update(lesion)
    return list(groups.values())


def surface(voxels):
    faces = [step for step in NEAR_18 if sum(map(abs, step)) == 1]
    return [v for v in voxels if any(tuple(a + b for a, b in zip(v, f, strict=True)) not in voxels for f in faces)]


def distances_between(these, those, spacing):
    """From each surface voxel of these to the nearest of those, in mm."""
    a, b = (np.array(surface(voxels)) for voxels in (these, those))
    steps = (a[:, None] - b[None]) * np.array(spacing)
    return np.sqrt((steps**2).sum(axis=2)).min(axis=1)


def nsd_of(these, those, spacing, tolerance):
    shares = [np.mean(distances_between(*pair, spacing) <= tolerance) for pair in ((these, those), (those, these))]
    return sum(shares) / 2


def dice_of(these, those):
    return 2 * len(these & those) / (len(these) + len(those))


def restated_2024(reference, prediction, region, spacing):
    shape, volume = reference.shape, math.prod(spacing)
    lesions = []
    for array, smallest in ((reference, 1), (prediction, 3)):
        own = [voxels for voxels in merged(np.isin(array, REGIONS[region])) if len(voxels) >= smallest]
        if region == "ET":
            own = joined_by(own, [voxels for voxels in merged(array == 1) if len(voxels) >= smallest], shape)
        lesions.append(own)
    of_reference, of_prediction = lesions
    touched, dice, nsd = set(), [], ([], [])
    tp = fn = 0
    for lesion in of_reference:
        reach = grown(lesion, shape)
        hits = [number for number, other in enumerate(of_prediction) if reach & other]
        touched.update(hits)
        if len(lesion) * volume <= 2:
            continue
        tp, fn = tp + bool(hits), fn + (not hits)
        together = set().union(*(of_prediction[number] for number in hits))
        dice.append(dice_of(lesion, together))
        for tolerance, scores in zip((0.5, 1.0), nsd, strict=True):
            # the organisers add 1e-8 to a denominator of 2
            scores.append(nsd_of(lesion, together, spacing, tolerance) / (1 + 0.5e-8) if hits else 0)
    fp = len(of_prediction) - len(touched)
    n = len(dice) + fp
    return {
        "lesionwise_dice": sum(dice) / n if n else 1,
        "lesionwise_nsd_05": sum(nsd[0]) / n if n else 1,
        "lesionwise_nsd_10": sum(nsd[1]) / n if n else 1,
        "lesionwise_tp": tp,
        "lesionwise_fp": fp,
        "lesionwise_fn": fn,
        "lesionwise_f1": 2 * tp / (2 * tp + fp + fn) if n else 1,
    }


def restated_2025(reference, prediction, region, _):
    a, b = (voxel_sets(np.isin(array, REGIONS_2025[region])) for array in (reference, prediction))
    # An IoU above one half leaves one partner at most; at one half, the first of equals.
    pairs, taken = [], set()
    for lesion in a:
        for number, other in enumerate(b):
            if number not in taken and len(lesion & other) / len(lesion | other) >= 0.5:
                pairs.append((lesion, other))
                taken.add(number)
                break
    if not pairs:
        nothing = 0 if a or b else 1
        return {"lesionwise_dice": nothing, "lesionwise_nsd": nothing, "lesionwise_f1": 0 if a or b else math.nan}
    return {
        "lesionwise_dice": np.mean([dice_of(*pair) for pair in pairs]),
        "lesionwise_nsd": np.mean([nsd_of(*pair, (1, 1, 1), 1) for pair in pairs]),
        "lesionwise_f1": 2 * len(pairs) / (len(a) + len(b)),
    }


def restated_2026(reference, prediction, region, spacing):
    a, b = (voxel_sets(np.isin(array, REGIONS[region])) for array in (reference, prediction))
    dice = np.array([[dice_of(lesion, other) for other in b] for lesion in a]).reshape(len(a), len(b))
    pairs = [(r, p) for r, p in zip(*linear_sum_assignment(dice, maximize=True), strict=True) if dice[r, p] > 0]
    partner, fp = dict(pairs), len(b) - len(pairs)
    scores, counts = [], {"lesionwise": [0, 0], "small": [0, 0]}
    for r, lesion in enumerate(a):
        size = "lesionwise" if len(lesion) * math.prod(spacing) >= 27 else "small"
        found = r in partner and dice[r, partner[r]] >= 0.2
        counts[size][not found] += 1
        if size == "lesionwise":
            scores.append((0, 0, 373))
            if r in partner:
                other = b[partner[r]]
                both = np.append(distances_between(lesion, other, spacing), distances_between(other, lesion, spacing))
                tolerance = min(spacing) + 1e-9
                scores[-1] = dice[r, partner[r]], nsd_of(lesion, other, spacing, tolerance), np.percentile(both, 95)
    means = np.mean([*scores, *[(0, 0, 373)] * fp], axis=0) if scores else (math.nan,) * 3
    restated = dict(zip(("lesionwise_dice", "lesionwise_nsd", "lesionwise_hd95"), means, strict=True))
    for size, (tp, fn) in counts.items():
        values = (tp, fp, fn, 2 * tp / (2 * tp + fp + fn)) if tp + fn else (math.nan,) * 4
        restated |= {f"{size}_{name}": value for name, value in zip(("tp", "fp", "fn", "f1"), values, strict=True)}
    return restated


def restated_wmh(reference, prediction, region, _):
    a, b = (voxel_sets(np.isin(array, REGIONS[region])) for array in (reference, prediction))
    all_a, all_b = set().union(*a), set().union(*b)
    recall = sum(bool(lesion & all_b) for lesion in a) / len(a) if a else 1
    precision = sum(bool(lesion & all_a) for lesion in b) / len(b) if b else 1
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    return {"wmh_recall": recall, "wmh_precision": precision, "wmh_f1": f1}


@pytest.mark.parametrize(
    ("protocol", "restated"),
    [
        ("brats-mets-2024", restated_2024),
        ("brats-mets-2025", restated_2025),
        ("brats-mets-2026", restated_2026),
        ("wmh", restated_wmh),
    ],
)
def test_scores_equal_the_rules_in_plain_loops(protocol, restated):
    for seed in SEEDS:
        reference, prediction, spacing = made_pair(1000 + seed)
        region = ("ET", "WT", "TC", "ET", "RC")[seed % 5]
        ours = scores_of(protocol, region, reference, prediction, spacing)
        expected = restated(reference, prediction, region, spacing)
        assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), (
            seed
        )


def test_an_enhancing_rim_in_two_pieces_is_one_lesion_by_its_necrosis():
    reference = np.zeros((7, 7, 20), dtype=np.uint8)
    reference[3, 3, 2:5], reference[3, 3, 5:10], reference[3, 3, 10:13] = 3, 1, 3
    alone = np.where(reference == 1, 0, reference)
    scored = [scores_of("brats-mets-2024", "ET", array, array, (1.0, 1.0, 1.0)) for array in (reference, alone)]
    assert [scores["n_reference"] for scores in scored] == [1, 2]
    # only the label that the rule names is joined, and only by that rule
    assert scores_of("brats-mets", "ET", reference, reference, (1.0, 1.0, 1.0))["n_reference"] == 2


def test_small_predictions_are_removed_after_they_were_merged():
    reference, prediction = np.zeros((7, 7, 30), dtype=np.uint8), np.zeros((7, 7, 30), dtype=np.uint8)
    reference[3, 3, 2:6] = 3
    prediction[3, 3, [2, 4, 6]] = 3  # three pieces, one lesion once dilated
    prediction[3, 3, 20:22] = 3  # two voxels: neither a lesion nor a false positive
    scores = scores_of("brats-mets-2024", "ET", reference, prediction, (1.0, 1.0, 1.0))
    assert (scores["n_prediction"], scores["lesionwise_fp"], scores["lesionwise_f1"]) == (1, 0, 1)
    assert scores["dice"] == scores["lesionwise_dice"] == 2 * 2 / (4 + 3)


def test_wmh_counts_otherwise_than_the_f1_of_lesions():
    reference, prediction = np.zeros((5, 5, 30), dtype=np.uint8), np.zeros((5, 5, 30), dtype=np.uint8)
    reference[2, 2, [2, 6, 10, 20]] = 3  # four lesions, of which one prediction finds three
    prediction[2, 2, 2:11] = 3
    scores = scores_of("wmh", "ET", reference, prediction, (1.0, 1.0, 1.0))
    assert (scores["wmh_recall"], scores["wmh_precision"]) == (3 / 4, 1)
    assert scores["wmh_f1"] == pytest.approx(2 * 0.75 / 1.75)
    assert scores["lesion_f1"] == pytest.approx(6 / 7)
    prediction[2, 2, 4:9] = 0  # two predictions, one of each lesion
    assert scores_of("wmh", "ET", reference, prediction, (1.0, 1.0, 1.0))["wmh_recall"] == 2 / 4


def test_folders_are_joined_too(tmp_path):
    array = np.zeros((7, 7, 20), dtype=np.uint8)
    array[3, 3, 2:5], array[3, 3, 5:10], array[3, 3, 10:13] = 3, 1, 3
    for folder in ("ref", "pred"):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / folder / "a.nii.gz")
    labels = {"background": 0, "NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
    content = {"labels": labels, "channel_names": {"0": "t1c"}, "numTraining": 1, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    evaluation = evaluate_folder(
        tmp_path / "ref",
        tmp_path / "pred",
        dataset_json=tmp_path / "dataset.json",
        protocol="brats-mets-2024",
    )
    cases = evaluation.cases.set_index("label")
    assert (cases.loc["ET", "n_reference"], cases.loc["ET", "n_prediction"]) == (1, 1)
    assert cases.loc["ET", "lesionwise_f1"] == cases.loc["RC", "lesionwise_f1"] == 1
