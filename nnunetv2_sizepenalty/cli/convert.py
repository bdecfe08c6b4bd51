"""`nnUNetv2_sizepenalty convert isles22 | folder | images`."""

import argparse
import os

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="SOURCE", required=True)

    def add(kind: str, summary: str) -> argparse.ArgumentParser:
        return kinds.add_parser(kind, help=summary, description=summary[0].upper() + summary[1:] + ".")

    isles22 = add("isles22", "the ISLES 2022 BIDS folder (or any with its file names) to a dataset")
    isles22.add_argument("source", metavar="SRC", help="folder below which *_adc, *_dwi and *_msk images lie")
    _add_dataset_arguments(isles22, name="ISLES22")

    folder = add("folder", "any ADC, DWI and masks to a dataset")
    _add_pair_arguments(folder, required=False)
    folder.add_argument("--labels", metavar="PATTERN", help="masks, 0 and 1; without them the images go to imagesTs")
    folder.add_argument(
        "--csv", metavar="CSV", help="instead: columns case, adc, dwi and label, paths relative to the CSV's folder"
    )
    _add_dataset_arguments(folder, name="Stroke")

    images = add("images", "ADC and DWI to the images that nnUNetv2_predict reads")
    _add_pair_arguments(images, required=True)
    images.add_argument("-o", dest="output", metavar="OUT", required=True, help="new folder for CASE_0000.nii.gz, ...")
    _add_common_arguments(images)


def _add_pair_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    what = "a quoted pattern whose wildcards match the case ('data/*_{0}.nii.gz'), a folder, or one file"
    for role in ("adc", "dwi"):
        parser.add_argument(f"--{role}", metavar="PATTERN", required=required, help=what.format(role))


def _add_dataset_arguments(parser: argparse.ArgumentParser, *, name: str) -> None:
    parser.add_argument("-d", dest="dataset_id", metavar="ID", type=int, required=True, help="dataset id, 1 to 999")
    parser.add_argument("-n", dest="name", default=name, help=f"dataset name (default: {name})")
    parser.add_argument(
        "--single-output", action="store_true", help="one sigmoid output (the thesis's) instead of a softmax of two"
    )
    _add_common_arguments(parser)


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plain", action="store_true", help="ADC and DWI untouched, nnU-Net's own normalisation, no mismatch channel"
    )
    parser.add_argument(
        "--spacing",
        nargs=3,
        type=float,
        metavar=("Z", "Y", "X"),
        help="resample to this voxel size in mm; Z is the file's last axis (slices), X its first",
    )
    add_processes(parser, at_most=None, help="cases at a time (default: nnUNet_def_n_proc, else 8; CPUs at most)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there under that name")


def run(args: argparse.Namespace) -> None:
    from nnunetv2.configuration import default_num_processes

    from nnunetv2_sizepenalty import dataset_conversion
    from nnunetv2_sizepenalty.errors import UserError

    if args.spacing and not all(0 < value < float("inf") for value in args.spacing):
        raise UserError(f"--spacing {' '.join(map(str, args.spacing))}: three positive numbers of mm are needed")
    common = {
        "channels": dataset_conversion.Channels(args.plain, tuple(args.spacing) if args.spacing else None),
        "processes": args.processes or min(default_num_processes, os.cpu_count() or 1),
        "overwrite": args.overwrite,
    }
    if args.kind == "isles22":
        cases = dataset_conversion.find_isles22(args.source)
    elif args.kind == "images":
        cases = dataset_conversion.find_by_patterns(args.adc, args.dwi)
        folder = dataset_conversion.convert_images(cases, args.output, **common)
        print(f"{len(cases)} cases in {folder}: give it to nnUNetv2_predict as -i")
        return
    elif args.csv and not (args.adc or args.dwi or args.labels):
        cases = dataset_conversion.read_csv(args.csv)
    elif args.adc and args.dwi and not args.csv:
        cases = dataset_conversion.find_by_patterns(args.adc, args.dwi, args.labels)
    else:
        raise UserError("give either --csv, or --adc and --dwi (and --labels)")
    folder = dataset_conversion.convert_dataset(
        cases, args.dataset_id, args.name, single_output=args.single_output, **common
    )
    labelled = sum(case.label is not None for case in cases)
    rest = f", {len(cases) - labelled} without a mask in imagesTs" if labelled < len(cases) else ""
    print(f"{labelled} cases to train on{rest}: {folder}")
    if labelled:
        print(f"Next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} -c 3d_fullres --verify_dataset_integrity")
