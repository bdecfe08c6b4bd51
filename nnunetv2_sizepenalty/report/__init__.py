"""report.html: which lesions were missed and how large they were, in words, plots, tables and a slice viewer."""

from nnunetv2_sizepenalty.report.write import write_report

__all__ = ["write_report"]
