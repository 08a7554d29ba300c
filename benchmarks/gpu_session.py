"""The commands of `benchmarks.gpu`: each a process of its own, ended when its time is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arc_core.base.errors import RunError
from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_core.run.event_forms import StepEvent
from arc_core.run.events import EventReader, counting_events

HERE = Path(__file__).parents[1]

GRACE_SECONDS = 20.0
"""For a process that was asked to end, and for writing weights."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """How much is done of everything."""

    steps_a_size: int = 16
    """Of the throughput."""
    resumed_steps: int = 50
    """Before the checkpoint, and after it."""
    float16_steps: int = 200
    probed_seconds: float = 15.0
    """Pretraining by which its rate is told, so that its schedule ends with its time."""
    pretraining_seconds: float = 300.0
    """With those."""
    tasks: int = 50
    """Of each list."""
    seconds_a_task: float = 2.0
    settings: tuple[str, ...] = ()
    """Of all training, as `--set` takes them."""


SMALL = Form(
    steps_a_size=1,
    resumed_steps=2,
    float16_steps=3,
    probed_seconds=0.2,
    pretraining_seconds=5.0,
    tasks=1,
    seconds_a_task=0.5,
    settings=("small_cells=40", "hidden_dim=16", "prompt_dim=16", "max_steps=2"),
)


@dataclass
class Session:
    """Runs commands in a folder of its own, within the time of the part that is under way."""

    folder: Path
    device: str
    form: Form
    extra_data: Path | None
    kept_weights: Path
    """Where pretraining's are copied to."""
    until: float = 0.0
    """When the part is to end, on the monotonic clock."""
    cut: list[str] = field(default_factory=list)
    """What the part had no time for."""

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    @property
    def weights(self) -> Path:
        """Where pretraining's are written."""
        return self.folder / "weights.safetensors"

    @property
    def output(self) -> Path:
        """Where the last command prints."""
        return self.folder / "output.txt"

    def printed(self) -> str:
        """What the last command has printed."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def lines(self) -> Iterator[Figures]:
        """The lines of JSON in that; the last may be torn."""
        for line in self.printed().splitlines():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)

    def run(
        self, *words: str, until: float | None = None, enough: Callable[[], bool] = lambda: False
    ) -> bool:
        """Run a module with arguments; asked to end when its time is up or there is enough.

        Returns:
            Whether it ended by itself.

        Raises:
            RunError: If it failed, with its last line.
        """
        until = self.until if until is None else until
        path = str(HERE), os.environ.get("PYTHONPATH")
        with self.output.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            while process.poll() is None and not enough():
                if time.monotonic() > until:
                    self.cut.append(f"stopped for its time: {' '.join(words[1:6])} ...")
                    break
                time.sleep(0.1)
            whole = process.poll() is not None
            if not whole:
                process.terminate()
                process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            raise RunError(f"{' '.join(words[:2])} did not end when it was asked to.") from None
        finally:
            process.kill()
        if whole and process.returncode:
            last = self.printed().strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            raise RunError(f"{' '.join(words[:2])}: {last[0].removeprefix('Error: ')}")
        return whole

    def train(self, name: str, *words: str, enough: Callable[[], bool] = lambda: False) -> RunDirectory:
        """Train a run of that name, which the words make or resume."""
        run = RunDirectory(self.folder / "runs" / name)
        settings = [part for setting in self.form.settings for part in ("--set", setting)]
        new = () if "--resume" in words else ("--name", name, "--device", self.device, *settings)
        try:
            self.run("arc_tui.cli", "train", "--headless", *words, *new, enough=enough)
        finally:
            if run.path.is_dir() and is_alive(run) and (pid := lock_holder(run)):
                os.kill(pid, signal.SIGKILL)
        return run


def steps_of(run: RunDirectory) -> list[StepEvent]:
    """The steps that a run has told."""
    return [event for event in counting_events(EventReader(run.events)) if isinstance(event, StepEvent)]
