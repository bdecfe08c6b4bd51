"""The loss of a combination of letters: its terms from one computation of the volumes, weighted and added."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.cells import lesion_volumes
from nnunetv2_sizepenalty.losses.formulas import VoxelTerm
from nnunetv2_sizepenalty.losses.lesion_view import LesionView, size_weights
from nnunetv2_sizepenalty.losses.parameters import DEFAULT, Parameters
from nnunetv2_sizepenalty.losses.record import Record
from nnunetv2_sizepenalty.losses.size_penalty import is_saturated, known_tau, mean_over_lesions
from nnunetv2_sizepenalty.losses.size_term import THESIS, Gate, SizeTerm, Weighting
from nnunetv2_sizepenalty.losses.sums.volumes import Batch
from nnunetv2_sizepenalty.losses.terms import TERMS, needs_cells, term_weights
from nnunetv2_sizepenalty.losses.weighting import LearnedWeight, balancing_weight


class CompoundLoss(nn.Module):
    """Weighted sum of the terms of a combination; made by `build_loss`.

    weights: letter -> weight, read at every call, so a schedule may change it. Of S it is what `weighting` makes of it:
        the weight itself; balanced, the share that its gradient is held at; learned, a factor on the learned term,
        which is 1 at first, while the weight that was asked for is where exp(-s) starts.
    last: the `Record` of the latest call of `forward`, or None.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        regions: bool,
        ignore_label: int | None = None,
        batch_dice: bool = False,
        ddp: bool = False,
        size_term: SizeTerm = THESIS,
        parameters: Parameters = DEFAULT,
    ):
        super().__init__()
        takes = {letter: TERMS[letter].takes for letter in weights}
        if size_term.needs_plan:
            raise ValueError("tau or the gate of S is in mL, make it voxels first: SizeTerm.in_voxels")
        if size_term.weighting != "fixed" and "S" not in weights:
            raise ValueError(f"weighting {size_term.weighting!r} is of S, which is not among {list(weights)}")
        if size_term.per_lesion and "S" not in weights:
            raise ValueError(f"per_lesion is of S, which is not among {list(weights)}")
        if size_term.weighting == "balanced" and len(weights) == 1:
            raise ValueError("S alone has no partners to be balanced with")
        if parameters.size_weight is not None and not {"voxel", "cross-entropies"} & set(takes.values()):
            raise ValueError(
                f"the weight of small lesions' voxels is of C, K and F, none of which is in {list(weights)}"
            )
        self.weights = dict(weights)
        self._takes = takes
        self._formulas = {letter: _formula(letter, parameters) for letter in weights}
        self.learned: LearnedWeight | None = None
        if size_term.weighting == "learned":
            self.learned = LearnedWeight(self.weights["S"])
            self.weights["S"] = 1.0
        self.regions = regions
        self.ignore_label = ignore_label
        self.batch_dice = batch_dice
        self.ddp = ddp
        self.size_term = size_term
        self.parameters = parameters
        self.last: Record | None = None

    @property
    def needs_cells(self) -> bool:
        """Whether single lesions enter, whose cells must come behind the target."""
        return needs_cells("".join(self.weights), self.size_term, self.parameters)

    def set_tau(self, tau: float) -> None:
        """Sets tau of S, in voxels: for a trainer that estimates it after the loss was built."""
        self.size_term = replace(self.size_term, tau=tau)

    def forward(self, net_output: Tensor, target: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """Returns the loss of one scale.

        Args:
            net_output: logits (B, heads, *spatial) of any floating type.
            target: with regions (B, heads [+ 1, ignored where 1], *spatial), else labels (B, 1, *spatial). Where it
                `needs_cells`, a channel of `lesion_cells` for each region or foreground class comes behind; a target
                without them is completed here, on the CPU, distances in voxels.
            voxel_ratio: voxels of this scale per voxel of full resolution; `DeepSupervision` passes it.

        Raises:
            ValueError: the shapes do not fit.
        """
        terms, self.last = self._evaluate(net_output, target, voxel_ratio)
        return sum(terms.values())

    def weighted_terms(self, net_output: Tensor, target: Tensor, voxel_ratio: float = 1.0) -> dict[str, Tensor]:
        """Returns each term with its weight, with gradient; leaves `last` as it is."""
        return self._evaluate(net_output, target, voxel_ratio)[0]

    def _evaluate(self, net_output: Tensor, target: Tensor, voxel_ratio: float) -> tuple[dict[str, Tensor], Record]:
        takes = self._takes
        if {"cross-entropies", "lesions"} & set(takes.values()) or self._differentiates_apart:
            # two functions differentiate the logits, or one more often: gradients must meet in float32
            net_output = net_output.to(torch.promote_types(net_output.dtype, torch.float32))
        batch = Batch.of(net_output, target, self.regions, self.ignore_label, self.needs_cells)
        view = weight = None
        if "lesions" in takes.values() or self.parameters.size_weight is not None:
            view = LesionView(batch, known_tau(self.size_term) * voxel_ratio, self.parameters.smooth)
        if self.parameters.size_weight is not None:
            weight = size_weights(view, self.parameters.size_weight)
        voxel_terms = {letter: self._formulas[letter] for letter in takes if takes[letter] == "voxel"}
        volumes, voxels = batch.measure(tuple(voxel_terms.values()), weight)
        voxel_sums = dict(zip(voxel_terms, () if voxels is None else voxels, strict=True))
        summed = volumes.over_batch(self.ddp) if self.batch_dice and "overlap" in takes.values() else volumes

        terms = {}
        for letter, formula in self._formulas.items():
            if takes[letter] == "overlap":
                terms[letter] = formula(summed.predicted, summed.reference, summed.overlap).mean()
            elif takes[letter] == "voxel":
                terms[letter] = voxel_sums[letter] / self._voxel_count(formula, batch)
            elif takes[letter] == "cross-entropies":
                entropies = batch.cross_entropies()
                terms[letter] = formula(entropies if weight is None else entropies * weight.view_as(entropies))
            elif takes[letter] == "lesions":
                terms[letter] = mean_over_lesions(*formula(view), self.ddp)[0].to(volumes.predicted.dtype)
            else:
                seen = (volumes.predicted, volumes.reference)
                if self.size_term.per_lesion:
                    seen = lesion_volumes(batch, volumes)
                penalty = formula(self.size_term, *seen, voxel_ratio)
                terms[letter], lesions = mean_over_lesions(penalty, seen[1], self.ddp)
        weighted = {letter: self.weights[letter] * term for letter, term in terms.items()}
        if "S" not in terms:
            return weighted, Record.of(terms, volumes)
        weighted["S"], factor = self._weigh_size(terms["S"], lesions, weighted, net_output)
        saturated = is_saturated(self.size_term, *(volume.detach() for volume in seen), voxel_ratio)
        return weighted, Record.of(terms, volumes, seen[1] > 0, saturated, factor)

    @property
    def _differentiates_apart(self) -> bool:
        return self.size_term.per_lesion or self.size_term.weighting == "balanced"

    def _weigh_size(
        self, penalty: Tensor, lesions: Tensor, weighted: dict[str, Tensor], logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """S with its weight, and the factor on it."""
        weight = self.weights["S"]
        if self.learned is not None:
            return weight * self.learned(penalty, lesions), weight * self.learned.factor
        factor = penalty.new_tensor(weight)
        if self.size_term.weighting == "balanced" and logits.requires_grad:
            factor = balancing_weight(weight, weighted | {"S": penalty}, logits, self.ddp)
        return factor * penalty, factor

    def _voxel_count(self, term: VoxelTerm, batch: Batch) -> int | Tensor:
        """What the sum over voxels (and channels, with regions) is divided by."""
        count = batch.valid_voxels()
        if term.sums_regions_if_ignoring and batch.ignored is not None:
            return count
        return count * batch.reference.shape[1]


def _formula(letter: str, parameters: Parameters):
    """What computes a term, with those of `parameters` that are its own."""
    row = TERMS[letter]
    formula, own = row.resolve(), parameters.of(row.parameters)
    if row.takes == "voxel":
        return formula(**own)
    return partial(formula, **own) if own else formula


def build_loss(
    code: str,
    *,
    regions: bool,
    ignore_label: int | None = None,
    batch_dice: bool = False,
    ddp: bool = False,
    size_term: SizeTerm = THESIS,
    parameters: Parameters = DEFAULT,
    sizeweight: float | None = None,
    weights: Mapping[str, float] | None = None,
    tau: float | None = None,
    cap: float | None = None,
    log_ratio: bool | None = None,
    soft_cap: bool | None = None,
    gate: Gate | None = None,
    per_lesion: bool | None = None,
    weighting: Weighting | None = None,
) -> CompoundLoss:
    """Returns the loss of a combination of letters.

    Args:
        code: letters of `TERMS` in their one spelling (`terms.spelling`), such as "DTS".
        regions: heads are regions under a sigmoid (nnU-Net's `label_manager.has_regions`), else a softmax.
        ignore_label: nnU-Net's; with regions any number says that the target's last channel is 1 where ignored.
        batch_dice: D and T sum their volumes over the batch first.
        ddp: the lesion-positive mean of S and the sums of `batch_dice` are over all processes' batches.
        size_term: S, with tau and gate in voxels. Per lesion, the target must hold the cells; with a learned weight,
            the optimiser must be given the loss's parameter.
        parameters: of the terms; the thesis's unless told otherwise.
        sizeweight: overrides `parameters.size_weight`: voxels of lesion k count 1 + a exp(-V_k / tau) in C, K and F.
        weights: letter -> weight, in place of the default, and of `size_term.weight`.
        tau, cap, log_ratio, soft_cap, gate, per_lesion, weighting: override those fields of `size_term`.

    Raises:
        ValueError: an unknown combination, a weight for a letter that is not in it, tau or cap not positive, a volume
            in mL, a variant of S where there is no S, balanced where nothing is beside it.
    """
    fields = {
        "tau": tau,
        "cap": cap,
        "log_ratio": log_ratio,
        "soft_cap": soft_cap,
        "gate": gate,
        "per_lesion": per_lesion,
        "weighting": weighting,
    }
    if sizeweight is not None:
        parameters = replace(parameters, size_weight=sizeweight)
    size_term = replace(size_term, **{name: value for name, value in fields.items() if value is not None})
    if size_term.weight is not None and "S" in code:
        weights = {"S": size_term.weight, **(weights or {})}
    return CompoundLoss(
        term_weights(code, weights),
        regions=regions,
        ignore_label=ignore_label,
        batch_dice=batch_dice,
        ddp=ddp,
        size_term=size_term,
        parameters=parameters,
    )
