"""That training learns: small pairs are learned by heart within ten minutes."""

import subprocess
import sys
from pathlib import Path

import pytest

from arc_core.commands import send
from arc_core.events import EventReader
from arc_core.rundir import RunDirectory, is_alive

PAIRS = 64
MINUTES = 10.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sixty_four_small_pairs_are_learned_by_heart_in_ten_minutes(tmp_path: Path) -> None:
    """Cell accuracy starts near chance and passes 95%, with at least half of the pairs exact."""
    command = [
        *(sys.executable, "-m", "arc_tui.cli", "train", "--headless", "--no-augment", "--device", "cpu"),
        *("--set", "small_cells=36", "--set", f"max_pairs={PAIRS}", "--agent-lr", "5e-4"),
        *("--epochs", "10000", "--validate-on", "none", "--checkpoint-every", "100000"),
        *("--name", "learn", "--runs-dir", str(tmp_path)),
    ]
    run = RunDirectory(tmp_path / "learn")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    epochs = []
    steps = []
    learned = False
    while process.poll() is None and not learned:
        if not run.events.exists():
            continue
        reader = EventReader(run.events)
        while process.poll() is None and not learned:
            for event in reader.poll():
                if event["type"] == "epoch":
                    epochs.append(event)
                elif event["type"] == "step":
                    steps.append(event)
            if epochs:
                last = epochs[-1]["accuracy"]
                learned = last["cell"] > 0.95 and last["exact"] >= 0.5
                if not learned and steps[-1]["elapsed_seconds"] > 60 * MINUTES:
                    break
        if not learned:
            break
    if process.poll() is None:
        send(run.commands, "stop")
    assert process.wait(60) == 0, (tmp_path / "log").read_text()
    assert not is_alive(run)
    assert epochs[0]["accuracy"]["cell"] < 0.5
    assert learned, f"after {steps[-1]['elapsed_seconds']:.0f} s: {epochs[-1]['accuracy']}"
    assert steps[-1]["elapsed_seconds"] < 60 * MINUTES
    print(f"learned in {epochs[-1]['epoch'] + 1} epochs, {steps[-1]['elapsed_seconds']:.0f} s")  # noqa: T201
