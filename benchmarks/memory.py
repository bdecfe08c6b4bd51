"""The planner's estimate of a training step's memory against the measured peak.

    python benchmarks/memory.py [--device cpu] [--patch 32 128 128] [--batch 1] [--precision float32]

Each step (AttentionASPPUNet, the loss DTS, AdamW) runs in a process of its own, twice, so that the optimizer's states
are there. CPU: the highest resident size above that of a process that has trained a tiny network, with glibc told to
give freed blocks back at once (MALLOC_MMAP_THRESHOLD_), so that what counts is memory in use; mixed precision is
bfloat16. CUDA: the allocator's peak; mixed precision is float16. Neither holds CUDA's context, for which the planner
adds an allowance. Ends with exit code 1 when an estimate is more than a fifth off. Without --patch: a list of cases.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from nnunetv2_sizepenalty.losses import build_loss
from nnunetv2_sizepenalty.planning.planner import plan_memory
from nnunetv2_sizepenalty.planning.topology import architecture, topology_for

MIB = 2**20
# Patch, batch, precision; spacing only decides the stages of patches that are not the thesis's.
CASES = [
    ((32, 64, 64), 1, "float32"),
    ((32, 64, 64), 4, "mixed"),
    ((32, 112, 112), 1, "float32"),
    ((32, 128, 128), 1, "float32"),
    ((32, 128, 128), 2, "mixed"),
    ((64, 64, 64), 2, "float32"),
    ((256, 256), 4, "float32"),
    ((256, 256), 8, "mixed"),
]


def spacing_of(patch: tuple[int, ...]) -> tuple[float, ...]:
    """Thick slices where the patch has few of them."""
    return tuple(1.0 if n == max(patch) else max(patch) / n for n in patch)


def train(patch: tuple[int, ...], batch: int, mixed: bool, device: str) -> None:
    """Two steps."""
    entry = architecture(topology_for(patch, spacing_of(patch)))
    network = get_network_from_plans(
        entry["network_class_name"], entry["arch_kwargs"], entry["_kw_requires_import"], 3, 2, deep_supervision=False
    )
    network.train().to(device)
    loss = build_loss("DTS", regions=False)
    optimizer = torch.optim.AdamW(network.parameters())
    scaler = torch.amp.GradScaler(device, enabled=mixed and device == "cuda")
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        image = torch.rand(batch, 3, *patch, device=device)
        target = (torch.rand(batch, 1, *patch, device=device) > 0.99).short()
        with torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16, enabled=mixed):
            value = loss(network(image), target)
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def status(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def measure_here(patch: tuple[int, ...], batch: int, mixed: bool, device: str) -> int:
    """Peak bytes of training in this process, which must be fresh."""
    if device == "cuda":
        train(patch, batch, mixed, device)
        return torch.cuda.max_memory_allocated()
    torch.set_num_threads(1)
    # Loads and compiles what any training needs; small enough to leave no mark.
    train(tuple(8 if n < max(patch) else 16 for n in patch), 1, mixed, device)
    before = status("VmRSS")
    train(patch, batch, mixed, device)
    return status("VmHWM") - before


def measure(patch: tuple[int, ...], batch: int, precision: str, device: str) -> int:
    arguments = ["--patch", *map(str, patch), "--batch", str(batch), "--precision", precision, "--device", device]
    done = subprocess.run(
        [sys.executable, __file__, "--here", *arguments],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--patch", type=int, nargs="+")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "mixed"), default="float32")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(measure_here(tuple(args.patch), args.batch, args.precision == "mixed", args.device))
        return 0
    cases = [(tuple(args.patch), args.batch, args.precision)] if args.patch else CASES
    off = 0
    print(args.device)
    print(f"{'patch':<14}{'batch':>6}  {'precision':<10}{'estimate MiB':>13}{'measured MiB':>14}{'ratio':>7}")
    for patch, batch, precision in cases:
        topology = topology_for(patch, spacing_of(patch))
        estimate = plan_memory(topology, 3, 2, mixed_precision=precision == "mixed").at(batch)
        measured = measure(patch, batch, precision, args.device)
        off += abs(estimate / measured - 1) > 0.2
        size = "x".join(map(str, patch))
        print(
            f"{size:<14}{batch:>6}  {precision:<10}{estimate / MIB:>13.0f}{measured / MIB:>14.0f}"
            f"{estimate / measured:>7.2f}",
            flush=True,
        )
    return int(off > 0)


if __name__ == "__main__":
    sys.exit(main())
