"""What a cut is chosen for, as `--objective` says it."""

import math
from dataclasses import dataclass

from nnunetv2_sizepenalty.errors import UserError

# The thesis's 600 voxels of its ISLES plan, 2 mm in each direction.
TAU_ML = 4.8
SCORES = ("dice", "pooled_dice", "pq", "lesion_f1", "rve", "size_penalty", "sensitivity")
_LOWER_IS_BETTER = ("rve", "size_penalty")


@dataclass(frozen=True)
class Objective:
    """A score, and what it may cost.

    Attributes:
        score: one of `SCORES`.
        most_false_positives: per case; cuts with more may not be chosen.
        tau_ml: of `size_penalty`, where exp(-V_g / tau) has fallen to exp(-1).
    """

    score: str = "dice"
    most_false_positives: float = math.inf
    tau_ml: float = TAU_ML

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Reads a score, with `@2` for at most two false positives per case, `size_penalty:1.5` for another tau in mL.

        Raises:
            UserError: it is anything else, or sensitivity without `@`, which marking everything would win.
        """
        words, at, most = text.partition("@")
        score, colon, tau = words.partition(":")
        try:
            found = cls(score, float(most) if at else math.inf, float(tau) if colon else TAU_ML)
            limited = 0 <= found.most_false_positives < math.inf
            known = score in SCORES and (score != "sensitivity" or limited) and (limited or not at)
            if known and (not colon or (score == "size_penalty" and 0 < found.tau_ml < math.inf)):
                return found
        except ValueError:
            pass
        raise UserError(
            f"--objective {text}: it is one of {', '.join(SCORES)}, size_penalty:TAU_ML for another tau, each with @N "
            "for at most N false positives per case and sensitivity always with it, such as sensitivity@2"
        )

    def __str__(self) -> str:
        tau = "" if self.tau_ml == TAU_ML else f":{self.tau_ml:g}"
        return f"{self.score}{tau}" + (
            "" if math.isinf(self.most_false_positives) else f"@{self.most_false_positives:g}"
        )

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return -1 if self.score in _LOWER_IS_BETTER else 1

    @property
    def counts_lesions(self) -> bool:
        """Whether it depends on the rule of detection."""
        return self.score in ("lesion_f1", "sensitivity") or not math.isinf(self.most_false_positives)
