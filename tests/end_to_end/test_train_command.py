"""`arc-tui train --headless`: what it writes, what it prints, and what it refuses."""

import json
import math
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest
import torch
from command import ARC_TUI, SMALL, Finished, environment, train
from raw_events import PIPELINE, Line
from safetensors import safe_open
from transformers import AutoModel

from arc_core.data.grids import to_rows
from arc_core.data.tasks import load_tasks
from arc_core.pipeline.curriculum import DynamicMemoryThreshold
from arc_core.pipeline.language_model_files import cached_model
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, problems_of, read_manifest
from arc_core.run.event_lines import validate_event
from arc_core.run.recipes import declaration_of

TERMS = ("risk", "ambiguity", "step", "consistency", "bidirectional", "z_anchor", "prompt", "size")
PARTS = {"agent", "policy", "memory", "efe_loss", "optimizer", "rng", "prompt"}
STEPS = 40

# The events


def test_run_of_40_batches_ends_well_and_says_nothing_wrong(trained: Finished):
    assert trained.code == 0
    assert trained.err == ""


def test_every_event_has_exactly_the_designs_form(trained: Finished):
    events = trained.events
    assert [problem for event in events for problem in validate_event(event, PIPELINE)] == []
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    times = [event["time"] for event in events]
    assert times == sorted(times)


def test_events_tell_the_whole_run_in_its_order(trained: Finished):
    events = trained.events
    steps = trained.of("step")
    assert [(e["step"], e["epoch"], e["batch"], e["pairs"]) for e in steps] == [
        (number, 0, number - 1, 8) for number in range(1, STEPS + 1)
    ]
    assert [e["step"] for e in trained.of("sample")] == [1, 10, 20, 30, 40]
    assert [(e["id"], e["step"], e["phase"]) for e in trained.of("checkpoint")] == [
        (number, step, phase)
        for number, step in ((0, 20), (1, 40))
        for phase in ("requested", "saved", "verified")
    ]
    kinds = [event["type"] for event in events if event["type"] not in ("step", "sample", "warning")]
    saved = ["checkpoint"] * 3
    assert kinds == ["run_started", *saved, "epoch", "validation", *saved, "run_finished"]
    assert events[-1]["reason"] == "completed"


def test_all_numbers_are_finite_and_live(trained: Finished):
    steps = trained.of("step")
    assert all(event["nonfinite"] == [] for event in steps)
    dead = dead_numbers(steps)
    assert dead == {"loss.ambiguity"}, "its weight is 0; nothing else may be zero throughout"
    validation = trained.of("validation")[0]
    numbers = [value for value in validation.values() if isinstance(value, int | float)]
    assert all(math.isfinite(value) for value in numbers)
    assert 0 < validation["cell_accuracy"] < 1
    assert 0 < validation["copy_cell_accuracy"] < 1


def test_the_default_run_tells_what_has_a_weight_and_what_its_refinement_gains(by_default: Finished):
    assert (by_default.code, by_default.err) == (0, "")
    steps = by_default.of("step")
    assert len(steps) == 8
    assert set(steps[0]["loss"]) == {"consistency", "size", "efe_total", "combined"}
    assert set(steps[0]["grad_norm"]) == {"agent", "lm", "policy"}
    assert all(event["nonfinite"] == [] for event in steps)
    assert steps[-1]["loss"]["consistency"] < steps[0]["loss"]["consistency"]
    found = by_default.of("validation")[0]
    numbers = found["numbers"]
    assert numbers["delta from"] <= found["accuracy_delta"] <= numbers["delta to"]
    gained = found["cell_accuracy"] - numbers["base cells"]
    assert found["accuracy_delta"] == pytest.approx(gained, abs=1e-9)
    assert "delta from" in by_default.out


@pytest.mark.slow
def test_an_evaluation_starts_from_the_weights_of_a_runs_newest_checkpoint(by_default: Finished, tmp_path):
    number = checkpoint_id(list_checkpoints(by_default.run.checkpoints)[-1])
    runs = by_default.run.path.parent
    ask = ["--weights", "demo", "--runs-dir", runs, "--evals-dir", tmp_path, "--limit", "1", "--allow-seen"]
    told = []
    for name in ("one", "two"):
        done = subprocess.run(
            [ARC_TUI, "eval", *ask, "--steps-per-task", "1", "--name", name],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assignment = json.loads((tmp_path / name / "eval.json").read_text())
        weights = Path(assignment["weights"])
        assert weights.name == f"weights-{number:05d}.safetensors"
        assert assignment["settings"]["width"] == by_default.run.read()["config"]["hidden_dim"]
        told.append((assignment["weights_sha256"], weights.stat().st_mtime_ns))
    assert told[0] == told[1], "they are written once"


def test_contributions_add_up_in_every_step(trained: Finished):
    for event in trained.of("step"):
        loss, reward = event["loss"], event["reward"]
        assert set(loss) == {*TERMS, "efe_total", "combined"}
        assert sum(loss[term] for term in TERMS) == pytest.approx(loss["efe_total"], rel=1e-5)
        combined = 0.7 * loss["efe_total"] - 0.3 * reward["total"]
        assert combined == pytest.approx(loss["combined"], rel=1e-5)
        gains = reward["d_acc"] + 0.5 * (reward["d_size"] + reward["d_color"] + reward["d_rev"])
        assert gains == pytest.approx(reward["total"], abs=1e-6)


def test_memory_threshold_starts_at_022_and_follows_the_batches_accuracy(trained: Finished):
    threshold = DynamicMemoryThreshold()
    for event in trained.of("step"):
        assert event["memory"]["threshold"] == pytest.approx(threshold.get_threshold(), abs=1e-6)
        threshold.update(event["accuracy"]["cell"])
    stored = [event["memory"]["stored"] for event in trained.of("step")]
    assert trained.of("step")[-1]["memory"]["entries"] <= sum(stored)


def test_rates_are_those_of_the_command_line_and_the_groups(trained: Finished):
    assert {tuple(sorted(event["learning_rate"].items())) for event in trained.of("step")} == {
        (("agent", 1e-5), ("efe_loss", 5e-6), ("lm", 1e-4), ("memory", 2e-5), ("policy", 5e-5))
    }


def test_epoch_event_holds_the_means_of_its_steps(trained: Finished):
    steps, epoch = trained.of("step"), trained.of("epoch")[0]
    for group in ("loss", "reward", "hard_cells", "curriculum", "memory", "grad_norm", "accuracy"):
        for name, mean in epoch[group].items():
            expected = sum(event[group][name] for event in steps) / STEPS
            assert mean == pytest.approx(expected, rel=1e-9, abs=1e-12), f"{group}.{name}"


def test_samples_are_augmented_pairs_of_their_task(trained: Finished):
    tasks = {task.id: task for task in load_tasks("arcagi2", "training").tasks}
    for event in trained.of("sample"):
        pair = tasks[event["task"]].train[event["pair"]]
        assert pair.output is not None
        for name, grid in (("input", pair.input), ("target", pair.output)):
            # Turning, mirroring and recolouring leave black cells and the count of each colour alone.
            assert histogram(event[name]) == histogram(to_rows(grid))
            assert event[name] == [row for row in event[name] if len(row) == len(event[name][0])]
        assert all(1 <= len(event[name]) <= 30 for name in ("before", "after"))


# What is printed


def test_batch_and_epoch_lines_are_the_seeds(trained: Finished):
    step, epoch, validation = trained.of("step")[9], trained.of("epoch")[0], trained.of("validation")[0]
    assert (
        f"[Batch   10] EFE_Loss: {step['loss']['efe_total']:.3f} | d_acc: {step['reward']['d_acc']:+.3f}"
        f" | Qwen_grad: {step['grad_norm']['lm']:.2e} | Mask: {step['hard_cells']['mask_ratio']:.3f}"
    ) in trained.out
    summary = trained.out.partition("[Epoch 0 Summary]")[2]
    assert f"Average EFE Loss: {epoch['loss']['efe_total']:.3f}" in summary
    assert f"Average RL Reward: {epoch['reward']['total']:+.4f}" in summary
    assert f"LM Gradient Norm: {epoch['grad_norm']['lm']:.2e}" in summary
    assert "Size Warmup Weight: 1.000" in summary
    assert f"({validation['exact']}/6 correct)" in summary
    assert f"Accuracy Delta: {validation['accuracy_delta']:+.4f}" in summary
    assert summary.rstrip().endswith("Finished: completed")


def test_terminal_shows_only_what_the_events_say(trained: Finished):
    known = (
        "Run demo",
        "Still loading",  # on a machine that is busy
        "320 pairs in 40 batches",
        "Training started",
        "[Batch",
        "[Epoch",
        "  ",
        "Checkpoint",
        "Warning:",
        "Finished:",
    )
    assert [line for line in trained.out.splitlines() if line and not line.startswith(known)] == []
    assert trained.run.engine_log.is_file()


@pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")
def test_headless_run_in_a_terminal_gets_a_progress_bar_and_the_same_lines(tmp_path: Path):
    options = ["train", *SMALL, "--max-batches", "12", "--validate-on", "none", "--name", "seen"]
    settings = environment(tmp_path) | {"TERM": "xterm-256color"}
    child = pexpect.spawn(
        str(ARC_TUI), options, cwd=tmp_path, env=settings, dimensions=(30, 140), timeout=60, encoding="utf-8"
    )
    child.expect(r"Epoch 0.*12.*pairs/s.*eta")
    child.expect(r"\[Batch   10\] EFE_Loss: ")
    child.expect(r"Finished: completed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# The run directory


def test_checkpoints_have_the_designs_layout_and_verify(trained: Finished):
    folders = list_checkpoints(trained.run.checkpoints)
    assert [folder.name for folder in folders] == ["checkpoint_00000", "checkpoint_00001"]
    for folder in folders:
        assert problems_of(folder) == []
        names = {entry.name for entry in read_manifest(folder)}
        assert {f"{part}.safetensors" for part in PARTS} | {"state.json"} <= names
        assert {"lm/config.json", "lm/model.safetensors", "lm/tokenizer.json"} <= names
        assert {Path(name).suffix for name in names} <= {".safetensors", ".json", ".jinja", ".txt"}
    for hint in ("best", "latest"):
        pointed = (trained.run.checkpoints / hint).read_text(encoding="utf-8").strip()
        assert pointed == "checkpoint_00001"


def test_checkpoint_is_opened_by_safetensors_and_automodel(trained: Finished):
    folder = list_checkpoints(trained.run.checkpoints)[-1]
    for part in PARTS:
        with safe_open(folder / f"{part}.safetensors", "pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 - it has no iterator
        assert tensors, part
        floats = [tensor for tensor in tensors if tensor.is_floating_point()]
        assert all(bool(tensor.isfinite().all()) for tensor in floats)
    model = AutoModel.from_pretrained(folder / "lm")
    assert any(bool(parameter.detach().any()) for parameter in model.parameters())
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    assert state["position"]["step"] == STEPS


def test_run_is_private_and_records_what_it_was_started_with(trained: Finished):
    paths = [trained.run.path, *trained.run.path.rglob("*")]
    top = [path for path in paths if path.parent in (trained.run.path.parent, trained.run.path)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in top if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in top if path.is_file()} == {0o600}
    content = trained.run.read()
    config = content["config"]
    assert (config["agent_lr"], config["batch_size"], config["hidden_dim"]) == (1e-5, 8, 64)
    assert content["dataset"]["tasks"] == 1000
    assert content["plan"]["batches_per_epoch"] == STEPS
    assert content["versions"]["torch"] == torch.__version__


# Bad input


def ragged(folder: Path) -> None:
    task = {"train": [{"input": [[1, 2], [3]], "output": [[1]]}], "test": [{"input": [[1]]}]}
    (folder / "bad").mkdir()
    (folder / "bad" / "abc.json").write_text(json.dumps(task), encoding="utf-8")


def unknown_key(folder: Path) -> None:
    (folder / "mine.toml").write_text("seed = 1\nagent_rl = 1e-4\n", encoding="utf-8")


def nothing(folder: Path) -> None:
    del folder


no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.mark.parametrize(
    ("prepare", "options", "said"),
    [
        (nothing, "--dataset no/such.json", ["no/such.json"]),
        (ragged, "--dataset bad", ["abc.json", "ragged", "row 1"]),
        (nothing, "--max-batch 3", ["--max-batch", "did you mean --max-batches?"]),
        (unknown_key, "--config mine.toml", ["mine.toml, line 2", "agent_rl", "did you mean agent_lr?"]),
        (nothing, "--config missing.toml", ["missing.toml"]),
        (nothing, "--batch-size 0", ["batch_size", "0"]),
        pytest.param(nothing, "--device cuda", ["cuda", "cpu"], marks=no_gpu),
        (nothing, "--lm nosuch", ["nosuch", "tiny"]),
    ],
    ids=["file", "ragged", "flag", "key", "config", "value", "cuda", "lm"],
)
def test_bad_input_is_one_sentence_with_exit_code_2_and_no_run(
    tmp_path: Path, prepare: Any, options: str, said: list[str]
):
    prepare(tmp_path)
    done = train(tmp_path, "refused", "--headless", *options.split())
    assert done.code == 2
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1, done.err
    assert all(part in done.err for part in said), done.err
    assert "Traceback" not in done.out + done.err
    assert not done.run.path.exists()


# What takes longer


@pytest.mark.slow
def test_demo_command_ends_within_120_seconds(tmp_path: Path):
    began = time.monotonic()
    options = ["--headless", "--epochs", "1", "--max-batches", "60", "--device", "cpu"]
    done = train(tmp_path, "demo", *options, threads=None)
    seconds = time.monotonic() - began
    assert done.code == 0, done.err
    assert seconds < 120
    declared = declaration_of(done.run.read())
    assert [problem for event in done.events for problem in validate_event(event, declared)] == []
    assert [event["step"] for event in done.of("step")] == list(range(1, 61))
    assert len(done.of("sample")) >= 1
    assert [event["inputs"] for event in done.of("validation")] == [64]
    assert [event["step"] for event in done.of("checkpoint") if event["phase"] == "verified"] == [50, 60]
    assert dead_numbers(done.of("step")) == {
        *("memory.entries", "memory.stored"),
        "reward.d_rev",
    }, "the memory is off, and nothing trains a judge of reversibility"
    assert all(problems_of(folder) == [] for folder in list_checkpoints(done.run.checkpoints))
    assert "[Epoch 0 Summary]" in done.out


@pytest.mark.slow
def test_pretrained_model_trains_for_5_batches(tmp_path: Path):
    if not cached_model("smollm2").is_dir() and not os.environ.get("CI"):
        pytest.skip("smollm2 is not fetched: run `arc-tui fetch-lm smollm2`")
    options = [*SMALL, "--max-batches", "5", "--lm", "smollm2"]
    try:
        done = train(tmp_path, "pretrained", *options, timeout=280, threads=None)
        assert done.code == 0, done.err
        norms = [event["grad_norm"]["lm"] for event in done.of("step")]
        assert len(norms) == 5
        assert all(norm > 0 for norm in norms)
        trained_model = AutoModel.from_pretrained(list_checkpoints(done.run.checkpoints)[-1] / "lm")
        fetched = AutoModel.from_pretrained(cached_model("smollm2"))
        moved = [
            not torch.equal(new, old)
            for new, old in zip(trained_model.parameters(), fetched.parameters(), strict=True)
        ]
        assert all(moved)
    finally:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)  # gigabytes


def dead_numbers(steps: list[Line]) -> set[str]:
    """Names of the losses, rewards, gradients and memory numbers that are zero in every step."""
    groups = ("loss", "reward", "grad_norm", "memory", "hard_cells", "learning_rate")
    names = {(group, name) for group in groups for name in steps[0][group]}
    return {f"{group}.{name}" for group, name in names if not any(e[group][name] for e in steps)}


def histogram(rows: list[str]) -> tuple[int, list[int]]:
    """How often black occurs, and how often the others do, whichever colour they are."""
    cells = "".join(rows)
    return cells.count("0"), sorted(cells.count(str(colour)) for colour in range(1, 10))
