"""What an audit says: one finding a fault, with where it is and what to do about it."""

from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes:
        severity: `ERROR` breaks the training or makes its scores wrong, `WARNING` loses lesions or input, `NOTE` is
            how the data are, with an option that suits them.
        check: the check's name.
        what: one sentence.
        where: cases, pairs of cases or files, in order; empty where it is about the whole data set.
        remedy: what to change, one sentence.
        command: what to type for it, where a command does it.
    """

    severity: str
    check: str
    what: str
    remedy: str
    where: tuple[str, ...] = ()
    command: str = ""


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes, each in the order in which they were found."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
