"""The commands, word by word: what nnU-Net and this package are asked to do."""

from shlex import join

from nnunetv2_sizepenalty.ablation.commands import (
    comparison,
    scoring_stages,
    threshold_stages,
    train_command,
)
from nnunetv2_sizepenalty.ablation.dry_run import left_of
from nnunetv2_sizepenalty.ablation.slurm import SlurmOptions, batch_script
from nnunetv2_sizepenalty.cli.main import _parser


def test_training(make_ablation):
    ablation = make_ablation(device="cpu", seeds=[3])
    assert join(train_command(ablation.runs[-1], ablation.matrix)) == (
        "nnUNetv2_train Dataset042_Strokes 3d_fullres 1 -tr nnUNetTrainerDCS_nnUNet_seed3 -p nnUNetPlans "
        "-device cpu --npz"
    )


def test_training_goes_on_and_takes_several_gpus(make_ablation):
    ablation = make_ablation()
    command = train_command(ablation.runs[0], ablation.matrix, 2, option="--c")
    assert command[-3:] == ("-num_gpus", "2", "--c")
    assert command[command.index("-device") + 1] == "cuda"


def test_a_test_part_is_predicted_and_cut_where_its_own_fold_says(make_ablation):
    ablation = make_ablation(cross_fitted=False, device="cpu", min_voxels=0, thresholds="dense", bins_ml=[0.5])
    run = ablation.runs[0]
    stages = [
        *scoring_stages(run, ablation.matrix, ablation.raw),
        *threshold_stages(run, ablation.matrix, ablation.raw, [run]),
    ]
    out, rules = run.folder, f"-djfile {ablation.raw}/dataset.json --protocol default --bins-ml 0.5"
    labels, images = run.inputs / "labels", run.inputs / "images"
    assert {stage.name: join(stage.command) for stage in stages} == {
        "predictions": f"nnUNetv2_predict -i {images} -o {out}/predictions -d Dataset042_Strokes -c 3d_fullres "
        "-tr nnUNetTrainer -p nnUNetPlans -f 0 -step_size 0.5 --save_probabilities -device cpu -npp 1 -nps 1",
        "froc": f"nnUNetv2_sizepenalty froc -ref {labels} -probabilities {out}/predictions -o {out}/froc {rules} "
        "--detection share:0.1 -np 1",
        "evaluation_at_half": f"nnUNetv2_sizepenalty evaluate -ref {labels} -pred {out}/predictions "
        f"-o {out}/evaluation_at_half --images {images} {rules} -np 1",
        "operating_point": f"nnUNetv2_sizepenalty threshold {run.model_folder} -o {out}/operating_point -f 0 "
        "--thresholds dense --min-voxels 0 --objective dice -np 1",
        "tuned": f"nnUNetv2_sizepenalty apply -i {out}/predictions -o {out}/tuned "
        f"--operating-point {out}/operating_point/operating_point.json -np 1",
        "evaluation": f"nnUNetv2_sizepenalty evaluate -ref {labels} -pred {out}/tuned -o {out}/evaluation "
        f"--images {images} {rules} -np 1",
    }


def test_another_step_size_is_that_of_every_prediction(make_ablation):
    ablation = make_ablation(step_size=0.25)
    run = ablation.runs[0]
    prediction = scoring_stages(run, ablation.matrix, ablation.raw)[0].command
    threshold = threshold_stages(run, ablation.matrix, ablation.raw, [run])[0].command
    assert "-step_size 0.25" in join(prediction)
    assert "--predict --step-size 0.25 -device cuda" in join(threshold)


def test_device_and_processes_leave_results_as_they_are(make_ablation):
    def what(device):
        ablation = make_ablation(device=device)
        return [stage.work.what for stage in scoring_stages(ablation.runs[0], ablation.matrix, ablation.raw)]

    assert what("cpu") == what("cuda")


def test_this_packages_parsers_take_its_commands(make_ablation, tmp_path):
    ablation = make_ablation(step_size=0.25, thresholds=[0.5], bins_ml=[1, 5])
    run = ablation.runs[0]
    models = {"a": [run], "b": [ablation.runs[2]]}
    commands = [
        *(stage.command for stage in scoring_stages(run, ablation.matrix, ablation.raw)[1:]),
        *(stage.command for stage in threshold_stages(run, ablation.matrix, ablation.raw, [run])),
        comparison("evaluation", models, tmp_path).what,
    ]
    assert {command[1] for command in commands} == {"froc", "evaluate", "threshold", "apply", "compare"}
    for command in commands:
        _parser(command[1]).parse_args(command[1:])


def test_a_dry_run_names_what_is_left_with_nnunets_results_folder(make_ablation):
    ablation = make_ablation(seeds=[3])
    run = ablation.runs[0]
    commands = left_of(ablation, run)
    assert [command[2] if command[0] == "env" else command[1] for command in commands] == [
        "nnUNetv2_train", "nnUNetv2_predict", "froc", "evaluate", "threshold", "apply", "evaluate",
    ]  # fmt: skip
    assert commands[0][1] == f"nnUNet_results={ablation.out}/nnUNet_results_repeat_3"
    assert commands[4][5:7] == ("-f", "1")


def test_the_batch_script_is_an_array_with_limit_signal_and_gpus(tmp_path):
    script = batch_script(tmp_path, SlurmOptions(600, "gpu", 2, {"mem": "32G"}), 70)
    for line in (
        "--array=0-69%70",
        "--time=600",
        "--partition=gpu",
        "--gpus-per-node=2",
        "--signal=USR2@90",
        "--mem=32G",
    ):
        assert f"#SBATCH {line}" in script.replace("'", "")
    assert "submitit.core._submit" in script


def test_a_short_limit_leaves_most_of_it_to_the_training():
    assert SlurmOptions(minutes=1).signal_delay_s == 15
