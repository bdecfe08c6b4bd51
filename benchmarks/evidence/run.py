"""The scripts' command line: raw data to a page in docs/results, resumed where it was interrupted.

Everything but the page is done by nnU-Net's and this package's own commands; the matrix beside the script is what
`--size cpu` runs, the other sizes change its lengths.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import yaml
from experiment import OURS, Evidence, Place, Size
from matrices import one_run, resized
from preparation import prepare

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError

INTERRUPTED = 130


def ablate(place: Place, matrix_file: Path, size: Size, options: Sequence[str]) -> int:
    """`ablate` with its own output on this terminal; an interruption lets it save and end."""
    script = shutil.which(OURS, path=sysconfig.get_path("scripts"))
    if script is None:
        raise UserError(f"{OURS} is not installed beside this Python")
    command = [script, "ablate", str(matrix_file), "-o", str(place.out), *options]
    print(f"== {' '.join(command[1:])}", flush=True)
    # one core is for one training, not for its loaders
    workers = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"} if size.device == "cpu" else {}
    child = subprocess.Popen(command, env={**os.environ, **place.nnunet, **workers})
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                pass  # the terminal told the child too
    finally:
        signal.signal(signal.SIGTERM, before)


def main(evidence: Evidence) -> None:
    """The script's command line."""
    parser = argparse.ArgumentParser(description=evidence.title)
    parser.add_argument("source", type=Path, help="the data, as benchmarks/evidence/README.md says where they are from")
    parser.add_argument("-o", dest="work", metavar="WORK", type=Path, required=True, help="folder for everything made")
    sizes = "; ".join(f"{name}: {size.about}" for name, size in evidence.sizes.items())
    parser.add_argument("--size", choices=evidence.sizes, default="cpu", help=sizes)
    parser.add_argument(
        "--results", metavar="DIR", type=Path, default=Path("docs/results"), help="where the page is, or is written"
    )
    parser.add_argument(
        "--reproduce", nargs=2, metavar=("TRAINER", "REPEAT"),
        help="train this run alone, in a new WORK, and hold its numbers against the intervals of those in --results",
    )  # fmt: skip
    parser.add_argument(
        "--ablate", metavar="OPTION", nargs=argparse.REMAINDER, default=[], help="the rest is for `ablate`: --jobs 2"
    )
    args = parser.parse_args()
    try:
        sys.exit(_run(evidence, args))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run(evidence: Evidence, args: argparse.Namespace) -> int:
    size = evidence.sizes[args.size]
    place = Place(args.work.resolve() / f"{evidence.name}_{args.size}")
    for folder in place.nnunet.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    # nnU-Net reads them when it is imported
    os.environ.update(place.nnunet)
    matrix = resized(yaml.safe_load(evidence.matrix_file.read_text()), size)
    if matrix["folds"] != [0]:
        raise UserError(f"{evidence.matrix_file}: the page is of fold 0 alone, whose test part every model shares")
    if args.reproduce:
        matrix = one_run(matrix, *args.reproduce)
    matrix_file = place.folder / "matrix.yaml"
    with atomic_file(matrix_file) as path:
        path.write_text(yaml.safe_dump(matrix, sort_keys=False))
    prepare(evidence, args.source.resolve(), place, size, matrix)
    code = ablate(place, matrix_file, size, args.ablate)
    if code not in (0, 1) or "--dry-run" in args.ablate:
        return code if code >= 0 else INTERRUPTED
    end = "" if args.size == "cpu" else f"_{args.size}"
    path = args.results / f"{evidence.name}{end}.md"
    if args.reproduce:
        return code or reproduce(place, matrix_file, path.with_suffix(".csv"))
    # what follows imports nnU-Net, which a call that ended above does without
    from page import write_page

    command = f"python benchmarks/evidence/{evidence.name}.py {args.source.name} -o WORK --size {args.size}"
    # --report trains nothing, so it is no part of how the numbers were made
    if options := [option for option in args.ablate if option != "--report"]:
        command += f" --ablate {' '.join(options)}"
    print(write_page(evidence, place, size, matrix_file, command, path))
    return code


def reproduce(place: Place, matrix_file: Path, published: Path) -> int:
    """Prints the runs' numbers beside the published ones; 1 where one is outside its interval."""
    from published import against_published

    from nnunetv2_sizepenalty.ablation.matrix import read_matrix
    from nnunetv2_sizepenalty.ablation.prepare import prepare as read_ablation

    table = against_published(read_ablation(read_matrix(matrix_file), place.out).runs, published)
    print(table.to_string(index=False))
    outside = int((~table["inside"]).sum())
    print(f"{len(table) - outside} of {len(table)} numbers are inside their published intervals")
    return 1 if outside else 0
