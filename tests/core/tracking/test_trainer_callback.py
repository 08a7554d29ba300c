"""The Hugging Face Trainer as a run: what it logs, evaluates and saves is told, and commands are obeyed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from raw_events import Line, counting
from small_loop import lines, run_of, told
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

import arc_core
from arc_core.base.errors import TrackError
from arc_core.run.commands import send
from arc_core.run.declared import GroupKind
from arc_core.run.directory import is_alive
from arc_core.run.event_lines import validate_event
from arc_core.run.recipes import declaration_of


class Counting(torch.utils.data.Dataset):
    """32 sentences that count."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens = torch.arange(index, index + 6) % 20
        return {"input_ids": tokens, "labels": tokens}


class Sending(TrainerCallback):
    """Sends commands at steps, as somebody else would."""

    def __init__(self, folder: Path, orders: dict[int, str]) -> None:
        self.folder, self.orders = folder, orders

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if command := self.orders.get(state.global_step + 1):
            send(run_of(self.folder).commands, command)


def trainer(folder: Path, callback: Any = None, orders: dict[int, str] | None = None, **more: Any) -> Trainer:
    """A language model of 16 dimensions, trained 2 epochs of 8 steps."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=20, n_positions=8))
    options = {
        **{"output_dir": str(folder / "out"), "per_device_train_batch_size": 4, "num_train_epochs": 2},
        **{"logging_steps": 2, "save_steps": 6, "eval_strategy": "steps", "eval_steps": 8},
        **{"report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False},
    }
    callback = callback or arc_core.TrainerCallback("a", {"note": "mine"}, runs_dir=folder / "runs")
    return Trainer(
        model=model,
        args=TrainingArguments(**options | more),
        train_dataset=Counting(),
        eval_dataset=Counting(),
        callbacks=[Sending(folder, orders or {}), callback],
    )


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    trainer(tmp_path).train()
    return tmp_path


def test_logs_evaluations_and_saves_are_told_as_any_run_tells_them(finished: Path):
    steps, epochs = told(finished, "step"), told(finished, "epoch")
    assert [(s["step"], s["epoch"], s["batch"], s["pairs"]) for s in steps] == [
        (n, (n - 1) // 8, (n - 1) % 8, 8) for n in range(2, 17, 2)
    ]
    assert all(set(s) >= {"loss", "grad_norm", "learning_rate"} for s in steps)
    for epoch in epochs:
        mine = [s["loss"]["loss"] for s in steps if s["epoch"] == epoch["epoch"]]
        assert epoch["loss"]["loss"] == pytest.approx(sum(mine) / 4, abs=1e-12)
    assert len(epochs) == 2
    validations = told(finished, "validation")
    assert [v["step"] for v in validations] == [8, 16]
    assert all(v["score"] == -v["numbers"]["loss"] for v in validations)
    saved = [(c["id"], c["phase"]) for c in told(finished, "checkpoint")]
    assert saved == [(n, phase) for n in (6, 12, 16) for phase in ("requested", "saved", "verified")]
    size = sum(path.stat().st_size for path in (finished / "out" / "checkpoint-16").rglob("*"))
    assert told(finished, "checkpoint")[-1]["bytes"] == size
    assert told(finished, "run_finished")[0]["reason"] == "completed"
    content = run_of(finished).read()
    assert content["config"]["note"] == "mine"
    assert content["config"]["per_device_train_batch_size"] == 4
    assert content["plan"]["total_steps"] == 16
    declared = declaration_of(content)
    assert declared.by_name["learning_rate"].kind is GroupKind.SCHEDULE
    assert [problem for line in lines(finished) for problem in validate_event(line, declared)] == []


def test_trainer_that_resumes_goes_on_with_the_run(finished: Path):
    trainer(finished, num_train_epochs=3).train(resume_from_checkpoint=True)
    assert told(finished, "resumed")[0]["step"] == 16
    steps = [line for line in counting(lines(finished)) if line["type"] == "step"]
    assert [line["step"] for line in steps] == list(range(2, 25, 2))
    seconds = [line["elapsed_seconds"] for line in steps]
    assert seconds == sorted(seconds)
    assert [line["epoch"] for line in counting(lines(finished)) if line["type"] == "epoch"] == [0, 1, 2]


def test_stop_ends_the_trainer_and_saves(tmp_path: Path):
    trainer(tmp_path, orders={3: "stop"}).train()
    assert [(c["step"], c["reason"]) for c in told(tmp_path, "checkpoint")] == [(3, "stop")] * 3
    assert (tmp_path / "out" / "checkpoint-3" / "model.safetensors").exists()
    assert told(tmp_path, "run_finished")[0]["reason"] == "stopped by a command"
    assert not is_alive(run_of(tmp_path))


def test_stop_saves_nothing_where_the_trainer_never_does(tmp_path: Path):
    trainer(tmp_path, orders={3: "stop"}, save_strategy="no").train()
    assert told(tmp_path, "checkpoint") == []


def test_checkpoint_and_validate_on_command(tmp_path: Path):
    trainer(tmp_path, orders={3: "checkpoint", 4: "validate"}).train()
    assert [(c["id"], c["reason"]) for c in told(tmp_path, "checkpoint")][:3] == [(3, "command")] * 3
    assert told(tmp_path, "command_rejected")[0]["reason"] == "There is nothing to validate on."


class Answering:
    """Answers pauses from within the event log, in place of another process."""

    def __init__(self, callback: Any, *orders: str) -> None:
        self.run, self.orders = callback.run, list(orders)
        emit = self.run._events.emit

        def watched(kind: str, /, **values: Any) -> Line:
            event = emit(kind, **values)
            if kind == "paused" and self.orders:
                send(self.run.directory.commands, self.orders.pop(0))
            return event

        vars(self.run._events)["emit"] = watched


class Attaching(TrainerCallback):
    """Lets another look at the run once it has begun."""

    def __init__(self, attach: Callable[[], object]) -> None:
        self.attach = attach

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.attach()


def test_paused_trainer_saves_when_asked_and_stands_still_again(tmp_path: Path):
    callback = arc_core.TrainerCallback("a", runs_dir=tmp_path / "runs")
    made = trainer(tmp_path, callback, orders={3: "pause"}, num_train_epochs=1)
    made.add_callback(Attaching(lambda: Answering(callback, "checkpoint", "resume")))
    made.train()
    kinds = [line["type"] for line in lines(tmp_path)]
    assert kinds.count("paused") == kinds.count("unpaused") == 2
    assert [line["step"] for line in told(tmp_path, "paused")] == [3, 3]
    assert [(c["id"], c["reason"]) for c in told(tmp_path, "checkpoint")][:3] == [(3, "command")] * 3


def test_interval_of_the_trainers_saves_can_be_set(tmp_path: Path):
    callback = arc_core.TrainerCallback("a", runs_dir=tmp_path / "runs")
    made = trainer(tmp_path, callback, num_train_epochs=1)
    made.add_callback(Attaching(lambda: send(run_of(tmp_path).commands, "set", {"checkpoint_every": 4})))
    made.train()
    assert {c["step"] for c in told(tmp_path, "checkpoint")} == {4, 8}


def test_what_the_trainer_saved_and_cannot_be_read_is_told(tmp_path: Path):
    class Damaging(TrainerCallback):
        def on_save(self, args, state, control, **kwargs) -> None:
            (tmp_path / "out" / f"checkpoint-{state.global_step}" / "model.safetensors").write_bytes(b"no")

    callback = arc_core.TrainerCallback("a", runs_dir=tmp_path / "runs")
    made = trainer(tmp_path, Damaging(), num_train_epochs=1, save_steps=8)
    made.add_callback(callback)
    made.train()
    assert [c["phase"] for c in told(tmp_path, "checkpoint")] == ["requested", "failed"]
    assert "model.safetensors cannot be read" in told(tmp_path, "checkpoint")[1]["reason"]


def test_best_is_ranked_by_the_trainers_own_metric(tmp_path: Path):
    callback = arc_core.TrainerCallback("a", runs_dir=tmp_path / "runs")
    made = trainer(tmp_path, callback, num_train_epochs=1, metric_for_best_model="right")
    made.compute_metrics = lambda predicted: {"right": 0.25}
    made.train()
    assert told(tmp_path, "validation")[0]["score"] == 0.25


def test_bad_setting_and_a_run_that_is_not_there_are_refused():
    with pytest.raises(TrackError, match="The setting x of the config"):
        arc_core.TrainerCallback("a", {"x": [1]})
    with pytest.raises(TrackError, match="there is no run yet"):
        arc_core.TrainerCallback("a").run  # noqa: B018
