"""Writes report.html, the page of one model: which lesions it missed and how large these are."""

from nnunetv2_sizepenalty.report.write import write_report

__all__ = ["write_report"]
