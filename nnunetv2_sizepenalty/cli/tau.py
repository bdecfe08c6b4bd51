"""`nnUNetv2_sizepenalty tau -d ID`: what the size penalty meets in a dataset, and a tau that suits it."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes
from nnunetv2_sizepenalty.figures import FORMATS
from nnunetv2_sizepenalty.losses.size_term import TAU


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draws training patches as a trainer would, without augmentation, and shows the lesion volume within them, "
        "the volume of single lesions, the weight of S at both, and the tau that _tauAuto would take."
    )
    parser.add_argument("-d", dest="dataset", metavar="ID", required=True, help="dataset id or name")
    parser.add_argument("-p", dest="plans", metavar="PLANS", help="default: nnU-Net's own, or the only ones")
    parser.add_argument(
        "-c", dest="configuration", metavar="CONFIG", help="default: 3d_fullres, or 2d where that is all"
    )
    parser.add_argument(
        "-f", dest="fold", metavar="FOLD", default="0", help="whose training cases are looked at, or all"
    )
    parser.add_argument(
        "-tr", dest="trainer", metavar="TRAINER", default="nnUNetTrainerDTS", help="whose patches are drawn"
    )
    parser.add_argument(
        "--perlesion", action="store_true", help="suggest for S of each lesion (_perlesion), not of the patch"
    )
    parser.add_argument("--tau", type=float, metavar="VOXELS", default=TAU, help="show the weights of this tau as well")
    parser.add_argument(
        "--gate-ml",
        type=float,
        metavar="ML",
        help="suggest the tau under which this volume has the weight that 5 mL have in the thesis's ISLES plan",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, nargs="+", metavar="FILE", default=[], help="figure (.png .svg .pdf) or .json"
    )
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    from nnunetv2_sizepenalty.atomic import atomic_file
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.sampling.tau_figure import draw

    for name in ("tau", "gate_ml"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"--{name.replace('_', '-')} {value:g}: must be a positive number")
    for path in args.output:
        if path.suffix.lower() not in (*FORMATS, ".json"):
            raise UserError(f"{path}: can't tell a format by this suffix, take one of {', '.join((*FORMATS, '.json'))}")
    report = _report(args)
    _print(report)
    for path in args.output:
        with failures_of(path), atomic_file(path) as temporary:
            report.write_json(temporary) if path.suffix.lower() == ".json" else draw(report, temporary)


def _report(args: argparse.Namespace):
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.lesions import PX, size_unit
    from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.nnunet_io.plan import find_plan
    from nnunetv2_sizepenalty.nnunet_io.spacing import planned_voxels, voxel_mm
    from nnunetv2_sizepenalty.nnunet_io.training_cases import training_cases
    from nnunetv2_sizepenalty.sampling.choose_tau import volumes_in_patches, volumes_of_lesions
    from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions
    from nnunetv2_sizepenalty.sampling.tau_report import TauReport
    from nnunetv2_sizepenalty.trainers import find_trainer
    from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer
    from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionUniformDataset
    from nnunetv2_sizepenalty.trainers.patches import drawn_patches

    trainer = find_trainer(args.trainer)
    if trainer is None or not issubclass(trainer, SizePenaltyTrainer):
        raise UserError(f"-tr {args.trainer}: none of ours; nnUNetv2_sizepenalty trainers lists them")
    found = find_dataset(args.dataset)
    plan = find_plan(found, args.plans, args.configuration)
    if plan is None:
        raise UserError(f"{found.folder}: holds no plans; run nnUNetv2_plan_and_preprocess -d {args.dataset} first")
    gate_voxels = None
    if args.gate_ml is not None:
        try:
            gate_voxels = planned_voxels(args.gate_ml, plan.manager, plan.settings)
        except ValueError as error:
            raise UserError(f"--gate-ml: {error}") from None
    dataset = training_cases(plan.folder, args.fold)
    labels = plan.label_manager(found.settings)
    channels = read_labels(found.settings).channels

    def lesions(slicewise: bool):
        return find_lesions(plan.folder, dataset.identifiers, channels, slicewise=slicewise, processes=args.processes)

    seen = volumes_of_lesions(lesions(len(plan.patch_size) == 2).values())
    if trainer.sampling is not None:
        dataset = LesionUniformDataset(dataset, lesions(False), labels)
    spacing_mm = voxel_mm(plan.manager, plan.settings)
    return TauReport(
        dataset=found.name,
        plans=plan.name,
        configuration=plan.configuration,
        fold=args.fold,
        trainer=args.trainer,
        n_cases=len(dataset.identifiers),
        spacing_mm=None if size_unit(spacing_mm) == PX else spacing_mm,
        patches=volumes_in_patches(dataset, drawn_patches(trainer, plan.settings), labels, plan.settings.batch_size),
        lesions=seen,
        per_lesion=args.perlesion or trainer.size_term.per_lesion,
        tau=args.tau,
        gate_ml=args.gate_ml,
        gate_voxels=gate_voxels,
    )


def _print(report) -> None:
    from rich.console import Console
    from rich.table import Table

    from nnunetv2_sizepenalty.sampling.choose_tau import modifier

    console = Console(soft_wrap=True)
    print(
        f"{report.dataset}, {report.configuration} of {report.plans}: {report.n_cases} training cases of fold "
        f"{report.fold}, patches of {report.trainer}"
    )
    print(f"{report.share_with_a_lesion:.0%} of {report.patches.drawn} patches (times classes) hold a lesion")
    names = {
        "ml": "mL",
        "weight": f"weight, tau {report.tau:g}",
        "weight_suggested": f"weight, tau {report.suggested:g}",
    }
    for volumes in (report.patches, report.lesions):
        if rows := report.rows(volumes):
            table = Table(title=f"{len(volumes.voxels)} {volumes.of}", title_justify="left")
            for key in rows[0]:
                table.add_column(names.get(key, key), justify="right")
            for row in rows:
                table.add_row(
                    *(f"{value:.3f}" if key.startswith("weight") else f"{value:.4g}" for key, value in row.items())
                )
            console.print(table)
    print(f"Suggested: {modifier(report.suggested)} ({report.reason})")
