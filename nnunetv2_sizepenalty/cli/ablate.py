"""`nnUNetv2_sizepenalty ablate`: trains, predicts and scores every run of a matrix, then compares."""

import argparse
import sys
from pathlib import Path

from nnunetv2_sizepenalty.ablation.presets import PRESETS

MATRIX_OPTIONS = (
    "datasets", "configuration", "plans", "trainers", "folds", "seeds", "device", "step_size",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="MATRIX.yaml", type=Path, nargs="?", help="the matrix, docs/ablation.md; or:")
    parser.add_argument("-d", dest="datasets", metavar="ID", nargs="+", help="datasets, by id or name")
    parser.add_argument("-c", dest="configuration", metavar="CONFIG", help="configuration, 3d_fullres without it")
    parser.add_argument("-p", dest="plans", metavar="PLANS", nargs="+", help="plans, nnUNetPlans without it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--trainers", metavar="TRAINER", nargs="+", help="any that nnU-Net finds, the baseline first")
    which.add_argument("--preset", choices=PRESETS, help="trainers that are worth a try together, nnU-Net's first")
    parser.add_argument("--folds", metavar="FOLD", nargs="+", type=int, help="0 1 2 3 4 without it")
    parser.add_argument("--seeds", metavar="SEED", nargs="+", type=int, help="repeats, by their seeds")
    parser.add_argument("--step-size", metavar="S", type=float, help="of all predictions, 0.5 without it")
    parser.add_argument("-device", choices=("cuda", "cpu", "mps"), help="cuda without it; also beside MATRIX.yaml")
    parser.add_argument("-o", dest="output", metavar="OUT", type=Path, help="default: MATRIX.yaml's name without .yaml")
    parser.add_argument(
        "--executor", choices=("local", "slurm", "debug"), default="local",
        help="one process per GPU here, arrays on Slurm, or one run after the other in this process",
    )  # fmt: skip
    parser.add_argument("--jobs", metavar="N", type=int, help="local without GPUs: runs at a time, 1 without it")
    parser.add_argument("--gpus", metavar="N", type=int, help="for each run (nnU-Net's -num_gpus), 1 without it")
    parser.add_argument("--partition", metavar="NAME", help="slurm: the partition")
    parser.add_argument("--time", metavar="MINUTES", type=int, help="slurm: a job's time limit; it is requeued then")
    parser.add_argument(
        "--sbatch", metavar="OPTION=VALUE", nargs="+", default=[],
        help="slurm: others of sbatch's options, such as cpus-per-task=8 mem=32G account=NAME",
    )  # fmt: skip
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="print the commands and batch scripts, run nothing")
    instead.add_argument("--report", action="store_true", help="compare what is done by now, run nothing")


def run(args: argparse.Namespace) -> int:
    if sys.platform == "win32":
        from nnunetv2_sizepenalty.errors import UserError

        raise UserError("submitit and the locks need Linux or macOS: on Windows call this in WSL")
    from nnunetv2_sizepenalty.ablation.matrix import make_matrix, read_matrix
    from nnunetv2_sizepenalty.ablation.prepare import advice, prepare, write_all_inputs
    from nnunetv2_sizepenalty.ablation.state import read_state
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.errors import UserError

    _check_options(args)
    given = {name: getattr(args, name) for name in MATRIX_OPTIONS if getattr(args, name) is not None}
    if args.preset is not None:
        given["trainers"] = list(PRESETS[args.preset])
    if args.file is None:
        matrix = make_matrix(given, "options")
    elif others := [name for name in given if name != "device"]:
        raise UserError(f"{args.file} holds the matrix; write {others[0]} there, or leave the file out")
    else:
        matrix = read_matrix(args.file)
        matrix = make_matrix(matrix.model_dump() | given, str(args.file))
    if args.output is None and (args.file is None or not args.file.suffix):
        raise UserError("name a folder for the results with -o")
    output = (args.output or args.file.with_suffix("")).resolve()
    if args.gpus and args.gpus > 1 and matrix.device != "cuda":
        raise UserError(f"--gpus {args.gpus}: nnU-Net trains on several devices with -device cuda alone")
    ablation = prepare(matrix, output)
    for line in advice(ablation, time_limit=args.executor == "slurm"):
        print(f"Note: {line}")
    if args.dry_run:
        from nnunetv2_sizepenalty.ablation.dry_run import print_commands

        print_commands(ablation, gpus=args.gpus or 1, slurm=_slurm_options(args, matrix.device))
        return 0
    if args.report and not output.is_dir():
        raise UserError(f"{output}: no such folder, so nothing of this matrix is done; run it without --report")
    from nnunetv2_sizepenalty.ablation.follow import follow, report_states

    with failures_of(output):
        if args.report:
            return report_states(ablation, {run.key: read_state(ablation, run) for run in ablation.runs})
        write_all_inputs(ablation)
        return follow(ablation, _executor(args, ablation))


def _check_options(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.errors import UserError

    for name in ("jobs", "gpus", "time"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: at least 1 is needed")
    if args.executor == "slurm" and args.time is None:
        raise UserError("--executor slurm needs a time limit: --time MINUTES; jobs go on where it ends them")
    if args.executor != "slurm" and (args.partition or args.time or args.sbatch):
        raise UserError("--partition, --time and --sbatch belong to --executor slurm")
    if bad := [text for text in args.sbatch if text.startswith("-") or not all(text.partition("="))]:
        raise UserError(f"--sbatch {bad[0]}: write OPTION=VALUE without dashes, such as mem=32G")
    if args.executor != "local" and args.jobs:
        raise UserError("--jobs belongs to --executor local")


def _slurm_options(args: argparse.Namespace, device: str):
    from nnunetv2_sizepenalty.ablation.slurm import SlurmOptions

    if args.executor != "slurm":
        return None
    others = dict(text.split("=", 1) for text in args.sbatch)
    return SlurmOptions(args.time, args.partition, (args.gpus or 1) if device == "cuda" else 0, others)


def _executor(args: argparse.Namespace, ablation):
    from nnunetv2_sizepenalty.ablation.executor import Debug, Local, local_slots, share_cores
    from nnunetv2_sizepenalty.ablation.slurm import Slurm

    device, folder = ablation.matrix.device, ablation.out / "jobs"
    if args.executor == "slurm":
        return Slurm(ablation, _slurm_options(args, device))
    if args.executor == "debug":
        return Debug(folder, args.gpus or 1)
    slots = local_slots(device, args.gpus or 1, args.jobs)
    share_cores(slots)
    return Local(folder, slots)
