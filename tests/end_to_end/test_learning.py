"""That training learns: small pairs are learned by heart within ten minutes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from command import ARC_TUI, SEED, end_engine
from raw_events import Line, LogReader

from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory

SECONDS = 600.0


def follow(process: subprocess.Popen[bytes], run: RunDirectory) -> Iterator[Line]:
    """The run's events until its command ends; waits for the command between looks, not spinning."""
    reader: LogReader | None = None
    while process.poll() is None:
        if reader is None and run.events.exists():
            reader = LogReader(run.events)
        if reader is not None:
            yield from reader.poll()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.25)


PLANNERS: dict[str, tuple[list[str], float]] = {
    "seed": ([*SEED, "--batch-size", "8", "--agent-lr", "5e-4"], 0.5),
    "canvas": (["--set", "schedule=constant", "--set", "warmup_steps=10"], 0.8),
}
"""Options of each planner's run, and what its first cell accuracy is below: one copies from the start."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("planner", PLANNERS)
def test_sixty_four_small_pairs_are_learned_by_heart_in_ten_minutes(tmp_path: Path, planner: str) -> None:
    """Cell accuracy passes 95%, with at least half of the pairs exact."""
    options, low = PLANNERS[planner]
    run = RunDirectory(tmp_path / "learn")
    process = subprocess.Popen(
        [
            *(ARC_TUI, "train", "--headless", "--no-augment", "--device", "cpu", *options),
            *("--set", "small_cells=36", "--set", "max_pairs=64", "--epochs", "10000"),
            *("--validate-on", "none", "--checkpoint-every", "100000"),
            *("--name", "learn", "--runs-dir", str(tmp_path)),
        ],
        stdout=subprocess.DEVNULL,
    )
    accuracies: list[dict[str, float]] = []
    elapsed, learned = 0.0, False
    try:
        for event in follow(process, run):
            if event["type"] == "step":
                elapsed = event["elapsed_seconds"]
            elif event["type"] == "epoch":
                accuracies.append(event["accuracy"])
                learned = event["accuracy"]["cell"] > 0.95 and event["accuracy"]["exact"] >= 0.5
            if learned or elapsed > SECONDS:
                break
        send(run.commands, "stop")
        assert process.wait(60) == 0
    finally:
        end_engine(run)
    assert accuracies[0]["cell"] < low
    assert learned, f"after {len(accuracies)} epochs and {elapsed:.0f} s: {accuracies[-1]}"
    assert elapsed < SECONDS
    print(f"{len(accuracies)} epochs, {elapsed:.0f} s: {accuracies[-1]}")  # noqa: T201
