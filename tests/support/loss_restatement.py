"""The losses once more, in float64 and as the plain formulas, and the cases that the tests of the losses go through."""

import itertools
import math
import random
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nnunetv2_sizepenalty.losses import Gate, build_loss

WEIGHTS = {"D": 1.0, "T": 1.0, "F": 1.0, "C": 1.0, "K": 1.0, "L": 1.0, "B": 0.5, "H": 0.1, "S": 0.3}
BY_LESION = set("LBH")


def restated_terms(
    code: str,
    logits: Tensor,
    target: Tensor,
    *,
    regions: bool,
    ignore_label: int | None = None,
    batch_dice: bool = False,
    tau: float = 600.0,
    cap: float = 10.0,
    log_ratio: bool = False,
    soft_cap: bool = False,
    gate: Gate | None = None,
    per_lesion: bool = False,
    sizeweight: float = 0.0,
) -> dict[str, Tensor]:
    """Each term without its weight; `logits` in float64. Of `gate` its numbers alone are used."""
    spatial = tuple(range(2, logits.ndim))
    if has_cells(code, per_lesion=per_lesion, sizeweight=sizeweight):
        target, cells = split_cells(target, logits.shape[1], regions)
    valid = torch.ones_like(logits[:, :1])
    if regions:
        if ignore_label is not None:
            valid = 1 - target[:, -1:].double()
            target = target[:, :-1]
        y = target.double()
        p = torch.sigmoid(logits)
        log_true = torch.where(y == 1, -torch.logaddexp(-logits, 0 * logits), -torch.logaddexp(logits, 0 * logits))
        voxel_is_foreground = y
    else:
        if ignore_label is not None:
            valid = (target != ignore_label).double()
        labels = torch.where(valid == 1, target.long(), 0)
        p = torch.softmax(logits, 1)[:, 1:]
        y = torch.cat([(labels == k).double() for k in range(1, logits.shape[1])], 1)
        log_true = torch.log_softmax(logits, 1).gather(1, labels)
        voxel_is_foreground = (labels > 0).double()
    p_true = torch.exp(log_true)
    v_p, v_g, tp = (valid * p).sum(spatial), (valid * y).sum(spatial), (valid * p * y).sum(spatial)
    weight = torch.ones_like(log_true)
    if sizeweight:
        for b, c, k in numbered_cells(cells):
            lesion = (cells[b, c] == k) & (y[b, c] == 1) & (valid[b, 0] == 1)
            weight[b, c if regions else 0][lesion] = 1 + sizeweight * math.exp(-float(lesion.sum()) / tau)
    d_p, d_g, d_tp = (v.sum(0) for v in (v_p, v_g, tp)) if batch_dice else (v_p, v_g, tp)

    def mean_over_valid(values: Tensor) -> Tensor:
        return (valid * values).sum() / (valid.expand_as(values).sum().clamp(min=1))

    terms = {}
    for letter in code:
        if letter == "D":
            terms["D"] = (1 - (2 * d_tp + 1e-5) / (d_p + d_g + 1e-5)).mean()
        if letter == "T":
            terms["T"] = (1 - (d_tp + 1e-5) / (d_tp + 0.3 * (d_p - d_tp) + 0.7 * (d_g - d_tp) + 1e-5)).mean()
        if letter == "F":
            alpha = torch.where(voxel_is_foreground == 1, 0.25, 0.75)
            terms["F"] = mean_over_valid(-weight * alpha * (1 - p_true) ** 2 * log_true)
        if letter == "C":
            terms["C"] = mean_over_valid(-weight * log_true)
            if regions and ignore_label is not None:  # nnU-Net sums over the regions there
                terms["C"] = terms["C"] * y.shape[1]
        if letter == "K":
            highest = (-weight * valid * log_true).flatten().sort(descending=True).values
            terms["K"] = highest[: max(1, int(len(highest) * 10 / 100))].mean()
        if letter in BY_LESION:
            of_pair = []
            for b in range(len(y)):
                for c in range(y.shape[1]):
                    z = logits[b, c]
                    if not regions:
                        z = logits[b, c + 1] - logits[b, [h for h in range(len(logits[b])) if h != c + 1]].amax(0)
                    entropy = -log_true[b, c if regions else 0]
                    value = RESTATED[letter](valid[b, 0] == 1, y[b, c] == 1, p[b, c], entropy, z, cells[b, c], tau)
                    of_pair += [] if value is None else [value]
            terms[letter] = torch.stack(of_pair).mean() if of_pair else 0 * logits.sum()
        if letter == "S":
            if per_lesion:
                v_p, v_g = (
                    torch.stack(
                        [(valid[b, 0] * (cells[b, c] == k) * of[b, c]).sum() for b, c, k in numbered_cells(cells)]
                        or [0 * logits.sum()]
                    )
                    for of in (p, y)
                )
            error = (v_p - v_g).abs() / (v_g + 1e-5)
            if log_ratio:
                error = (torch.log(v_p + 1) - torch.log(v_g + 1)).abs()
            penalty = torch.exp(-v_g / tau) * error
            if soft_cap:
                penalty = cap * (1 - torch.exp(-penalty / cap))
            else:
                penalty = torch.where(penalty >= cap, torch.full_like(penalty, cap), penalty)
            if gate is not None:
                volume = v_p.detach() if gate.by == "predicted" else v_g
                above = volume > gate.voxels
                fading = 0.1 + 0.9 * torch.exp(-(((volume - gate.voxels) / gate.voxels) ** 2))
                penalty = penalty * torch.where(above, torch.zeros_like(fading) if gate.hard else fading, 1.0)
            terms["S"] = penalty[v_g > 0].mean() if (v_g > 0).any() else 0 * logits.sum()
    return terms


def _lesions(valid: Tensor, y: Tensor, cells: Tensor) -> list[Tensor]:
    """The voxels of each lesion that has any."""
    masks = [(cells == k) & y & valid for k in cells.unique() if k > 0]
    return [mask for mask in masks if mask.any()]


def _dice(domain: Tensor, y: Tensor, p: Tensor) -> Tensor:
    overlap, volumes = (p * y)[domain].sum(), p[domain].sum() + y[domain].sum()
    return 1 - (2 * overlap + 1e-5) / (volumes + 1e-5)


def _restated_l(valid, y, p, entropy, z, cells, tau) -> Tensor | None:
    domains = [(cells == cells[mask][0]) & valid for mask in _lesions(valid, y, cells)] or [valid]
    if not valid.any():
        return None
    return torch.stack([_dice(domain, y, p) + entropy[domain].mean() for domain in domains]).mean()


def _restated_b(valid, y, p, entropy, z, cells, tau) -> Tensor | None:
    lesions = _lesions(valid, y, cells)
    if not lesions:
        return None
    domains = [(valid & (~y | mask), mask) for mask in lesions]
    # over all voxels, as its authors' code has it
    return torch.stack(
        [_dice(domain, mask, p) + entropy[domain].sum() / valid.sum() for domain, mask in domains]
    ).mean()


def _restated_h(valid, y, p, entropy, z, cells, tau) -> Tensor | None:
    lesions = _lesions(valid, y, cells)
    if not lesions:
        return None
    share = torch.softmax(torch.tensor([-float(mask.sum()) / tau for mask in lesions], dtype=p.dtype), 0)
    misses = [torch.log1p(torch.exp(-hit)) for hit in (torch.logsumexp(z[m], 0) - math.log(m.sum()) for m in lesions)]
    return (share * torch.stack(misses)).sum()


RESTATED = {"L": _restated_l, "B": _restated_b, "H": _restated_h}


def has_cells(code: str, **options) -> bool:
    """Whether the target holds cells behind."""
    return bool(options.get("per_lesion") or options.get("sizeweight") or BY_LESION & set(code))


def restated_loss(code: str, logits: Tensor, target: Tensor, *, weighting: str = "fixed", **options) -> Tensor:
    """The default-weighted sum, with the weight of S as `weighting` says."""
    terms = restated_terms(code, logits, target, **options)
    weights = {letter: 1.0 if len(code) == 1 else WEIGHTS[letter] for letter in code}
    if weighting == "balanced":
        norms = {
            letter: torch.autograd.grad(weights[letter] * term, logits, retain_graph=True)[0].norm()
            for letter, term in terms.items()
        }
        own = norms.pop("S") / weights["S"]
        if own > 0:
            weights["S"] = min(weights["S"] * float(sum(norms.values()) / own), 10.0)
    if weighting == "learned":  # s = -log(0.3) at the start
        regions = options["regions"]
        if has_cells(code, **options):
            target, _ = split_cells(target, logits.shape[1], regions)
        lesions = _valid_foreground(target, logits.shape[1], regions, options["ignore_label"]).any()
        terms["S"] = 0.3 * terms["S"] + lesions * -math.log(0.3)
        weights["S"] = 1.0
    return sum(weights[letter] * term for letter, term in terms.items())


def split_cells(target: Tensor, heads: int, regions: bool) -> tuple[Tensor, Tensor]:
    """Target without and with its last channels, one of cells for each region or foreground class."""
    cells = heads if regions else heads - 1
    return target[:, :-cells], target[:, -cells:]


def numbered_cells(cells: Tensor) -> list[tuple[int, int, int]]:
    """Sample, channel and number of all cells."""
    pairs = itertools.product(range(cells.shape[0]), range(cells.shape[1]))
    return [(b, c, int(k)) for b, c in pairs for k in cells[b, c].unique() if k > 0]


def _valid_foreground(target: Tensor, heads: int, regions: bool, ignore_label: int | None) -> Tensor:
    if not regions:
        return (target > 0) & (target < heads)
    foreground = target[:, :heads] > 0
    return foreground if ignore_label is None else foreground & (target[:, -1:] == 0)


def assert_same_value_and_gradient(own: Tensor, expected: Tensor, leaf: Tensor, precise: Tensor, atol: float) -> None:
    """A loss of float32 logits `leaf` and its restatement of the same in float64, `atol` for the gradient."""
    torch.testing.assert_close(own.double(), expected, rtol=1e-5, atol=1e-7)
    own.backward()
    expected.backward()
    torch.testing.assert_close(leaf.grad.double(), precise.grad, rtol=1e-4, atol=atol)


def unit_in_last_place(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The step from each value to the next in `dtype`."""
    info = torch.finfo(dtype)
    exponent = torch.floor(torch.log2(values.abs().clamp(min=info.tiny)))
    return torch.exp2(exponent) * info.eps


@dataclass(frozen=True)
class Case:
    """One batch and one loss; `make` draws the tensors."""

    code: str
    heads: str
    shape: tuple[int, ...]
    lesions: str
    ignored: str
    batch_dice: bool
    scale: float
    dtype: torch.dtype
    target_dtype: str
    tau: float

    @property
    def regions(self) -> bool:
        return self.heads.startswith("regions")

    @property
    def channels(self) -> int:
        return int(self.heads[-1])

    @property
    def ignore_label(self) -> int | None:
        return None if self.ignored == "nothing" else self.channels

    @property
    def options(self) -> dict:
        """Keyword arguments of `build_loss` and of the restatement."""
        return {
            "regions": self.regions,
            "ignore_label": self.ignore_label,
            "batch_dice": self.batch_dice,
            "tau": self.tau,
            "cap": 10.0,
        }

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        size = "x".join(map(str, self.shape))
        batch_dice = "batchdice" if self.batch_dice else "sampledice"
        return (
            f"{self.code}-{self.heads}-{size}-lesions_{self.lesions}-ignored_{self.ignored}-{batch_dice}"
            f"-scale{self.scale:g}-{dtype}-{self.target_dtype}-tau{self.tau:g}"
        )

    def make(self) -> tuple[Tensor, Tensor]:
        """Logits and target as nnU-Net passes them; the tenth that K takes is unambiguous."""
        for seed in range(100):
            logits, target = self._draw(torch.Generator().manual_seed(seed))
            if "K" not in self.code or self._tenth_is_unambiguous(logits, target):
                return logits, target
        raise AssertionError(f"no draw of {self} without a tie")

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = (2, self.channels, *self.shape)
        logits = (self.scale * torch.randn(shape, generator=generator)).clamp(-100, 100).to(self.dtype)
        share = {"many": 0.3, "few": 0.01, "first sample": 0.2, "none": 0.0}[self.lesions]
        draws = torch.rand(shape, generator=generator)
        foreground = draws < share
        if self.lesions == "first sample":
            foreground[1:] = False
        ignored = torch.rand((2, 1, *self.shape), generator=generator)
        ignored = ignored < {"nothing": 0.0, "some": 0.2, "all": 1.1}[self.ignored]
        if self.regions:
            target = torch.cat([foreground, ignored], 1) if self.ignore_label is not None else foreground
            return logits, target.to(getattr(torch, self.target_dtype))
        target = torch.zeros((2, 1, *self.shape), dtype=torch.int64)
        for k in range(1, self.channels):
            target[foreground[:, k : k + 1]] = k
        target[ignored] = self.channels
        return logits, target.to(torch.int16 if self.target_dtype == "bool" else getattr(torch, self.target_dtype))

    def _tenth_is_unambiguous(self, logits: Tensor, target: Tensor) -> bool:
        x = logits.double()
        if self.regions:
            truth = target[:, : self.channels].double()
            entropies = binary_cross_entropy_with_logits(x, truth, reduction="none")
            if self.ignore_label is not None:
                entropies = entropies * (1 - target[:, -1:].double())
        else:
            labels = target[:, 0].long()
            labels = torch.where(labels == self.channels, -100, labels)
            entropies = cross_entropy(x, labels, reduction="none", ignore_index=-100)
        ranked = entropies.flatten().sort(descending=True).values
        count = int(len(ranked) * 10 / 100)
        last, next_ = ranked[count - 1], ranked[count]
        # where both are 0, neither has a gradient
        return bool(last == 0) or bool(last - next_ > 1e-5 * last)


def with_cells(case: Case, target: Tensor) -> Tensor:
    """The target with random cells behind: one, two or three for a pair that holds foreground."""
    generator = torch.Generator().manual_seed(0)
    heads = case.channels
    channels = (
        [target[:, c] > 0 for c in range(heads)] if case.regions else [target[:, 0] == k for k in range(1, heads)]
    )
    masks = torch.stack(channels, 1)
    cells = torch.zeros_like(masks, dtype=target.dtype)
    for b, c in itertools.product(range(masks.shape[0]), range(masks.shape[1])):
        if masks[b, c].any():
            n = 1 + (b + c + len(case.shape)) % 3
            cells[b, c] = torch.randint(1, n + 1, case.shape, generator=generator).to(target.dtype)
    return torch.cat([target, cells], 1)


def assert_equals_restatement(case: Case, **variant) -> None:
    """Value and gradient of `build_loss` within 1e-4, the gradient of half precision within its last place."""
    logits, target = case.make()
    if has_cells(case.code, **variant):
        target = with_cells(case, target)
    precise = logits.double().requires_grad_()
    expected = restated_loss(case.code, precise, target, **case.options, **variant)
    (expected_gradient,) = torch.autograd.grad(expected, precise)

    logits.requires_grad_()
    loss = build_loss(case.code, **case.options, **variant)(logits, target)
    loss.backward()

    assert loss.dtype == (torch.float64 if case.dtype == torch.float64 else torch.float32)
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
    assert logits.grad.dtype == case.dtype
    error = (logits.grad.double() - expected_gradient).abs()
    if case.dtype in (torch.float16, torch.bfloat16):
        allowed = unit_in_last_place(expected_gradient, case.dtype)
    else:
        allowed = 1e-4 * expected_gradient.abs()
    # where p is 1 to the last digit of a float64, the restatement's own 1 - p is noise
    allowed += 1e-12 * expected_gradient.abs().max()
    assert (error <= allowed).all(), f"error {error.max():.3g} where {expected_gradient.abs().max():.3g} is largest"


# every level of those factors that all losses have in common
LEVELS = {
    "heads": ("regions1", "regions2", "softmax2", "softmax3", "softmax4"),
    "shape": ((9, 8), (5, 6, 7)),
    "lesions": ("many", "few", "first sample", "none"),
    "ignored": ("nothing", "some", "all"),
    "batch_dice": (False, True),
    "scale": (1.0, 5.0, 60.0),
    "dtype": (torch.float32, torch.float16, torch.bfloat16, torch.float64),
}


def pairwise(**factors: tuple) -> list[dict]:
    """Rows that hold every pair of levels of any two factors at least once; the same at every call."""
    names = list(factors)
    missing = {(a, x, b, y) for a, b in itertools.combinations(names, 2) for x in factors[a] for y in factors[b]}
    draw = random.Random(0)
    rows = []

    def pairs_of(row: dict) -> set:
        return {(a, row[a], b, row[b]) for a, b in itertools.combinations(names, 2)}

    while missing:
        a, x, b, y = min(missing, key=str)
        best = max(
            ({name: draw.choice(levels) for name, levels in factors.items()} | {a: x, b: y} for _ in range(40)),
            key=lambda row: len(pairs_of(row) & missing),
        )
        rows.append(best)
        missing -= pairs_of(best)
    return rows


def gates(voxels: float) -> dict[str, Gate | None]:
    """Name -> every kind of gate at that volume, and none."""
    return {
        "none": None,
        "truth": Gate(voxels),
        "predicted": Gate(voxels, by="predicted"),
        "hard": Gate(voxels, hard=True),
    }


def variant_cases(**factors) -> dict[str, tuple[Case, dict]]:
    """Id -> a case and options of `build_loss`, pairwise; factors that are no fields of `Case` are such options.

    `gate` is what `gates` returns, every other factor a tuple of its levels.
    """
    of_case = {field.name for field in fields(Case)}
    found = {}
    for row in pairwise(**factors | {"gate": tuple(factors["gate"])}):
        case = Case(**{key: value for key, value in row.items() if key in of_case})
        variant = {key: value for key, value in row.items() if key not in of_case}
        name = "-".join([str(case), *(f"{key}={value}" for key, value in variant.items() if value)])
        found[name] = case, variant | {"gate": factors["gate"][variant["gate"]]}
    return found
