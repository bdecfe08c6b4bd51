"""Time and peak memory of the losses, forward and backward, as ratios to nnU-Net's default loss on the same tensors.

    python benchmarks/losses.py [--codes DTS DTFS DCS] [--heads 1 2 3] [--threads 1 2] [--repeats 60]
    python benchmarks/losses.py --codes DC DCL DCB DCH DC_sizeweight4 --lesions none one fifty scattered

A code may end in `_sizeweight4`; the cells that it needs are made before, as a loader's workers do. One head is a
region under a sigmoid (baseline DC_and_BCE_loss), more are classes under a softmax (DC_and_CE_loss), both with
MemoryEfficientSoftDiceLoss. Time: the losses take turns in one process; median and least over the repeats. Memory:
each loss in a process of its own, the highest resident size (Linux; on CUDA the allocator's) above that at the start.
"""

import argparse
import itertools
import multiprocessing
import statistics
import time
from pathlib import Path

import torch

from nnunetv2_sizepenalty.losses import TargetLayout, build_loss
from nnunetv2_sizepenalty.losses.target_layout import complete

BASELINE = "nnU-Net"
MIB = 2**20


def make_loss(name: str, heads: int) -> torch.nn.Module:
    if name != BASELINE:
        code, _, weight = name.partition("_sizeweight")
        return build_loss(code, regions=heads == 1, sizeweight=float(weight) if weight else None)
    from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    dice = {"batch_dice": False, "smooth": 1e-5, "do_bg": heads == 1, "ddp": False}
    if heads == 1:
        return DC_and_BCE_loss({}, dice, dice_class=MemoryEfficientSoftDiceLoss)
    return DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)


def make_batch(
    shape: tuple[int, ...], heads: int, device: str, lesions: str = "one"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normal logits, a target, and the target with cells behind.

    Lesions of each sample: none; one box that fills about 0.5 % of the patch; fifty boxes of 3 voxels a side; or a
    voxel in a thousand, scattered.
    """
    batch, *spatial = shape
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, heads, *spatial, generator=draw)
    target = torch.zeros(batch, 1, *spatial, dtype=torch.float32 if heads == 1 else torch.int16)
    if lesions == "one":
        side = 0.005 ** (1 / len(spatial))
        target[(slice(None), slice(None), *(slice(n // 3, n // 3 + max(1, round(side * n))) for n in spatial))] = 1
    elif lesions == "fifty":
        for sample in target[:, 0]:
            for _ in range(50):
                corner = [int(torch.randint(n - 2, (1,), generator=draw)) for n in spatial]
                sample[tuple(slice(at, at + 3) for at in corner)] = 1
    elif lesions == "scattered":
        target[torch.rand(target.shape, generator=draw) < 1e-3] = 1
    cells = complete(target, TargetLayout(heads, heads == 1, with_cells=True))
    return logits.to(device), target.to(device), cells.to(device)


def step(loss: torch.nn.Module, logits: torch.Tensor, target: torch.Tensor, with_cells: torch.Tensor) -> None:
    seen = with_cells if getattr(loss, "needs_cells", False) else target
    loss(logits.detach().requires_grad_(), seen).backward()
    if logits.is_cuda:
        torch.cuda.synchronize()


def times(losses: dict[str, torch.nn.Module], batch, repeats: int) -> dict[str, list[float]]:
    """Seconds of each repeat, the losses taking turns, after two rounds that do not count."""
    seconds = {name: [] for name in losses}
    for _ in range(repeats + 2):
        for name, loss in losses.items():
            start = time.perf_counter()
            step(loss, *batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: values[2:] for name, values in seconds.items()}


def peak_bytes(name: str, shape: tuple[int, ...], heads: int, device: str, lesions: str) -> float:
    """Highest memory of one step above what is held before it; called in a fresh process."""
    torch.set_num_threads(1)
    loss = make_loss(name, heads)
    step(loss, *make_batch((2, *[4] * (len(shape) - 1)), heads, device))  # loads what is loaded once
    batch = make_batch(shape, heads, device, lesions)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, *batch)
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step(loss, *batch)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--codes", nargs="+", default=["DTS", "DTFS", "DCS"], metavar="CODE")
    parser.add_argument("--lesions", nargs="+", choices=["none", "one", "fifty", "scattered"], default=["one"])
    parser.add_argument("--heads", nargs="+", type=int, default=[1], help="1: one region; more: softmax")
    parser.add_argument("--shape", nargs="+", type=int, default=[4, 32, 128, 128], help="batch, then the patch")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="on the CPU")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    shape = tuple(args.shape)
    names = [BASELINE, *args.codes]
    device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {device}, float32, batch and patch {shape}, {args.repeats} repeats\n")
    print(
        "| lesions | heads | threads | loss | median ms | ratio | least ms | ratio | peak MiB | ratio |\n"
        + "|---" * 10
        + "|"
    )
    for lesions, heads in itertools.product(args.lesions, args.heads):
        compare(names, shape, heads, lesions, args)


def compare(names: list[str], shape: tuple[int, ...], heads: int, lesions: str, args: argparse.Namespace) -> None:
    """Prints the rows of one kind of batch."""
    peaks = {}
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks[name] = pool.apply(peak_bytes, (name, shape, heads, args.device, lesions))
    batch = make_batch(shape, heads, args.device, lesions)
    for threads in args.threads if args.device == "cpu" else [1]:
        torch.set_num_threads(threads)
        seconds = times({name: make_loss(name, heads) for name in names}, batch, args.repeats)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        least = {name: min(values) for name, values in seconds.items()}
        for name in names:
            ratios = [values[name] / values[BASELINE] for values in (median, least, peaks)]
            print(
                f"| {lesions} | {heads} | {threads} | {name} | {1e3 * median[name]:.1f} | {ratios[0]:.2f} "
                f"| {1e3 * least[name]:.1f} | {ratios[1]:.2f} | {peaks[name] / MIB:.0f} | {ratios[2]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
