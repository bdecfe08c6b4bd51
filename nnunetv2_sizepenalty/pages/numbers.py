"""Numbers as text, the same way in every table and sentence."""

import math

from nnunetv2_sizepenalty.lesions import PX, SizeUnit

DASH = "–"


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits without an exponent between 1e-4 and 1e6, a dash for what is undefined."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−")


def amount(size: float, unit: SizeUnit) -> str:
    """A size with its unit: "0.0123 mL", "17 px"."""
    text = f"{size:,.0f}" if unit == PX and math.isfinite(size) else number(size)
    return f"{text} {unit}"


def percent(value: float | None) -> str:
    """A share as a whole percentage, with one decimal where rounding would hide that it is not 0 or 100 %."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{100 * value:.0f}"
    if text in ("0", "100") and value not in (0, 1):
        text = f"{100 * value:.1f}"
    return f"{text} %"


def threshold(value: float | None) -> str:
    """A threshold on a probability: `number`, with as many digits as tell it from 1."""
    digits = 3
    while value is not None and value < 1 and float(f"{value:.{digits}f}") == 1 and digits < 16:
        digits += 1
    return f"{value:.{digits}f}" if digits > 3 else number(value)


def p_value(p: float | None) -> str:
    """Two digits, "< 0.001" below that."""
    return "< 0.001" if p is not None and p < 0.001 else number(p, 2)


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """ "0.61 to 0.70"; empty where it is undefined."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    # What is left of a sum that is 0 but for rounding reads as 0.
    low, high = (0 if abs(end) < 1e-12 * max(abs(low), abs(high)) else end for end in (low, high))
    return f"{number(low, digits)} to {number(high, digits)}"


def size_name(stratum: str) -> str:
    """A stratum's name as people write it: "≥ 5 mL" for ">= 5 mL", "no lesion" for "none"."""
    return {"none": "no lesion"}.get(stratum, stratum.replace(">=", "≥").replace("-", "–"))


def plural(count: int, noun: str) -> str:
    """ "1 lesion", "2 lesions"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
