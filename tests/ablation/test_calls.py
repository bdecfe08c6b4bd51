"""This package's functions as an ablation calls them: the command that is shown, commas in paths, failures."""

import numpy as np
import pytest
from ablation_files import finish_training
from operating_point_data import softmax_of, write_image

from nnunetv2_sizepenalty.ablation.calls import Compare, Evaluate, Rules, ScoreProbabilities
from nnunetv2_sizepenalty.ablation.commands import comparison, scoring_stages, threshold_stages
from nnunetv2_sizepenalty.ablation.job import RunJob
from nnunetv2_sizepenalty.ablation.process import call, open_log
from nnunetv2_sizepenalty.ablation.state import FAILED, key_of, mark_done, read_state
from nnunetv2_sizepenalty.cli.compare import parse_named
from nnunetv2_sizepenalty.cli.main import _parser
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.evaluation.protocols import Rule, split_detection


@pytest.fixture
def shown(make_ablation, tmp_path):
    """shown(**keys of the matrix) -> each call with what our parser makes of the command that is shown for it."""

    def parse(**keys):
        ablation = make_ablation(**keys)
        run, other = ablation.runs[:2]
        stages = scoring_stages(run, ablation.matrix, ablation.raw)[1:]
        stages += threshold_stages(run, ablation.matrix, ablation.raw, [run, other])
        calls = {stage.name: stage.work for stage in stages}
        calls["compare"] = comparison("evaluation", {"a": [run, other], "b": [run]}, tmp_path)
        words = {name: work.what + work.how for name, work in calls.items()}
        return {name: (work, _parser(words[name][1]).parse_args(words[name][1:])) for name, work in calls.items()}

    return parse


def test_the_command_that_is_shown_says_what_is_called(shown):
    calls = shown(bins_ml=[0.5, 2], thresholds=[0.123456789, 0.5], min_voxels=[0, 7], step_size=0.25, device="mps")
    for name in ("froc", "evaluation", "evaluation_at_half"):
        work, args = calls[name]
        masks = args.probabilities if name == "froc" else args.prediction
        assert (args.reference, masks, args.output, args.processes) == (
            work.references, work.probabilities if name == "froc" else work.predictions, work.output, work.processes,
        )  # fmt: skip
        assert Rules(args.djfile, args.protocol, tuple(args.bins_ml)) == work.rules
    work, args = calls["operating_point"]
    assert (args.results_folders, args.output, args.objectives) == ([work.model], work.output, [work.objective])
    assert [int(fold) for fold in args.folds] == list(work.folds)
    assert [float(threshold) for threshold in args.thresholds] == list(work.thresholds)
    assert args.min_voxels == list(work.min_voxels)
    assert (args.predict, args.step_size, args.device, args.processes) == (True, 0.25, "mps", work.processes)
    work, args = calls["tuned"]
    assert (args.probabilities, args.output, args.operating_point) == ([work.probabilities], work.output, work.point)
    work, args = calls["compare"]
    named = [parse_named(texts) for texts in (args.models, args.froc, args.results)]
    assert [{name: tuple(paths) for name, paths in each.items()} for each in named] == [
        work.evaluations, work.frocs, work.results,
    ]  # fmt: skip


def test_nnunets_own_step_reads_the_npz_and_dense_stays_a_word(shown):
    _, args = shown(thresholds="dense")["operating_point"]
    assert (args.predict, args.device, args.thresholds) == (False, None, ["dense"])


def test_folders_may_have_commas_in_their_names(tmp_path):
    folder = tmp_path / "a,b=c, d"
    reference = np.zeros((6, 8, 8), np.uint8)
    reference[2:4, 2:5, 2:5] = 1
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}')
    for case in ("one", "two", "three"):
        write_image(folder / "labels" / f"{case}.nii.gz", reference)
        write_image(folder / "images" / f"{case}_0000.nii.gz", rng.normal(size=reference.shape).astype(np.float32))
        for model in ("x", "y"):
            write_image(folder / model / f"{case}.nii.gz", reference * (rng.random(reference.shape) < 0.7).astype("u1"))
    rules = Rules(folder / "dataset.json", "default", (1.0, 5.0))
    evaluations = {model: folder / f"evaluation_{model}" for model in ("x", "y")}
    with open_log(folder / "log.txt") as log:
        for model, output in evaluations.items():
            call(Evaluate(folder / "labels", folder / model, output, folder / "images", rules, 1), log)
        named = {model: (output,) for model, output in evaluations.items()}
        call(Compare(named, {}, {}, folder / "comparison"), log)
    assert (folder / "comparison" / "compare.html").is_file()
    text = (folder / "log.txt").read_text()
    assert "in 3 cases\n" in text
    assert f"report          {evaluations['x'] / 'report.html'}\n" in text
    assert f"see {folder / 'comparison' / 'compare.html'}" in text


def test_thresholds_are_swept_by_the_share_rule_whatever_the_protocol(tmp_path, shown):
    """By the any overlap of `thesis` a map that is high everywhere would find every lesion."""
    reference = np.zeros((9, 12, 12), np.uint8)
    reference[2:4, 2:5, 2:5] = 1
    write_image(tmp_path / "labels" / "one.nii.gz", reference)
    (tmp_path / "maps").mkdir()
    np.savez(tmp_path / "maps" / "one.npz", probabilities=softmax_of(np.full(reference.shape, 0.9)))
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}')
    rules = Rules(tmp_path / "dataset.json", "thesis", (1.0, 5.0))
    ScoreProbabilities(tmp_path / "labels", tmp_path / "maps", tmp_path / "froc", rules, 1)()
    found = read_froc(tmp_path / "froc")
    assert found.summary.labels["lesion"].lesion_average_precision == 0
    _, args = shown(protocol="thesis")["froc"]
    assert (args.protocol, args.detection) == ("thesis", "share:0.1")
    assert found.summary.description.startswith("thesis: ")
    assert split_detection(found.summary.description)[1] == str(Rule.parse(args.detection))


def test_a_call_that_fails_is_a_failed_run_that_says_why(make_ablation):
    ablation = make_ablation(trainers="nnUNetTrainerDCS_nnUNet", device="cpu")
    run = ablation.runs[0]
    finish_training(run)
    predictions = scoring_stages(run, ablation.matrix, ablation.raw / run.dataset)[0]
    mark_done(run, predictions, key_of(predictions))
    assert RunJob(ablation, run.key)() == FAILED
    state = read_state(ablation, run)
    assert (state.kind, state.detail.partition(": ")[0]) == (FAILED, "froc")
    assert str(run.folder / "predictions") in state.detail
    text = run.log.read_text()
    assert "$ nnUNetv2_sizepenalty froc -ref " in text
    assert f"froc failed: {state.detail.removeprefix('froc: ')}" in text


def test_a_rule_of_detection_is_said_where_lesions_are_counted(shown):
    """So that what 0.1.0 chose by any overlap is chosen anew."""
    assert "--detection" not in shown(objective="dice")["operating_point"][0].what
    for objective in ("lesion_f1", "sensitivity@2", "dice@2"):
        work, args = shown(objective=objective, thresholds="data")["operating_point"]
        assert work.what[-2:] == ("--detection", "share:0.1")
        assert (args.thresholds, args.objectives, args.detection) == (["data"], [objective], "share:0.1")
