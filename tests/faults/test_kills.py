"""Training processes that are killed at every point of what they do: nothing is lost, doubled or changed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import VARIANTS, WINDOWS, Chain, make_run, start_executed, window_of, write_dataset
from injection import Plan
from outcome import Outcome

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")

CHAINS: dict[str, tuple[str, list[tuple[str, str, int]]]] = {
    "beginning": (
        "set",
        [
            ("pwrite lock", "after", 1),
            ("write run.json", "half", 1),
            ("write event run_started", "half", 1),
            ("ftruncate events.jsonl", "before", 1),
            ("write event command_applied", "half", 1),
            ("unlink command", "after", 1),
            ("update parameters", "before", 3),
            ("write event step", "half", 2),
            ("copy tensor", "before", 50),
            ("write checkpoint/agent.safetensors", "half", 2),
        ],
    ),
    "middle": (
        "frozen",
        [
            ("parameters updated", "before", 4),
            ("write event step", "after", 1),
            ("take snapshot", "after", 1),
            ("create checkpoint/rng.safetensors", "after", 1),
            ("clean unlink checkpoint file", "after", 2),
            ("fsync checkpoint/optimizer.safetensors", "before", 1),
            ("write checkpoint/MANIFEST.json", "half", 1),
            ("fsync checkpoint", "after", 1),
            ("rename checkpoint", "after", 1),
            ("link checkpoint/lm/model.safetensors", "after", 1),
        ],
    ),
    "end": (
        "set",
        [
            ("hint write latest", "half", 1),
            ("write event checkpoint verified", "half", 1),
            ("read back read checkpoint file", "before", 3),
            ("prune rename checkpoint", "before", 1),
            ("prune unlink checkpoint file", "after", 3),
            ("write event validation", "half", 1),
            ("replace run.json", "before", 1),  # a process notes all that it knows at once
            ("write event checkpoint saved", "half", 1),
            ("write event run_finished", "half", 1),
            ("fsync events.jsonl", "before", 1),
        ],
    ),
}
"""Three runs, each killed ten times: what is struck, when, and which time; and of which variant they are."""


def test_the_planned_kills_strike_every_window() -> None:
    planned = {window_of(operation) for _, kills in CHAINS.values() for operation, _, _ in kills}
    assert planned == WINDOWS.keys() - {"load"}  # which only reads


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_kills_of_the_real_process_lose_and_change_nothing(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset")

    def chain(name: str, variant: str, expected: Outcome | None) -> Chain:
        sets, settings = VARIANTS[variant]
        run = make_run(tmp_path / "runs", name, dataset, **settings)
        return Chain(run, tmp_path / f"side-{name}", start_executed, sets, expected)

    def uninterrupted(variant: str) -> Outcome:
        one = chain(f"uninterrupted-{variant}", variant, None)
        assert not one.go_on()
        return Outcome.of(one.run)

    def killed(name: str) -> int:
        variant, kills = CHAINS[name]
        one = chain(name, variant, expected[variant])
        for kill in kills:
            assert one.go_on(Plan(*kill)), one.story(f"never hit: {kill}")
        assert not one.go_on()
        return len(one.kills)

    variants = sorted({variant for variant, _ in CHAINS.values()})
    with ThreadPoolExecutor(2) as pool:
        expected = dict(zip(variants, pool.map(uninterrupted, variants), strict=True))
        assert sum(pool.map(killed, CHAINS)) == 30


@contextlib.contextmanager
def kills(tally: Path, count: int) -> Iterator[subprocess.Popen[str]]:
    """The script that kills, until there are so many; it is ended at the latest by leaving."""
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", str(count), "--tally", tally]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_hundred_kills_of_forked_processes_lose_and_change_nothing(tmp_path: Path) -> None:
    with kills(tmp_path / "tally.jsonl", 300) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    print(said)  # noqa: T201 - how many in which window
    entries = [json.loads(line) for line in (tmp_path / "tally.jsonl").read_text().splitlines()]
    struck = [entry for entry in entries if entry["what"] == "killed"]
    assert len(struck) == 300
    assert {window_of(entry["operation"]) for entry in struck} == WINDOWS.keys(), "a window was never hit"
    assert len({(entry["operation"], entry["when"]) for entry in struck}) > 150


@pytest.mark.slow
def test_an_interrupted_count_of_kills_goes_on_where_it_was(tmp_path: Path) -> None:
    tally = tmp_path / "tally.jsonl"
    with kills(tally, 1000) as process:
        while not tally.exists() or tally.stat().st_size < 300:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
            assert process.returncode is None, process.communicate()[0]
        process.send_signal(signal.SIGINT)
        said = process.communicate()[0]
    assert "Interrupted" in said
    kept = tally.read_text().splitlines()
    done = sum(json.loads(line)["what"] == "killed" for line in kept)
    assert 0 < done < 1000
    with kills(tally, done + 2) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    assert said.startswith(f"{done + 2} kills at ")
    assert tally.read_text().splitlines()[: len(kept)] == kept
