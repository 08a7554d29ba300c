"""A pretraining run is a run like any other: events, checkpoints, a kill, a bit-exact resume, weights."""

import json
import shutil
import subprocess
import zipfile

import pytest
import torch
from command import ARC_TUI, environment, train
from raw_events import PIPELINE, typed
from safetensors.torch import load_file

from arc_core.data.dataset import plan_batches
from arc_core.data.kept_away import without_kept_away
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.export import export
from arc_core.pipeline.recipe import PipelineRecipe
from arc_core.pipeline.startup import load_data
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, read_state
from arc_core.run.directory import RunDirectory
from arc_core.run.event_lines import validate_event
from arc_core.run.evidence import Work
from arc_core.run.recipes import declaration_of
from arc_core.run.resolving import resolve
from arc_core.solver.weights import load_weights
from arc_core.solver.weights_file import TASK_PROMPTS, read_notes
from arc_tui.runs.evidence import evidence_of
from arc_tui.runs.history import History
from arc_tui.runs.state import reduce
from arc_tui.runs.view import RunView, facts

OPTIONS = [
    *("--preset", "solver", "--headless", "--device", "cpu", "--epochs", "2", "--max-batches", "3"),
    *("--batch-size", "8", "--checkpoint-every", "2", "--set", "hidden_dim=16", "--set", "prompt_dim=16"),
    *("--set", "small_cells=40", "--set", "max_steps=2", "--set", "amp=off", "--set", "sample_every=2"),
    *("--set", "schedule=constant", "--set", "warmup_steps=0"),
]


def run_json(run: RunDirectory):
    return json.loads(run.run_json.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole run."""
    folder = tmp_path_factory.mktemp("pretraining")
    done = train(folder, "whole", *OPTIONS)
    assert done.code == 0, done.err
    return done


def test_its_events_are_those_of_the_pipeline(whole):
    declared = declaration_of(run_json(whole.run))
    assert declared.metrics == PIPELINE.metrics
    for event in whole.events:
        assert validate_event(event, declared) == []
    kinds = [event["type"] for event in whole.events]
    for kind in ("run_started", "step", "sample", "epoch", "checkpoint", "run_finished"):
        assert kind in kinds
    steps = whole.of("step")
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    for step in steps:
        parts = step["loss"]["consistency"] + step["loss"]["size"]
        assert step["loss"]["combined"] == step["loss"]["efe_total"] == pytest.approx(parts)
        assert step["grad_norm"]["agent"] > 0
        assert step.get("nonfinite", []) == []


def test_no_policy_and_no_memory_of_it_is_told_or_judged(whole):
    for event in whole.of("step"):
        assert not {"policy", "memory", "efe_loss"} & event["grad_norm"].keys()
        assert set(event["loss"]) == {"consistency", "size", "efe_total", "combined"}
    known = facts("whole", run_json(whole.run))
    view = RunView(reduce(typed(whole.events)), History(known.declared), 0.0, alive=True, facts=known)
    working = [line.name for line in evidence_of(view) if line.work is Work.WORKING]
    assert working == ["size warm-up"]
    assert "nan" not in whole.out


def test_a_run_that_is_stopped_and_resumed_is_bit_exact(whole, tmp_path):
    first = train(tmp_path, "parts", *OPTIONS, "--epochs", "1")
    assert first.code == 0, first.err
    rest = train(tmp_path, "parts", "--resume", "parts", "--epochs", "2", "--headless")
    assert rest.code == 0, rest.err
    mine = [event for event in rest.events if event["type"] == "step"]
    for resumed, uninterrupted in zip(mine, whole.of("step"), strict=True):
        for name in ("rule", "loss", "grad_norm", "accuracy", "learning_rate"):
            assert resumed[name] == uninterrupted[name]
    last = [list_checkpoints(run.checkpoints)[-1] for run in (rest.run, whole.run)]
    for part in ("agent", "task_prompts", "mean", "optimizer"):
        name = f"{part}.safetensors"
        assert (last[0] / name).read_bytes() == (last[1] / name).read_bytes()


def test_its_weights_say_what_they_were_trained_on(whole, tmp_path):
    target = tmp_path / "w.safetensors"
    done = subprocess.run(
        [ARC_TUI, "export-weights", target, "--run", "whole", "--runs-dir", whole.run.path.parent],
        env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "step 6" in done.stdout
    notes = read_notes(target)
    assert notes.seen.to_json() == run_json(whole.run)["seen"]
    assert (notes.recipe["step"], notes.recipe["dataset"]) == (6, "arcagi1")
    assert (notes.recipe["optimizer"], notes.recipe["warmup_steps"]) == ("muon", 0)
    assert notes.architecture["width"] == 16
    prompts = load_weights(target).tensors[TASK_PROMPTS]
    state = read_state(list_checkpoints(whole.run.checkpoints)[-1])
    assert prompts.shape == (len(state["task_prompts"]), 8, 16)
    assert set(state["task_prompts"]) < set(notes.seen.ids)
    assert len(list_checkpoints(whole.run.checkpoints)) > 1


def test_weights_are_not_taken_from_a_course_that_the_run_has_given_up(whole, tmp_path):
    run = RunDirectory(tmp_path / "sent_back")
    shutil.copytree(whole.run.path, run.path)
    *_, before, last = (checkpoint_id(path) for path in list_checkpoints(run.checkpoints))
    run.update(given_up=[{"checkpoints": [last, last], "seqs": [10**6, 10**6]}])
    assert f"checkpoint {before}, step" in export(run, tmp_path / "w.safetensors")
    assert f"checkpoint {last}, step 6" in export(run, tmp_path / "w.safetensors", last)


def test_each_pair_trains_the_prompt_of_its_own_task(whole):
    config = resolve(run_json(whole.run)["config"])
    data = load_data(config, lambda finding: None)
    shown = set()
    for epoch in range(config.epochs):
        planned = plan_batches(data.dataset, config.batch_size, seed=config.seed, epoch=epoch)
        shown |= {data.dataset.key(index)[0] for batch in planned[: config.max_batches] for index in batch}
    first, last = (
        load_file(list_checkpoints(whole.run.checkpoints)[place] / "task_prompts.safetensors")["vectors"]
        for place in (0, -1)
    )
    torch.manual_seed(config.seed)
    before = PipelineRecipe(config, torch.device("cpu"), lambda finding: None)
    before.load()
    start = before.build(None).task_prompts
    moved = (last != start.vectors).any(dim=-1).nonzero().flatten().tolist()
    assert first.shape == last.shape
    assert {start.tasks[place] for place in moved} == shown


@pytest.mark.slow
def test_an_archive_as_published_trains_and_resumes_without_its_oversized_pairs(tmp_path):
    tasks = without_kept_away(load_tasks("arcagi1").tasks)[:2]
    pairs = [{"input": [[color]], "output": [[color, color]]} for color in range(8)]
    tall = {"input": [[1] * 3] * 33, "output": [[1]]}
    with zipfile.ZipFile(tmp_path / "re_arc.zip", "w") as archive:
        for task, content in zip(tasks, ([*pairs, tall], pairs), strict=True):
            archive.writestr(f"re_arc/tasks/{task.id}.json", json.dumps(content))
    options = [*OPTIONS, "--extra-data", "re_arc.zip", "--max-batches", "1"]
    first = train(tmp_path, "extra", *options, "--epochs", "1")
    assert first.code == 0, first.err
    rest = train(tmp_path, "extra", "--resume", "extra", "--epochs", "2", "--headless")
    assert rest.code == 0, rest.err
    assert [event["step"] for event in rest.of("step")] == [1, 2]
    warnings = [event for event in rest.of("warning") if event["code"] == "pairs_left_out"]
    assert len(warnings) == 2, "once by each process"
    told = f"1 of 17 generated pairs cannot be used and are left out: re_arc/tasks/{tasks[0].id}.json (1): "
    for warning, output in zip(warnings, (first.out, rest.out), strict=True):
        assert warning["message"].startswith(told)
        assert "pair 8 (zero-based), input is 33x3 (rows x columns)" in warning["message"]
        assert told in output
