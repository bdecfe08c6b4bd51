"""Synthetic stroke volumes: one signal model (S = S0 exp(-b ADC)) over an anatomy and a source of lesion shapes."""

from nnunetv2_sizepenalty.phantom.case import PhantomCase, generate_case

__all__ = ["PhantomCase", "generate_case"]
