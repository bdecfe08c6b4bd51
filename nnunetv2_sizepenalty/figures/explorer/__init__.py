"""The size penalty on a page with sliders, which opens from disk with no network."""

from nnunetv2_sizepenalty.figures.explorer.page import write_explorer

__all__ = ["write_explorer"]
