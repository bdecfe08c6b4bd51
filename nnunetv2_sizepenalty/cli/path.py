"""`path`: prints the export line."""

import argparse

from nnunetv2_sizepenalty.registration import export_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints the line that registers the trainers with nnU-Net. Installing does this by itself; the line is for "
        'Python without .pth files: eval "$(nnUNetv2_sizepenalty path)".'
    )


def run(args: argparse.Namespace) -> None:
    print(export_line())
