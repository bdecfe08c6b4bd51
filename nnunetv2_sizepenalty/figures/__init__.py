"""Figures that explain a formula of the package; what they show is computed by the formula's own code."""

FORMATS = (".png", ".svg", ".pdf")
