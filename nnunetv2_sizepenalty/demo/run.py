"""The demo's steps, each an ordinary command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.demo import commands
from nnunetv2_sizepenalty.demo.overlays import draw_overlays
from nnunetv2_sizepenalty.demo.scores import PredictedCase, best_fixed_threshold, read_cases, score
from nnunetv2_sizepenalty.demo.small_plan import shrink_plan
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.folders import PREPROCESSED, VARIABLES
from nnunetv2_sizepenalty.nnunet_io.plan import plans_file

DATASET_ID = "999"
DATASET = "Dataset999_Phantom"
PLANS = "nnUNetDemoPlans"
# Key in demo.json -> the trainer, shortened to what a CPU does in minutes (560 steps and 250).
TRAINERS = {"nnUNetTrainerDTS": "nnUNetTrainerDTS_7epochs_seed0", "nnUNetTrainer": "nnUNetTrainer_1epoch"}
# thick slices, as in the thesis's own cohort
TRAINING_CASES, TEST_CASES = 20, 8
SHAPE, SPACING_MM = ("25", "64", "64"), ("6", "3", "3")


class Demo:
    """One run of the demo in `folder`; `run` does it all, its steps can be taken one by one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.nnunet = {variable: str(folder / variable) for variable in VARIABLES}

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        print(f"\n== {name}", flush=True)
        begin = monotonic()
        yield
        self.seconds[name] = round(monotonic() - begin, 1)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _call(self, log: str, *command: str, **environment: str) -> None:
        commands.run(command, self._log(log), {**self.nnunet, **environment})

    def run(self) -> dict:
        """Does all steps; returns what `demo.json` holds."""
        self.prepare()
        with self._step("train"):
            for trainer in TRAINERS.values():
                self.train(trainer)
        with self._step("predict"):
            for key, trainer in TRAINERS.items():
                self.predict(trainer, key)
        with self._step("score"):
            return self._score()

    def prepare(self) -> None:
        """Phantom, conversion, plan and preprocessing."""
        with self._step("phantom"):
            self._phantom("train", TRAINING_CASES, seed=1)
            self._phantom("test", TEST_CASES, seed=6)
        with self._step("convert"):
            self._convert()
        with self._step("plan and preprocess"):
            self._plan_and_preprocess()

    def _phantom(self, part: str, cases: int, seed: int) -> None:
        self._call(
            f"phantom_{part}",
            *("nnUNetv2_sizepenalty", "phantom", "-o", self.folder / "phantom" / part, "--cases", str(cases)),
            *("--seed", str(seed), "--shape", *SHAPE, "--spacing", *SPACING_MM),
        )

    def _convert(self) -> None:
        phantom = self.folder / "phantom"
        self._call(
            "convert_train",
            *("nnUNetv2_sizepenalty", "convert", "isles22", phantom / "train", "-d", DATASET_ID, "-n", "Phantom"),
        )
        self._call(
            "convert_test",
            *("nnUNetv2_sizepenalty", "convert", "images", "-o", self.folder / "test_images"),
            *("--adc", phantom / "test" / "rawdata" / "*" / "*" / "*_adc.nii.gz"),
            *("--dwi", phantom / "test" / "rawdata" / "*" / "*" / "*_dwi.nii.gz"),
        )

    def _plan_and_preprocess(self) -> None:
        self._call(
            "fingerprint", "nnUNetv2_extract_fingerprint", "-d", DATASET_ID, "-np", "2", "--verify_dataset_integrity"
        )
        self._call("plan", "nnUNetv2_plan_experiment", "-d", DATASET_ID)
        plans_folder = Path(self.nnunet[PREPROCESSED]) / DATASET
        plans = json.loads(plans_file(plans_folder).read_text())
        small = shrink_plan(
            plans, PLANS, configuration="3d_fullres", patch_size=(16, 48, 48), batch_size=2, features=(16, 32, 64)
        )
        plans_file(plans_folder, PLANS).write_text(json.dumps(small, indent=2))
        self._call(
            "preprocess",
            *("nnUNetv2_preprocess", "-d", DATASET_ID, "-plans_name", PLANS, "-c", "3d_fullres", "-np", "2"),
        )

    def train(self, trainer: str, *options: str) -> None:
        """nnUNetv2_train of fold 0."""
        self._call(
            f"train_{trainer}",
            *("nnUNetv2_train", DATASET_ID, "3d_fullres", "0", "-tr", trainer, "-p", PLANS, "-device", "cpu", *options),
            nnUNet_n_proc_DA="0",
            nnUNet_def_n_proc="2",
        )

    def predict(self, trainer: str, name: str, *options: str) -> None:
        """nnUNetv2_predict of the test cases, into `predictions/name`."""
        self._call(
            f"predict_{trainer}",
            *("nnUNetv2_predict", "-i", self.folder / "test_images", "-o", self.folder / "predictions" / name),
            *("-d", DATASET_ID, "-c", "3d_fullres", "-tr", trainer, "-p", PLANS, "-f", "0", "-device", "cpu"),
            *("-npp", "1", "-nps", "1", "--disable_tta", *options),
        )

    def _score(self) -> dict:
        cases: list[PredictedCase] = read_cases(self.folder, list(TRAINERS))
        draw_overlays(cases, self.folder / "overlays")
        threshold, floor = best_fixed_threshold(cases)
        scores = score(cases)
        scores.to_csv(self.folder / "scores.csv", index=False)
        print(scores.to_string(index=False), flush=True)
        means = scores.groupby("trainer")[["dice", "rve"]].mean()
        return {
            "trainers": {
                key: {"trainer": trainer, "dice": means.loc[key, "dice"], "rve": means.loc[key, "rve"]}
                for key, trainer in TRAINERS.items()
            },
            "floor": {"dice": floor, "threshold": threshold},
            "folders": {
                "phantom": str(self.folder / "phantom"),
                **self.nnunet,
                "test_images": str(self.folder / "test_images"),
                **{f"predictions {key}": str(self.folder / "predictions" / key) for key in TRAINERS},
                "overlays": str(self.folder / "overlays"),
                "logs": str(self.folder / "logs"),
            },
        }


def run_demo(folder: Path) -> Path:
    """Runs the whole demo in `folder`; returns the path of `demo.json`.

    Raises:
        UserError: the folder is not empty, or a command failed.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not an empty folder: name another one with -o, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(folder)
    result = demo.run()
    result["seconds"] = demo.seconds
    with atomic_file(folder / "demo.json") as path:
        path.write_text(json.dumps(result, indent=2))
    return folder / "demo.json"
