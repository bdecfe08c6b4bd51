"""The share rule, PI-CAI's and MSSEG-2016's, written as plain loops over voxels and lesions."""

import itertools

import numpy as np


def _voxels(labels):
    voxels = {}
    for where in np.ndindex(labels.shape):
        if labels[where]:
            voxels.setdefault(int(labels[where]), []).append(where)
    return voxels


def _squared_distance(a, b, spacing):
    return sum(((x - y) * s) ** 2 for x, y, s in zip(a, b, spacing, strict=True))


def share_by_loops(reference, prediction, spacing, share=0.1):
    """Detected per lesion, false positive per component; labels from 1, every number up to the highest in use."""
    lesions, components = _voxels(reference), _voxels(prediction)
    detected = [False] * len(lesions)
    false_positive = [True] * len(components)
    steps = list(itertools.product((-1, 0, 1), repeat=reference.ndim))
    for c, voxels in components.items():
        touched = sorted({int(reference[v]) for v in voxels} - {0})
        parts = {k: [] for k in touched}
        for v in voxels:
            if not touched:
                break
            distances = {k: min(_squared_distance(v, w, spacing) for w in lesions[k]) for k in touched}
            nearest = [k for k in touched if distances[k] <= min(distances.values()) * (1 + 1e-9)]
            parts[min(nearest, key=lambda k: (-len(lesions[k]), k))].append(v)
        for k in touched:
            inside = counted = 0
            for v in parts[k]:
                around = [tuple(x + d for x, d in zip(v, step, strict=True)) for step in steps]
                if reference[v] == k:
                    inside += 1
                elif any(w in lesions[k] for w in around):
                    continue
                counted += 1
            if inside / counted >= share:
                detected[k - 1] = True
                false_positive[c - 1] = False
    return detected, false_positive


def msseg_by_loops(reference, prediction, alpha=0.1, beta=0.7, gamma=0.65):
    """The same, in MSSEG-2016's way."""

    def true(ours, theirs):
        our, their = _voxels(ours), _voxels(theirs)
        result = []
        for k in sorted(our):
            overlap = {}
            for v in our[k]:
                if theirs[v]:
                    overlap[int(theirs[v])] = overlap.get(int(theirs[v]), 0) + 1
            covered = sum(overlap.values())
            good, reached = covered / len(our[k]) > alpha, 0
            for c in sorted(overlap, key=lambda c: (-overlap[c], c)):
                if reached >= gamma * covered:
                    break
                outside = sum(ours[v] == 0 for v in their[c])
                good = good and not outside / len(their[c]) > beta
                reached += overlap[c]
            result.append(good)
        return result

    return true(reference, prediction), [not t for t in true(prediction, reference)]


def picai_by_loops(reference, prediction, iou=0.1):
    """The same, in PI-CAI's way: every assignment is tried."""
    lesions, components = _voxels(reference), _voxels(prediction)
    score = {}
    for k, c in itertools.product(lesions, components):
        both = len(set(lesions[k]) & set(components[c]))
        value = both / (len(lesions[k]) + len(components[c]) - both)
        if value >= iou:
            score[k, c] = value

    def best(left, free):
        if not left:
            return 0.0, frozenset()
        k, rest = left[0], left[1:]
        options = [best(rest, free)]
        for c in free:
            if (k, c) in score:
                total, found = best(rest, free - {c})
                options.append((total + 1 + score[k, c], found | {k}))
        return max(options, key=lambda option: option[0])

    _, found = best(sorted(lesions), frozenset(components))
    near = {c for _, c in score}
    return [k in found for k in sorted(lesions)], [c not in near for c in sorted(components)]
