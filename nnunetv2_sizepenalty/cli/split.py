"""`nnUNetv2_sizepenalty split -d ID`."""

import argparse

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", dest="dataset", metavar="ID", required=True, help="dataset id or name")
    parser.add_argument(
        "--scheme",
        choices=("stratified", "thesis"),
        default="stratified",
        help="balanced folds by patient, or the thesis's ten tenths in a fixed order",
    )
    parser.add_argument(
        "--order",
        metavar="CSV",
        help="column case and perhaps others; its order is that of the tenths (sorted names without it)",
    )
    parser.add_argument(
        "--group",
        metavar="COLUMN_OR_PATTERN",
        help="patients, which never straddle parts: a column of the CSV, or a regular expression on the case's name"
        " (without it: sub-... of BIDS names, else each case)",
    )
    parser.add_argument("--site", metavar="COLUMN", help="stratified: a column of the CSV to balance")
    parser.add_argument(
        "--holdout", type=float, default=0.0, metavar="SHARE", help="stratified: share kept as a test part"
    )
    parser.add_argument("--folds", type=int, default=5, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="stratified: seed of test part and folds")
    add_processes(parser, at_most=8, help="processes that read labels")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing split")


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS, TEST_FOLDS
    from nnunetv2_sizepenalty.nnunet_io.folds import write_folds
    from nnunetv2_sizepenalty.splitting import splits
    from nnunetv2_sizepenalty.splitting.case_volumes import case_sizes
    from nnunetv2_sizepenalty.splitting.tables import read_column, read_table

    if args.scheme == "thesis" and (args.site or args.holdout):
        raise UserError("--site and --holdout belong to --scheme stratified")
    dataset = find_dataset(args.dataset)
    if (dataset.folder / SPLITS).exists() and not args.overwrite:
        raise UserError(
            f"{dataset.folder / SPLITS} exists; replace it with --overwrite, unless something was trained on it"
        )
    cases = list(dataset.labels)
    table = read_table(args.order, cases) if args.order else None
    if args.site and (table is None or args.site not in table.columns):
        raise UserError(f"--site {args.site}: no such column in the CSV; give one with --order")
    if args.group is None:
        groups = splits.default_groups(cases)
    elif table is not None and args.group in table.columns:
        groups = read_column(table, args.group)
    else:
        groups = splits.groups_by_pattern(cases, args.group)

    if args.scheme == "thesis":
        folds = splits.thesis_folds(cases if table is None else list(table.index), args.folds)
        splits.check_folds(folds, groups)
        # For the table below alone: the split itself looks at no label, so one may be missing.
        readable = [case for case in cases if dataset.labels[case].is_file()]
        volumes, unit = case_sizes(dataset, readable, processes=args.processes)
    else:
        test = splits.hold_out(groups, args.holdout, args.seed)
        rest = [case for case in cases if case not in set(test)]
        volumes, unit = case_sizes(dataset, rest, processes=args.processes)
        sites = read_column(table, args.site) if args.site else None
        folds = splits.stratified_folds(volumes, groups, sites, test=test, n_folds=args.folds, seed=args.seed)
        splits.check_folds(folds, groups)
    path = write_folds(dataset.folder, folds)
    _print_table(folds, volumes, unit)
    print(f"{path} and {TEST_FOLDS} beside it")
    if any(fold.test for fold in folds):
        print(f"Train folds 0 to {len(folds) - 1} alone: nnU-Net's fold all, and folds beyond, train on test cases")


def _print_table(folds, volumes: dict[str, float], unit) -> None:
    """Cases, lesion-free cases and the median lesion volume of each part; labels of a test part are not looked at."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    table = Table("fold", "part")
    for heading in ("cases", "lesion-free", f"median lesion {unit.quantity}, {unit}"):
        table.add_column(heading, justify="right")
    for k, fold in enumerate(folds):
        for part in ("train", "val", "test"):
            names = getattr(fold, part)
            if not names:
                continue
            known = [volumes[name] for name in names if name in volumes]
            if part == "test" or len(known) < len(names):
                figures = ("-", "-")
            else:
                lesions = [volume for volume in known if volume > 0]
                median = f"{np.median(lesions):.{unit.decimals}f}" if lesions else "-"
                figures = (str(len(known) - len(lesions)), median)
            table.add_row(str(k), part, str(len(names)), *figures, end_section=names is fold.test or not fold.test)
    Console().print(table)
