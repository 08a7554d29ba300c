"""What the pipeline starts from: settings without surprises, verified checkpoints, what they have seen."""

import json
import shutil

import pytest
from small_run import content_of, new_run, small_config, stop_after, train, write_tasks

from arc_core.base.errors import CheckpointError, ConfigError, RunError
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.pipeline_start import (
    SOLVING,
    find_run_checkpoint,
    identity_of,
    settle,
    solving_config,
)
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.branch import find_source, make_branch
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import create_run
from arc_core.run.provenance import describe_run
from arc_core.run.resolving import resolve


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch, 6 steps, that stays as it was."""
    run = new_run(tmp_path_factory.mktemp("start"))
    train(run)
    before = content_of(run.path)
    yield run
    assert content_of(run.path) == before


def test_a_preset_gives_what_a_run_of_it_would_train_with():
    # The planner on the output's canvas is the solver's; here `tiny` is the seed's planner with its defaults.
    for preset, wanted in (("tiny", PipelineConfig()), ("seed", resolve({"preset": "seed"}))):
        config = solving_config(settle(None, preset, {}), 7)
        assert {name: getattr(config, name) for name in SOLVING} == {n: getattr(wanted, n) for n in SOLVING}
        assert (config.preset, config.seed) == (preset, 7)
    assert settle(None, None, {})["preset"] == "tiny"
    given = settle(None, "seed", {"lambda-risk": "0", "backward": "flip", "memory": "off"}, text=True)
    assert (given["lambda_risk"], given["backward"], given["memory"]) == (0.0, "flip", False)
    assert given["optimizer"] == "adam"


@pytest.mark.parametrize(
    ("preset", "given", "sentence"),
    [
        ("solver", {}, 'preset is "solver", but must be tiny or seed'),
        ("sed", {}, 'preset is "sed"'),
        (None, {"lambda_rsk": "0"}, "no setting lambda_rsk; did you mean lambda_risk"),
        (None, {"epochs": "3"}, "epochs has no effect on a task"),
        (None, {"seed": "3"}, "seed has no effect on a task"),
        (None, {"width": "8"}, "no setting width"),
        (None, {"lambda_risk": "much"}, "lambda_risk is"),
    ],
)
def test_a_setting_that_would_be_ignored_or_is_wrong_is_refused(preset, given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settle(None, preset, given, text=True)


def test_a_run_gives_its_own_settings_and_its_newest_checkpoint(trained):
    for name in ("a", str(trained.path), "latest"):
        start = find_run_checkpoint(name, trained.path.parent)
        assert start.path == list_checkpoints(trained.checkpoints)[-1]
        assert start.config.hidden_dim == 16
    settled = settle(start, None, {"lambda_risk": "0"}, text=True)
    assert (settled["hidden_dim"], settled["lambda_risk"]) == (16, 0.0)
    with pytest.raises(CheckpointError, match="has hidden_dim 16, not 32: give --weights none"):
        settle(start, None, {"hidden_dim": "32"}, text=True)
    with pytest.raises(ConfigError, match="trained with preset tiny, not seed"):
        settle(start, "seed", {})


def test_a_checkpoint_is_named_by_its_folder_and_known_by_its_content(trained):
    path = list_checkpoints(trained.checkpoints)[0]
    start = find_run_checkpoint(str(path), trained.path.parent / "elsewhere")
    assert start.path == path
    others = {identity_of(other) for other in list_checkpoints(trained.checkpoints)}
    assert len(others) == len(list_checkpoints(trained.checkpoints))
    assert identity_of(path) in others


def test_what_a_run_was_trained_on_is_known_by_id_and_by_content(trained):
    tasks = load_tasks(trained.path.parent.parent / "tasks").tasks
    start = find_run_checkpoint(str(trained.path), trained.path.parent)
    assert start.seen == SeenTasks.of(tasks)
    assert start.seen.ids == set("abcdef")
    assert start.seen.prints


def test_a_run_that_goes_on_with_other_data_has_seen_both(tmp_path):
    run = new_run(tmp_path, epochs=2)
    train(run, lambda trainer: stop_after(trainer, 2))
    write_tasks(tmp_path / "more", ("x", "y"))
    content = run.read()
    content["config"]["dataset"] = str(tmp_path / "more")
    run.write(content)
    train(run, lambda trainer: stop_after(trainer, 4))
    assert find_run_checkpoint(str(run.path), run.path.parent).seen.ids == set("abcdefxy")


def test_a_branch_has_seen_what_the_run_had_that_it_goes_on_from(trained, tmp_path):
    write_tasks(tmp_path / "tasks", ("x", "y"))
    config = small_config(tmp_path, name="branch", epochs=2)
    run = make_branch(
        trained, find_source(trained), tmp_path / "runs", "branch", describe_run(config, ["arc-tui"])
    )
    assert find_run_checkpoint(str(run.path), run.path.parent).seen.ids == set("abcdef")
    train(run)
    assert find_run_checkpoint(str(run.path), run.path.parent).seen.ids == set("abcdefxy")


def test_a_checkpoint_that_lies_in_no_run_is_refused(trained, tmp_path):
    shutil.copytree(list_checkpoints(trained.checkpoints)[0], tmp_path / "checkpoint_00000")
    with pytest.raises(CheckpointError, match="cannot be known what it was trained on"):
        find_run_checkpoint(str(tmp_path / "checkpoint_00000"), tmp_path)


def test_runs_that_cannot_be_started_from_are_refused_in_a_sentence(trained, tmp_path):
    def copy(name):
        shutil.copytree(trained.path, tmp_path / name)
        return tmp_path / name

    with pytest.raises(RunError, match="There is no run nowhere"):
        find_run_checkpoint("nowhere", tmp_path)
    damaged = copy("damaged")
    for path in (damaged / "checkpoints").glob("*/agent.safetensors"):
        path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(CheckpointError, match=r"no checkpoint to start from \(checkpoint_.*is damaged"):
        find_run_checkpoint("damaged", tmp_path)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is damaged"):
        find_run_checkpoint(str(list_checkpoints(damaged / "checkpoints")[0]), tmp_path)
    silent = copy("silent")
    content = json.loads((silent / "run.json").read_text())
    del content["seen"]
    (silent / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="does not say which tasks it was trained on"):
        find_run_checkpoint("silent", tmp_path)
    made = describe_run(PipelineConfig(), ["arc-tui"])
    create_run(tmp_path, "other", made | {"config": {"recipe": "solver"}})
    shutil.rmtree(tmp_path / "other" / "checkpoints")
    shutil.copytree(trained.checkpoints, tmp_path / "other" / "checkpoints")
    with pytest.raises(RunError, match=r"other has trained the solver's agent.*export-weights"):
        find_run_checkpoint("other", tmp_path)
    content = json.loads((tmp_path / "other" / "run.json").read_text())
    content["config"]["recipe"] = "no.longer:There"
    (tmp_path / "other" / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"other has trained the recipe no\.longer:There, not the pipeline"):
        find_run_checkpoint("other", tmp_path)
