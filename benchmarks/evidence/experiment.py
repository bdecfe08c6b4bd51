"""What a script of the evidence describes: its data set, its sizes, and where everything made is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from floor import Views

from nnunetv2_sizepenalty.demo import commands

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
PLANS = "nnUNetEvidencePlans"
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

    @property
    def matrix_file(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.yaml")
