"""A loop of one's own as a user would write it: a tiny model on random grids, told by `arc_core.track`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from raw_events import Line, counting, read_lines
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import arc_core
from arc_core.run.directory import RunDirectory
from arc_core.tracking.tracked import TrackedRun


class Loop:
    """Model, optimizer and data of 6 batches; dropout and shuffling draw from torch's generators."""

    def __init__(self, *, own_generator: bool = False) -> None:
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Embedding(10, 8), nn.Dropout(0.2), nn.Linear(8, 10))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        grids = torch.randint(0, 10, (24, 3, 3))
        generator = torch.Generator().manual_seed(7) if own_generator else None
        self.loader = DataLoader(
            TensorDataset(grids, (grids + 1) % 10), batch_size=4, shuffle=True, generator=generator
        )

    def train(self, batch: tuple[Tensor, Tensor]) -> dict[str, Any]:
        """Do a step, and return what it logs."""
        inputs, targets = batch
        logits = self.model(inputs)
        loss = nn.functional.cross_entropy(logits.flatten(0, 2), targets.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        cells = logits.argmax(-1)
        grids = {"input": inputs[0], "prediction": cells[0], "target": targets[0]}
        return {"loss": loss, "accuracy": (cells == targets).float().mean(), "grids": grids}

    def weights(self) -> list[Tensor]:
        """Its parameters as they are."""
        return [parameter.detach().clone() for parameter in self.model.parameters()]


def tracked(folder: Path, name: str = "a", **options: Any) -> TrackedRun:
    """A run in `folder/runs`; with one thread unless it is told otherwise."""
    return arc_core.track(name, runs_dir=folder / "runs", **{"threads": 1, "checkpoint_every": 4, **options})


def train(
    folder: Path,
    loop: Loop,
    name: str = "a",
    *,
    epochs: int = 2,
    at: Callable[[TrackedRun, int], object] = lambda run, step: None,
    **options: Any,
) -> list[Tensor]:
    """Train a loop that saves, and return its weights; `at` is called in every step once it is logged."""
    with tracked(folder, name, resume=True, **options) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for step, batch in run.steps(loop.loader, epochs):
            run.log(step, **loop.train(batch))
            at(run, step)
    return loop.weights()


class Killed(Exception):
    """Ends a loop in the middle of a step."""


def killing(step: int) -> Callable[[TrackedRun, int], None]:
    """Return what ends a loop in a step, after what is being written is on the disk."""

    def end(run: TrackedRun, at: int) -> None:
        if at == step:
            raise Killed

    return end


def lines(folder: Path, name: str = "a") -> list[Line]:
    """All events of a run."""
    return read_lines(folder / "runs" / name / "events.jsonl")


def told(folder: Path, kind: str, name: str = "a") -> list[Line]:
    """Its events of one type."""
    return [line for line in lines(folder, name) if line["type"] == kind]


TIMED = ("seq", "time", "pairs_per_second", "elapsed_seconds", "seconds")


def course(folder: Path, name: str = "a") -> list[Line]:
    """What counts of a run's training, without the time that it took."""
    of_training = ("step", "sample", "epoch", "validation")
    return [
        {key: value for key, value in line.items() if key not in TIMED}
        for line in counting(lines(folder, name))
        if line["type"] in of_training
    ]


def run_of(folder: Path, name: str = "a") -> RunDirectory:
    """The directory of a run."""
    return RunDirectory(folder / "runs" / name)


def numbered(count: int) -> Iterator[int]:
    """Batches that can be gone through once."""
    yield from range(count)
