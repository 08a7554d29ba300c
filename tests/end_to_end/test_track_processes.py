"""Training loops that are not ours, in processes of their own: killed, resumed, and steered by `arc-tui`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, end_engine, environment
from raw_events import counting, read_lines
from safetensors.torch import load_file

from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory, is_alive

LOOP = """
import os, signal, sys
import torch
from torch.utils.data import DataLoader, TensorDataset
import arc_core

epochs, kill_at = int(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Embedding(10, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
grids = torch.randint(0, 10, (64, 3, 3))
loader = DataLoader(TensorDataset(grids, (grids + 1) % 10), batch_size=4, shuffle=True)
with arc_core.track("mine", {"agent_lr": 1e-2}, resume=True, checkpoint_every=5) as run:
    run.saves(model=model, optimizer=optimizer)
    for step, (x, y) in run.steps(loader, epochs):
        logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        if step == kill_at:
            while not os.path.exists("runs/mine/checkpoints/latest"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        optimizer.step()
        cells = logits.argmax(-1)
        run.log(step, loss=loss, accuracy=(cells == y).float().mean(),
                grids={"input": x[0], "prediction": cells[0], "target": y[0]})
        if step % 8 == 0:
            run.validated(step, cell_accuracy=(cells == y).float().mean(), inputs=4)
"""

TRAINER = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
import arc_core

class Counting(torch.utils.data.Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        tokens = torch.arange(index, index + 6) % 20
        return {"input_ids": tokens, "labels": tokens}

model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=20, n_positions=8))
args = TrainingArguments(
    output_dir="out", per_device_train_batch_size=4, num_train_epochs=1000, logging_steps=5,
    save_steps=100_000, report_to=[], use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
)
callbacks = [arc_core.TrainerCallback("mine")]
Trainer(model=model, args=args, train_dataset=Counting(), callbacks=callbacks).train()
"""


class User:
    """Somebody in a folder with one program and the run that it tells."""

    def __init__(self, folder: Path, program: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.run = RunDirectory(folder / "runs" / "mine")
        (folder / "program.py").write_text(program, encoding="utf-8")

    def program(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "program.py", *words],
                cwd=self.folder,
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def runs(self, *words: str, code: int = 0) -> None:
        """Run the program to its end."""
        assert self.program(*words).wait(PATIENCE_SECONDS) == code, (self.folder / "output.txt").read_text()

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the program beside the test, once it has told a step."""
        process = self.program(*words)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not self.told("step"):
                assert process.poll() is None, (self.folder / "output.txt").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait()

    def told(self, kind: str) -> list[dict]:
        return [event for event in read_lines(self.run.events) if event["type"] == kind]

    def asks(self, *words: str, code: int = 0) -> str:
        """Run `arc-tui`, which must end with this exit code, and return what it says."""
        done = subprocess.run(
            [ARC_TUI, *words],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout


TIMED = ("seq", "time", "pairs_per_second", "elapsed_seconds", "seconds")


def course(run: RunDirectory) -> list[dict]:
    """What counts of a run's training, without the time that it took."""
    return [
        {key: value for key, value in line.items() if key not in TIMED}
        for line in counting(read_lines(run.events))
        if line["type"] in ("step", "sample", "epoch", "validation")
    ]


def committed(folder: Path) -> str:
    """Make a checkout of a program's folder, and return its revision."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "program.py"], ["commit", "-q", "-m", "A program"]):
        subprocess.run([*git, *words], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return said.stdout.strip()


def test_loop_that_is_killed_in_mid_step_goes_on_bit_equal(tmp_path: Path):
    whole, killed = User(tmp_path / "whole", LOOP), User(tmp_path / "killed", LOOP)
    revision = committed(whole.folder)
    whole.runs("2", "0")
    assert whole.run.read()["git"] == {"revision": revision, "modified": False}
    killed.runs("2", "8", code=-9)
    assert not is_alive(killed.run)
    said = killed.asks("status")
    assert "crashed" in said
    assert "To go on: start the program that told it again, with resume=True" in said
    assert "start that again, with resume=True, to go on" in killed.asks("train", "--resume", "mine", code=2)
    killed.runs("2", "23", code=-9)
    killed.runs("2", "0")
    first, second = (event["step"] for event in killed.told("resumed"))
    assert first == 5
    assert 5 < second < 23
    assert course(killed.run) == course(whole.run)
    last = [list_checkpoints(user.run.checkpoints)[-1] for user in (whole, killed)]
    for name in ("model.safetensors", "optimizer.safetensors", "rng.safetensors"):
        one, other = (load_file(path / name) for path in last)
        assert one.keys() == other.keys()
        assert all(one[key].equal(other[key]) for key in one)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    one = User(tmp_path, LOOP)
    yield one
    end_engine(one.run)


def test_loop_is_steered_looked_at_and_noted_like_any_run(user: User):
    with user.running("100000", "0") as process:
        paused_at = int(user.asks("pause").split("Paused at step ")[1])
        assert f"verified at step {paused_at} " in user.asks("checkpoint")
        said = user.asks("set", "mine", "agent_lr=5e-3", "checkpoint_every=1000")
        assert said == "agent_lr: 0.01 is now 0.005\ncheckpoint_every: 5 is now 1000\n"
        assert "There is nothing to validate on." in user.asks("validate", code=2)
        known = json.loads(user.asks("status", "--json"))
        assert (known["state"], known["step"], known["process"]) == ("paused", paused_at, process.pid)
        assert f"Going on at step {paused_at}" in user.asks("resume")
        user.asks("stop")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert "stopped (stopped by a command)" in user.asks("status")
    assert "mine" in user.asks("runs")
    assert "Checkpoint 00000 saved at step 5" in user.asks("logs")
    assert user.asks("logs", "--engine") == ""
    user.asks("note", "mine", "half the rate")
    user.asks("export", "mine", "--csv", "mine.csv")
    first = (user.folder / "mine.csv").read_text().splitlines()[0].split(",")
    assert first[-2:] == ["loss.loss", "metrics.accuracy"]
    user.asks("report", "mine")
    assert "agent_lr" in (user.folder / "mine.html").read_text()
    shown = user.asks("inspect", "checkpoint", "mine")
    assert "model.safetensors" in shown
    assert "Damaged" not in shown
    assert user.asks("inspect", "checkpoint", "mine", "--verify")


def test_trainer_is_steered_like_any_run(tmp_path: Path):
    user = User(tmp_path, TRAINER)
    with user.running() as process:
        paused_at = int(user.asks("pause").split("Paused at step ")[1])
        assert f"verified at step {paused_at} " in user.asks("checkpoint")
        assert (user.folder / "out" / f"checkpoint-{paused_at}" / "model.safetensors").exists()
        assert f"Going on at step {paused_at}" in user.asks("resume")
        user.asks("stop")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert user.told("run_finished")[0]["reason"] == "stopped by a command"
    assert "stopped (stopped by a command)" in user.asks("status")
