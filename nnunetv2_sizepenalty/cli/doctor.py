"""`doctor`: what nnU-Net sees on this machine."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows versions, devices, nnU-Net's folders, and every trainer as nnU-Net's own look-up finds it. "
        "Exit code 1 when something would keep a training from starting."
    )


def run(args: argparse.Namespace) -> int:
    from nnunetv2_sizepenalty.diagnosis import diagnose, print_findings

    return print_findings(diagnose())
