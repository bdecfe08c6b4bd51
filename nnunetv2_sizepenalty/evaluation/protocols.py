"""Rules of an evaluation as a whole: what counts as a lesion, as detected and as matched."""

from dataclasses import dataclass

METRICS_OF_RULES = ("overlap", "iou", "dice")


@dataclass(frozen=True)
class Rule:
    """When two lesions belong together: `overlap` is one common voxel, else `metric` is at least `threshold`."""

    metric: str = "overlap"
    threshold: float = 0.0

    def __post_init__(self):
        if self.metric not in METRICS_OF_RULES:
            raise ValueError(f"a rule is one of {', '.join(METRICS_OF_RULES)}, got {self.metric!r}")
        if not 0 <= self.threshold <= 1 or (self.threshold == 0) != (self.metric == "overlap"):
            raise ValueError(f"the threshold of {self.metric} lies above 0 and at most at 1, got {self.threshold}")

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """The rule written as "overlap", "iou:0.5" or "dice:0.1"; ValueError for anything else."""
        metric, _, threshold = text.partition(":")
        try:
            return cls(metric, float(threshold or 0))
        except ValueError as error:
            raise ValueError(f"{text!r} is no rule ({error}); write overlap, iou:0.5 or dice:0.1") from None

    def __str__(self) -> str:
        return (
            "any overlap" if self.metric == "overlap" else f"{self.metric.replace('iou', 'IoU')} >= {self.threshold:g}"
        )


@dataclass(frozen=True)
class Protocol:
    """One set of rules; `description` goes into every table's caption.

    `connectivity` None is `lesions.default_connectivity` (18, and 8 in 2D). `min_voxels` and `min_mm3` remove smaller
    predicted components before anything is computed (of the reference too with `filter_reference`).
    """

    name: str = "default"
    connectivity: int | None = None
    min_voxels: float = 0
    min_mm3: float = 0
    filter_reference: bool = False
    detection: Rule = Rule()
    matching: Rule = Rule("iou", 0.5)
    nsd_mm: float = 1.0

    @property
    def description(self) -> str:
        """One line, such as "thesis: 18-connectivity, predictions under 5 voxels removed, ..."."""
        smallest = [f"{self.min_voxels:g} voxels"] * (self.min_voxels > 0) + [f"{self.min_mm3:g} mm^3"] * (
            self.min_mm3 > 0
        )
        whose = "lesions" if self.filter_reference else "predictions"
        return ", ".join(
            [
                f"{self.name}: {self.connectivity or '18 (2D: 8)'}-connectivity",
                f"{whose} under {' or '.join(smallest)} removed" if smallest else "nothing removed",
                f"detected: {self.detection}",
                f"matched: {self.matching}",
                f"NSD within {self.nsd_mm:g} mm",
            ]
        )


PROTOCOLS: dict[str, Protocol] = {"default": Protocol(), "thesis": Protocol("thesis", min_voxels=5)}
