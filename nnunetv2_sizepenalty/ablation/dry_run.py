"""What `--dry-run` prints: the commands that are left of each run, and Slurm's batch script."""

from shlex import join

from nnunetv2_sizepenalty.ablation.calls import NnunetCommand
from nnunetv2_sizepenalty.ablation.commands import scoring_stages, threshold_stages, train_command
from nnunetv2_sizepenalty.ablation.runs import Run, peers_of
from nnunetv2_sizepenalty.ablation.slurm import SlurmOptions, batch_script
from nnunetv2_sizepenalty.ablation.state import DONE, Ablation, is_done, next_step, read_state


def print_commands(ablation: Ablation, *, gpus: int, slurm: SlurmOptions | None) -> None:
    """Prints what would be run; runs nothing and writes nothing."""
    left = [run for run in ablation.runs if read_state(ablation, run).kind != DONE]
    for run in left:
        print(f"# {run.key}")
        for command in left_of(ablation, run, gpus):
            print(join(command))
        print()
    if slurm is not None and left:
        print(f"# sbatch, an array of {len(left)}")
        print(batch_script(ablation.out / "jobs" / "%j", slurm, len(left)))
    print(f"# {len(left)} of {len(ablation.runs)} runs are not done")


def left_of(ablation: Ablation, run: Run, gpus: int = 1) -> list[tuple[str, ...]]:
    """Lists the commands that a run still needs, if all goes well."""
    # nnU-Net's own commands read it, a repeat may have one of its own
    environment = ("env", f"nnUNet_results={run.nnunet_results}")
    step = next_step(ablation, run)
    commands = []
    if step is not None and step.name in ("training", "validation"):
        commands.append(environment + train_command(run, ablation.matrix, gpus, option=step.option))
    raw = ablation.raw / run.dataset
    chosen_on = peers_of(run, ablation.runs) if run.part.cross_fitted else (run,)
    stages = scoring_stages(run, ablation.matrix, raw) + threshold_stages(run, ablation.matrix, raw, chosen_on)
    for stage in stages:
        if not is_done(run, stage):
            commands.append((environment if isinstance(stage.work, NnunetCommand) else ()) + stage.command)
    return commands
