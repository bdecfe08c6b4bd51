"""What the evidence's scripts share: raw data to a table in docs/results, resumed where it was interrupted.

A script describes its data set as an `Evidence` and calls `main`. Everything but the table is done by nnU-Net's and
this package's own commands; the matrix beside the script is what `--size cpu` runs, the other sizes change its lengths.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from floor import Views

from nnunetv2_sizepenalty.atomic import atomic_file, atomic_folder
from nnunetv2_sizepenalty.demo import commands
from nnunetv2_sizepenalty.demo.small_plan import shrink_plan
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.trainers.names import parse

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
PLANS = "nnUNetEvidencePlans"
INTERRUPTED = 130
OURS = "nnUNetv2_sizepenalty"


@dataclass(frozen=True)
class Network:
    """A plan made small; sizes in the plan's axis order."""

    patch_size: tuple[int, ...]
    batch_size: int
    features: tuple[int, ...]


@dataclass(frozen=True)
class Size:
    """What one `--size` changes.

    Attributes:
        about: for --help.
        network: None keeps the planner's own.
        epochs: of every training; None keeps the matrix's.
        cases: how many of the data set, None all.
        models, repeats: how many of the matrix's trainers and seeds, the first ones; None all.
        device: of trainings and predictions.
    """

    about: str
    network: Network | None
    epochs: int | None = None
    cases: int | None = None
    models: int | None = None
    repeats: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Place:
    """The folder of one size; nnU-Net's three folders, marks, logs and the ablation's results are in it."""

    folder: Path

    @property
    def nnunet(self) -> dict[str, str]:
        return {name: str(self.folder / name) for name in FOLDERS}

    @property
    def out(self) -> Path:
        return self.folder / "ablation"

    def run(self, log: str, *command: object, **environment: str) -> None:
        """A command to its end, its output in a log file."""
        commands.run([str(part) for part in command], self.folder / "logs" / f"{log}.log", self.nnunet | environment)

    def step(self, name: str, work: Callable[[], None]) -> None:
        """Does `work` unless an earlier call finished it."""
        mark = self.folder / "done" / name
        if not mark.exists():
            print(f"== {name}", flush=True)
            work()
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


@dataclass(frozen=True)
class Evidence:
    """One data set and what is asked of it.

    Attributes:
        name: of the matrix beside the script, and of the page.
        title, about: the page's heading, and its paragraph on data, split and question.
        dataset: nnU-Net's name.
        write_raw: writes the raw data set from the source, replacing what an interrupted call left:
            (source, place, how many cases or None).
        sizes: name -> size; "smallest" and "cpu" are there.
        views: what the floor's plain threshold may look at.
        test_cases: all cases -> the test part; None draws a quarter, by `split --holdout`.
        plans: name of each plan -> entries of its configuration that differ from nnU-Net's.
        planner: None for nnU-Net's; else what writes nnUNetSizePenaltyPlans: (place, network).
        pixels: the images are 2D, so sizes are pixels, not mL.
    """

    name: str
    title: str
    about: str
    dataset: str
    write_raw: Callable[[Path, Place, int | None], None]
    sizes: Mapping[str, Size]
    views: Views
    test_cases: Callable[[Sequence[str]], Sequence[str]] | None = None
    plans: Mapping[str, Mapping] = field(default_factory=lambda: {PLANS: {}})
    planner: Callable[[Place, Network | None], None] | None = None
    pixels: bool = False

    @property
    def matrix_file(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.yaml")


def unpack(archive: Path, place: Place, cases: int | None, *, dataset: str) -> None:
    """An archive that holds the nnU-Net dataset as it is."""
    if not archive.is_file():
        raise UserError(f"{archive}: no such file; name the archive that benchmarks/evidence/README.md tells of")
    raw = place.folder / FOLDERS[0]
    with atomic_folder(raw / dataset, overwrite=True) as new:
        with zipfile.ZipFile(archive) as file:
            file.extractall(new)
        for path in (new / dataset).iterdir():
            path.rename(new / path.name)
        (new / dataset).rmdir()
        keep_cases(new, cases)


def keep_cases(raw: Path, cases: int | None) -> None:
    """Removes all but the first cases of a raw data set."""
    if cases is None:
        return
    settings = json.loads((raw / "dataset.json").read_text())
    ending = settings["file_ending"]
    names = sorted(path.name.removesuffix(ending) for path in (raw / "labelsTr").glob(f"*{ending}"))
    for name in names[cases:]:
        (raw / "labelsTr" / f"{name}{ending}").unlink(missing_ok=True)
        for path in (raw / "imagesTr").glob(f"{name}_????{ending}"):
            path.unlink()
    settings["numTraining"] = min(cases, len(names))
    (raw / "dataset.json").write_text(json.dumps(settings, indent=1))


def with_epochs(trainer: str, epochs: int) -> str:
    """A trainer's name with another length; nnU-Net's own calls one epoch `_1epoch`."""
    text = "_1epoch" if epochs == 1 and parse(trainer) is None else f"_{epochs}epochs"
    renamed, found = re.subn(r"_\d+epochs?(?=_|$)", text, trainer)
    if found != 1:
        raise UserError(f"trainers: {trainer} names no length, such as _20epochs")
    return renamed


def resized(matrix: Mapping, size: Size) -> dict:
    """The matrix of another size."""
    rows = [dict(row) if isinstance(row, dict) else {"trainer": row} for row in matrix["trainers"]][: size.models]
    if size.epochs is not None:
        rows = [row | {"trainer": with_epochs(row["trainer"], size.epochs)} for row in rows]
    return {**matrix, "trainers": rows, "seeds": matrix["seeds"][: size.repeats], "device": size.device}


def plan(evidence: Evidence, place: Place, size: Size, configuration: str) -> None:
    """Fingerprint and plans, each of the evidence's under its name."""
    place.run("fingerprint", "nnUNetv2_extract_fingerprint", "-d", evidence.dataset[7:10], "-np", 1, "--clean")
    if evidence.planner is None:
        place.run("plan", "nnUNetv2_plan_experiment", "-d", evidence.dataset[7:10])
        source = "nnUNetPlans"
    else:
        evidence.planner(place, size.network)
        source = "nnUNetSizePenaltyPlans"
    folder = Path(place.nnunet["nnUNet_preprocessed"]) / evidence.dataset
    plans = json.loads((folder / f"{source}.json").read_text())
    for name, entries in evidence.plans.items():
        new = _named(plans, name, configuration, size.network)
        new["configurations"][configuration] |= entries
        with atomic_file(folder / f"{name}.json") as path:
            path.write_text(json.dumps(new, indent=2))


def _named(plans: dict, name: str, configuration: str, network: Network | None) -> dict:
    if network is None:
        own = plans["configurations"][configuration] | {"data_identifier": f"{name}_{configuration}"}
        return {**plans, "plans_name": name, "configurations": {configuration: own}}
    small = shrink_plan(
        plans, name, configuration=configuration, patch_size=network.patch_size, batch_size=network.batch_size,
        features=network.features,
    )  # fmt: skip
    # those of the plan are for its own stages; without them they follow the map that reaches the bottleneck
    small["configurations"][configuration]["architecture"]["arch_kwargs"].pop("aspp_dilations", None)
    return small


def split(evidence: Evidence, place: Place) -> None:
    """Five folds beside a test part that no training sees."""
    if evidence.test_cases is None:
        command = ("split", "-d", evidence.dataset[7:10], "--holdout", 0.25, "--processes", 1, "--overwrite")
        place.run("split", OURS, *command)
        return
    from nnunetv2_sizepenalty.planning import split_files, splits

    dataset = split_files.find_dataset(evidence.dataset)
    groups = splits.default_groups(list(dataset.labels))
    test = evidence.test_cases(list(dataset.labels))
    volumes = split_files.lesion_volumes(dataset, [case for case in dataset.labels if case not in set(test)])
    folds = splits.stratified_folds(volumes, groups, test=test)
    splits.check_folds(folds, groups)
    split_files.write_folds(dataset, folds)


def prepare(evidence: Evidence, source: Path, place: Place, size: Size, matrix: Mapping) -> None:
    """Everything that comes before the first training."""
    place.step("raw", lambda: evidence.write_raw(source, place, size.cases))
    place.step("plan", lambda: plan(evidence, place, size, matrix["configuration"]))
    for name in evidence.plans:
        place.step(
            f"preprocess_{name}",
            lambda name=name: place.run(
                f"preprocess_{name}",
                *("nnUNetv2_preprocess", "-d", evidence.dataset[7:10], "-plans_name", name),
                *("-c", matrix["configuration"], "-np", 1 if size.device == "cpu" else 8),
            ),
        )
    place.step("split", lambda: split(evidence, place))


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
        "--results", metavar="DIR", type=Path, default=Path("docs/results"), help="where the page is written"
    )
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
    matrix_file = place.folder / "matrix.yaml"
    with atomic_file(matrix_file) as path:
        path.write_text(yaml.safe_dump(matrix, sort_keys=False))
    prepare(evidence, args.source.resolve(), place, size, matrix)
    code = ablate(place, matrix_file, size, args.ablate)
    if code not in (0, 1) or "--dry-run" in args.ablate:
        return code if code >= 0 else INTERRUPTED
    from page import write_page

    end = "" if args.size == "cpu" else f"_{args.size}"
    command = f"python benchmarks/evidence/{evidence.name}.py {args.source.name} -o WORK --size {args.size}"
    if args.ablate:
        command += f" --ablate {' '.join(args.ablate)}"
    print(write_page(evidence, place, size, matrix_file, command, args.results / f"{evidence.name}{end}.md"))
    return code
