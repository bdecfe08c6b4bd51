"""Writes compare.html, the page of several models: what differs, by how much, and when nothing can be told."""

from nnunetv2_sizepenalty.comparison.write import write_comparison

__all__ = ["write_comparison"]
