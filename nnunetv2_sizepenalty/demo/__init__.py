"""The demo: phantom, conversion, nnU-Net's own commands, scores and pictures, in a few minutes on a CPU."""

from nnunetv2_sizepenalty.demo.run import run_demo

__all__ = ["run_demo"]
