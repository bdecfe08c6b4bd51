"""`nnUNetv2_sizepenalty plan -d ID`."""

import argparse

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", dest="dataset", metavar="ID", required=True, help="dataset id or name")
    parser.add_argument(
        "-c", dest="configuration", default="3d_fullres", help="the configuration that the options below are about"
    )
    parser.add_argument(
        "--preset",
        default="auto",
        help="isles22 (patch 32x112x112, batch 18), proprietary (32x128x128, batch 18): the thesis's, slices first;"
        " auto fits patch and batch to images and memory",
    )
    for option, what in (("--patch", "patch"), ("--small-patch", "small patch, used with probability 0.2")):
        parser.add_argument(
            option, nargs="+", type=int, metavar="N", help=f"{what} in voxels, in the images' own axis order (z y x)"
        )
    parser.add_argument("--batch", type=int, metavar="N", help="patches per batch, over all GPUs")
    parser.add_argument(
        "--gpu-memory-gb", type=float, default=8, help="what patches and batches that you don't name have to fit in"
    )
    add_processes(parser, at_most=8, help="processes that extract a missing fingerprint")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.planning.planner import PLANS_NAME, Request
    from nnunetv2_sizepenalty.planning.plans import plan_dataset

    request = Request(
        patch_size=tuple(args.patch) if args.patch else None,
        small_patch_size=tuple(args.small_patch) if args.small_patch else None,
        batch_size=args.batch,
        preset=None if args.preset == "auto" else args.preset,
    )
    planner = plan_dataset(
        args.dataset,
        configuration=args.configuration,
        request=request,
        gpu_memory_gb=args.gpu_memory_gb,
        processes=args.processes,
    )
    plan = planner.plans["configurations"][args.configuration]
    print(
        f"\n{PLANS_NAME}, {args.configuration}, axes slices first (transposed by {planner.plans['transpose_forward']}):"
    )
    for label, value in (
        ("patch", plan["patch_size"]),
        ("small patch", plan["size_penalty"]["small_patch_size"]),
        ("batch", plan["batch_size"]),
        ("strides", plan["architecture"]["arch_kwargs"]["strides"]),
        ("dilations", plan["architecture"]["arch_kwargs"]["aspp_dilations"]),
        ("spacing, mm", [round(float(value), 3) for value in plan["spacing"]]),
        ("preprocessed data", plan["data_identifier"]),
    ):
        print(f"  {label + ':':<19}{value}")
    print("\n".join(planner.notes))
    number = planner.dataset_name[7:10].lstrip("0")
    print(f"Next: nnUNetv2_preprocess -d {number} -plans_name {PLANS_NAME} -c {args.configuration}")
    print(f"      nnUNetv2_train {number} {args.configuration} FOLD -tr nnUNetTrainerDTS -p {PLANS_NAME}")
