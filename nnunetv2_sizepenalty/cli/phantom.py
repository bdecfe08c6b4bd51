"""`nnUNetv2_sizepenalty phantom`."""

import argparse

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", dest="output", metavar="DIR", required=True, help="new folder, in ISLES 2022's layout")
    parser.add_argument("--cases", type=int, default=20, metavar="N", help="how many patients")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the series; the same seed, the same bytes")
    parser.add_argument("--first-case", type=int, default=1, metavar="I", help="number of the first case")
    parser.add_argument(
        "--shape", nargs="+", type=int, metavar="N", help="voxels along z, y, x, z the slices (default: 73 112 112)"
    )
    parser.add_argument(
        "--spacing",
        nargs="+",
        type=float,
        metavar="MM",
        help="voxel size along z, y, x in mm (default: 146 224 224 mm over the shape, 2 2 2 for ISLES's)",
    )
    parser.add_argument(
        "--anatomy",
        choices=("analytic", "mni"),
        default="analytic",
        help="the brain: of ellipsoids, or the MNI152 template",
    )
    parser.add_argument(
        "--lesions",
        metavar="FOLDER",
        help="real lesion masks in MNI space (*lesion.nii.gz, such as the SOOP cohort's) instead of ellipsoids",
    )
    add_processes(parser, at_most=8)
    parser.add_argument("--overwrite", action="store_true", help="replace an older phantom in the folder")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.errors import UserError

    for option, value, least in (
        ("--cases", args.cases, 1),
        ("--seed", args.seed, 0),
        ("--first-case", args.first_case, 0),
    ):
        if value < least:
            raise UserError(f"{option} {value}: give {least} or more")

    from nnunetv2_sizepenalty.phantom.dataset import write_dataset

    try:
        write_dataset(
            args.output,
            args.cases,
            args.seed,
            args.shape,
            args.spacing,
            anatomy=args.anatomy,
            lesion_masks=args.lesions,
            first_case=args.first_case,
            processes=args.processes,
            overwrite=args.overwrite,
        )
    except FileExistsError:
        remedy = (
            "--overwrite replaces a phantom alone, give another -o"
            if args.overwrite
            else "give another -o, or --overwrite"
        )
        raise UserError(f"{args.output} exists and is not empty: {remedy}") from None
    except ValueError as error:
        raise UserError(str(error)) from error
    print(f"{args.cases} cases in {args.output} (truth: lesions.csv, phantom.json)")
