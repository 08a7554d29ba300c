"""What checkpoints and events cost: training time lost, one stall, durable MB/s, microseconds an event.

    python -m benchmarks.checkpoints [--rounds 8] [--folder FOLDER]

Machines are shared and noisy, so what counts are the ratios, each of two things measured in turns.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

import torch

from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.data.dataset import ARCDataset, plan_batches
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.declared import declared_by
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.step import StepResult, step_numbers, training_step
from arc_core.pipeline.system import ArcSystem
from arc_core.run.events import EventWriter, events_after, next_seq
from arc_core.tracking.start import track
from arc_core.training.progress import Progress
from arc_core.training.saving import Saver
from arc_core.training.telemetry import Pace

INTERVAL = PipelineConfig().checkpoint_every
LARGE_HIDDEN = 832
"""Width at which weights and moments take about 500 MB."""


def seconds_of(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def some_batches(count: int, small_cells: int | None = None) -> list[Batch]:
    """Batches of the default size from ARC-AGI-2, spread over the sizes."""
    config = PipelineConfig()
    dataset = ARCDataset(augment=True, max_cells=small_cells)
    planned = plan_batches(dataset, config.batch_size, seed=config.seed, epoch=0)
    return [
        collate([dataset[i] for i in chosen], FEW_SIDES)
        for chosen in planned[:: len(planned) // count][:count]
    ]


def make_saver(system: ArcSystem, folder: Path, events: EventWriter) -> Saver:
    """A saver that keeps one checkpoint, and fails loudly."""

    def refuse(finding: object) -> None:
        raise AssertionError(finding)

    persistence = CheckpointFolder(folder / "checkpoints", keep=1)
    return Saver(persistence, system, events, torch.get_num_threads(), refuse)


def time_lost(folder: Path, events: EventWriter, rounds: int) -> None:
    """Segments of 50 steps, in turns with and without a checkpoint at their start."""
    system = ArcSystem(PipelineConfig(), torch.device("cpu"))
    batches = some_batches(INTERVAL)
    saver, pace = make_saver(system, folder, events), Pace()
    progress, steps = Progress(INTERVAL, declared_by({})), 0

    def segment() -> None:
        nonlocal steps
        for batch in batches:
            steps += 1
            training_step(system, batch, 0, steps)

    segment()  # every size has its kernels now
    first = seconds_of(lambda: saver.save(progress, pace, "interval"))
    saver.wait()
    stalls: list[float] = []
    with_one: list[float] = []
    without: list[float] = []
    writing: list[float] = []
    for _ in range(rounds):
        without.append(seconds_of(segment))
        progress.step += INTERVAL
        began = time.perf_counter()
        stalls.append(seconds_of(lambda: saver.save(progress, pace, "interval")))
        segment()
        with_one.append(time.perf_counter() - began)
        saver.wait()
        writing.append(seconds_of(lambda: (saver.save(progress, pace, "interval"), saver.wait())))
    saver.close()
    plain, burdened = statistics.median(without), statistics.median(with_one)
    size = sum(p.stat().st_size for p in (folder / "checkpoints").rglob("*") if p.is_file())
    print(f"tiny model, checkpoint of {size / 1e6:.1f} MB, {torch.get_num_threads()} threads")
    print(f"  stall of training: {statistics.median(stalls) * 1e3:.1f} ms, the first {first * 1e3:.1f} ms")
    print(f"  written and verified beside no training: {statistics.median(writing) * 1e3:.0f} ms")
    print(
        f"  {INTERVAL} steps: {plain:.2f} s without, {burdened:.2f} s with one: {burdened / plain - 1:+.1%}"
    )
    print(f"  the stall alone is {statistics.median(stalls) / plain:.2%} of the interval")
    pairs = [b / p - 1 for p, b in zip(without, with_one, strict=True)]
    print(f"  per pair of segments: {', '.join(f'{pair:+.1%}' for pair in pairs)}")


def durable_rate(folder: Path, events: EventWriter, rounds: int, hidden: int, label: str) -> None:
    """A checkpoint's MB/s until verified, against one raw file of the same bytes written and synced."""
    system = ArcSystem(PipelineConfig(hidden_dim=hidden, amp="off"), torch.device("cpu"))
    training_step(system, some_batches(1, small_cells=30)[0], 0, 1)
    saver, pace, progress = make_saver(system, folder, events), Pace(), Progress(INTERVAL, declared_by({}))
    stalls: list[float] = []
    ours: list[float] = []
    raw: list[float] = []
    saved: list[float] = []
    saver.save(progress, pace, "interval")
    saver.wait()
    size = sum(p.stat().st_size for p in (folder / "checkpoints").rglob("*") if p.is_file())
    block = os.urandom(4 << 20)
    for _ in range(rounds):
        began = time.perf_counter()
        stalls.append(seconds_of(lambda: saver.save(progress, pace, "interval")))
        saver.wait()
        ours.append(time.perf_counter() - began)
        saved.append(_phase_seconds(events, folder))
        raw.append(seconds_of(lambda: _raw(folder / "raw", block, size)))
    saver.close()
    rate = size / 1e6 / statistics.median(saved)
    bare = size / 1e6 / statistics.median(raw)
    whole = size / 1e6 / statistics.median(ours)
    print(f"{label}, checkpoint of {size / 1e6:.0f} MB")
    print(f"  stall of training: {statistics.median(stalls) * 1e3:.0f} ms")
    print(
        f"  until saved {rate:.0f} MB/s, until verified {whole:.0f} MB/s, raw write and fsync {bare:.0f} MB/s"
    )
    print(f"  ratio to raw: {rate / bare:.2f} until saved, {whole / bare:.2f} until verified")


def _phase_seconds(events: EventWriter, folder: Path) -> float:
    """Seconds until the last checkpoint was saved, as its event says."""
    log = folder / "events.jsonl"
    saved = [e for e in events_after(log, events.last_seq - 3) if e.get("phase") == "saved"]
    return float(saved[-1]["seconds"])


def _raw(path: Path, block: bytes, size: int) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in range(size // len(block) + 1):
            file.write(block)
        os.fsync(file.fileno())
    path.unlink()


def event_cost(events: EventWriter, count: int) -> None:
    """Microseconds that a step's event takes on the training thread, synced from another."""
    system = ArcSystem(PipelineConfig(hidden_dim=32, prompt_dim=32), torch.device("cpu"))
    batch = some_batches(1, small_cells=30)[0]
    result: StepResult = training_step(system, batch, 0, 1)
    events.keep_synced()
    declared = declared_by({})
    began = time.perf_counter()
    for step in range(count):
        fields: dict[str, Any] = dict(step_numbers(result, system.precision))
        assert declared.refusal(fields) is None
        fields["rule"] = batch.prompt_inputs.rules[0]
        pace = {"pairs": len(batch), "pairs_per_second": 10.0, "elapsed_seconds": 1.0}
        events.emit("step", step=step, epoch=0, batch=step, **pace, **fields)
    each = (time.perf_counter() - began) / count
    print(f"event of a step: {each * 1e6:.0f} us on the training thread, {count} of them, synced beside it")


def log_cost(folder: Path, rounds: int, count: int = 4000) -> None:
    """A call of `log` in a loop of one's own, with a tensor, beside the same event alone, in turns."""
    loss, told = torch.tensor(0.5), {"loss": {"loss": 0.5}, "metrics": {"accuracy": 0.25}}
    pace = {"pairs": 8, "pairs_per_second": 10.0, "elapsed_seconds": 1.0}
    logs: list[float] = []
    events: list[float] = []
    with track("log", runs_dir=folder) as run, EventWriter(folder / "alone.jsonl") as alone:
        alone.keep_synced()
        for _ in range(rounds):
            steps = range(run.step + 1, run.step + 1 + count)
            logs.append(seconds_of(lambda steps=steps: [run.log(s, loss=loss, accuracy=0.25) for s in steps]))
            one = functools.partial(alone.emit, "step", step=1, epoch=0, batch=0, **pace, **told)
            events.append(seconds_of(lambda one=one: [one() for _ in range(count)]))
    ratio = statistics.median(log / event for log, event in zip(logs, events, strict=True))
    print(
        f"log of a loop of one's own: {statistics.median(logs) / count * 1e6:.0f} us, "
        f"{ratio:.2f} times the same event alone"
    )


def reposition(log: Path, rounds: int) -> None:
    """What finding the middle of an epoch adds to loading: the plan of batches, and the log's end."""
    config = PipelineConfig()
    dataset = ARCDataset(augment=True)

    def find() -> None:
        batches = plan_batches(dataset, config.batch_size, seed=config.seed, epoch=7)
        [dataset.example(index, 7) for index in batches[len(batches) // 2]]

    found = [seconds_of(find) for _ in range(rounds)]
    last = next_seq(log)
    ends = [seconds_of(lambda: (next_seq(log), events_after(log, last - 400))) for _ in range(rounds)]
    print(
        f"middle of an epoch: {statistics.median(found) * 1e3:.1f} ms for its batches, "
        f"{statistics.median(ends) * 1e3:.1f} ms for the end of a log of {log.stat().st_size / 1e6:.0f} MB"
    )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        with EventWriter(folder / "events.jsonl") as events:
            time_lost(folder, events, arguments.rounds)
            durable_rate(folder / ".", events, 3, LARGE_HIDDEN, "large model")
            event_cost(events, 20_000)
        log_cost(folder, 5)
        reposition(folder / "events.jsonl", 5)


if __name__ == "__main__":
    main()
