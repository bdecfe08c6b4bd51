"""Models on the same cases: what differs, by how much, and when nothing can be told."""

from nnunetv2_sizepenalty.comparison.write import write_comparison

__all__ = ["write_comparison"]
