"""What only a machine with a GPU can tell, in one command of at most so many minutes.

    python -m benchmarks.gpu [--device cuda] [--minutes 8] [--file gpu.json] [--extra-data re_arc.zip]

throughput    pairs/s and peak memory by batch size, of the presets `tiny` (the default) and `seed`; for the
              latter with a small random language model where its own cannot be had; of `tiny` compiled too,
              at its own batch size, after what compiling takes
resume        a process that goes on from a checkpoint, against the one that wrote it and went through
float16       200 steps of the default preset with the scaler
pretraining   five minutes of the preset `solver`, its curve, and its weights beside the JSON
tasks         50 ARC-AGI-1 evaluation and 50 held-out tasks from these weights, then from the packaged ones

Each part has its share of the minutes; what one leaves goes to those after it. What has no time is told as
cut, a part that fails with its sentence, and the others go on. The JSON is written anew after each part, and
a table in Markdown follows at the end. `--small` does very little of everything, to show that all parts work.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from arc_core.base.errors import ArcError
from arc_core.base.files import write_json_atomic
from arc_core.base.text import first_line
from arc_core.checkpoints.restoring import read_tensors
from arc_core.data.kaggle import known_outputs, read_submission
from arc_core.data.scoring import score
from arc_core.data.seen import tasks_again
from arc_core.evaluation.folder import EvalFolder, voted
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, read_state
from arc_core.run.directory import RunDirectory
from arc_core.run.event_forms import StepEvent
from arc_core.run.events import EventReader
from arc_core.run.provenance import describe_build, git_revision, versions
from arc_core.training.preflight import choose_device
from benchmarks.gpu_session import GRACE_SECONDS, HERE, SMALL, Figures, Form, Session, steps_of

LEAST_SECONDS = 5.0
"""With less a part is not begun."""

BATCHES = 100
"""Of an epoch of the float16 run: as many as the default preset has."""

POINTS = 20
"""Of the curve."""


def finite_losses(steps: Sequence[StepEvent]) -> list[float]:
    """The losses of steps, without those that were not finite."""
    return [loss for step in steps if math.isfinite(loss := step.number("loss.efe_total"))]


def throughput(session: Session, figures: Figures, preset: str, *settings: str) -> None:
    """Pairs/s and peak memory by batch size."""
    words = [preset, "--device", session.device, "--seconds", f"{0.8 * session.left:.0f}"]
    words += ["--steps", str(session.form.steps_a_size)]
    words += [part for setting in (*session.form.settings, *settings) for part in ("--set", setting)]
    try:
        session.run("benchmarks.batch_sizes", *words)
    finally:  # what it has told before it failed counts
        sizes: list[Figures] = []
        for line in session.lines():
            if "batch_size" in line:
                sizes.append(line)
            else:
                figures |= line
        if sizes:
            figures["best"] = max(sizes, key=lambda line: line["pairs_per_second"])
        for line in sizes:
            figures[f"batch {line['batch_size']}"] = {key: line[key] for key in line if key != "batch_size"}


def resume(session: Session, figures: Figures, preset: str) -> None:
    """Whether a process that goes on from a checkpoint ends with the bits of the one that wrote it."""
    steps = session.form.resumed_steps
    words = ["--preset", preset, "--lm", "tiny", "--epochs", "1", "--max-batches", str(2 * steps)]
    words += ["--checkpoint-every", str(steps), "--validate-on", "none"]
    through = session.train(f"{preset}_through", *words)
    saved = by_step(through)
    if not {steps, 2 * steps} <= saved.keys():
        return
    number, branch = str(checkpoint_id(saved[steps])), f"{preset}_resumed"
    words = ["--resume", through.name, "--checkpoint", number, "--branch", branch]
    resumed = session.train(branch, *words)
    if (last := by_step(resumed).get(2 * steps)) is not None:
        figures |= {"steps": 2 * steps, "resumed_at": steps, **compare(saved[2 * steps], last)}
        figures["precision"] = steps_of(resumed)[-1].group("amp")["dtype"]


def by_step(run: RunDirectory) -> dict[int, Path]:
    """The checkpoints of a run by the step that they are of."""
    return {read_state(path)["position"]["step"]: path for path in list_checkpoints(run.checkpoints)}


def compare(first: Path, second: Path) -> Figures:
    """How the tensors of two checkpoints differ."""
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*.safetensors"))
    total, different, largest = 0, 0, 0.0
    for name in names:
        one, other = (read_tensors(checkpoint / name)[0] for checkpoint in (first, second))
        total += len(one)
        for key, tensor in one.items():
            if not torch.equal(tensor, other[key]):
                different += 1
                largest = max(largest, (tensor.double() - other[key].double()).abs().max().item())
    return {
        "bit_equal": all((first / name).read_bytes() == (second / name).read_bytes() for name in names),
        "tensors": total,
        "tensors_that_differ": different,
        "largest_difference": largest,
    }


def float16(session: Session, figures: Figures) -> None:
    """How the default preset trains in float16."""
    asked = session.form.float16_steps
    epochs, batches = math.ceil(asked / BATCHES), min(asked, BATCHES)
    words = ["--epochs", str(epochs), "--max-batches", str(batches), "--validate-on", "none"]
    steps = steps_of(session.train("float16", *words, "--set", "amp=float16"))
    if not steps:
        return
    losses, tenth = finite_losses(steps), max(1, len(steps) // 10)
    figures |= {
        "steps": len(steps),
        "losses_finite": len(losses) == len(steps),
        "skipped_steps": steps[-1].count("amp.skipped_steps"),
        "scale_at_start": steps[0].number("amp.scale"),
        "scale_at_end": steps[-1].number("amp.scale"),
        "loss_at_start": statistics.fmean(losses[:tenth]),
        "loss_at_end": statistics.fmean(losses[-tenth:]),
        "precision": steps[-1].group("amp")["dtype"],
    }


def pretraining(session: Session, figures: Figures) -> None:
    """Pretrain for as many epochs as fit, by the rate of the first seconds: so the schedule ends in time."""
    form, name, began = session.form, "pretraining", time.monotonic()
    words = ["--preset", "solver", "--validate-on", "none"]
    if session.extra_data is not None:
        words += ["--extra-data", str(session.extra_data)]
    reader = EventReader(session.folder / "runs" / name / "events.jsonl")

    def probed() -> bool:
        seconds = [event.number("elapsed_seconds") for event in reader.poll() if isinstance(event, StepEvent)]
        return bool(seconds) and seconds[-1] > form.probed_seconds

    run = session.train(name, *words, enough=probed)
    steps = steps_of(run)
    if not steps:
        return
    half, last = (steps[index].number("elapsed_seconds") for index in (len(steps) // 2, -1))
    rate = (len(steps) - 1 - len(steps) // 2) / max(last - half, 1e-3)
    start = time.monotonic() - began - last
    seconds = min(form.pretraining_seconds - last, session.left - start - GRACE_SECONDS)
    epochs = max(1, int((len(steps) + rate * seconds) / run.read()["plan"]["batches_per_epoch"]))
    if seconds > 0:
        session.train(name, "--resume", name, "--epochs", str(epochs))
        steps = steps_of(run)
    else:
        session.cut.append("no time for more than the first seconds")
    figures |= {
        "extra_data": None if session.extra_data is None else session.extra_data.name,
        "steps": len(steps),
        "epochs": epochs,
        "pairs": sum(step.count("pairs") for step in steps),
        "seconds": steps[-1].number("elapsed_seconds"),
        "schedule_ended": not session.cut,
        "losses_finite": len(finite_losses(steps)) == len(steps),
    }
    stride = math.ceil(len(steps) / POINTS)
    windows = [steps[first : first + stride] for first in range(0, len(steps), stride)]
    figures["loss_by_seconds"] = [
        [window[-1].number("elapsed_seconds"), statistics.fmean(losses)]
        for window in windows
        if (losses := finite_losses(window))
    ]
    until = time.monotonic() + GRACE_SECONDS
    session.run("arc_tui.cli", "export-weights", str(session.weights), "--run", name, until=until)
    shutil.copyfile(session.weights, session.kept_weights)
    figures["weights"] = session.kept_weights.name


LISTS = {"evaluation": ("--split", "evaluation"), "held_out": ("--held-out",)}
"""The tasks, as `arc-tui eval` takes them of ARC-AGI-1."""


def tasks(session: Session, figures: Figures, weights: Path | None) -> None:
    """Solve both lists from a weights file, or from the packaged ones."""
    if weights is not None and not weights.exists():
        session.cut.append("there are no weights")
        return
    workers = max(1, min(8, (os.cpu_count() or 1) // 2))
    asked = ["--limit", str(session.form.tasks), "--seconds-per-task", str(session.form.seconds_a_task)]
    asked += ["--weights", str(weights or "default"), "--device", session.device, "--workers", str(workers)]
    for share, (name, words) in zip((2, 1), LISTS.items(), strict=True):
        until = time.monotonic() + session.left / share
        folder = EvalFolder(session.folder / "evals" / f"{name}_{weights.stem if weights else 'packaged'}")
        session.run("arc_tui.cli", "eval", "--name", folder.path.name, *words, *asked, until=until)
        if folder.path.exists():
            figures[name] = scored(folder)


def scored(folder: EvalFolder) -> Figures:
    """The scores of an evaluation's submission, or of what there would be of it by now."""
    assignment = folder.assignment()
    pending = folder.pending(assignment.tasks)
    done = [name for name in assignment.tasks if name not in pending]
    answers = {name: folder.answer(name) for name in done}
    found: Figures = {"tasks": len(assignment.tasks), "answered": len(done)}
    if not done:
        return found
    attempts = read_submission(folder.submission) if folder.submission.exists() else voted(answers)
    split = "evaluation" if assignment.split == "evaluation" else "training"
    report = score(attempts, known_outputs(tasks_again(assignment.dataset, split, done)))
    solved, inputs = report.tasks(), report.share("either")
    return found | {
        "solved": solved.count,
        "interval": [round(bound, 3) for bound in solved.interval],
        "inputs_solved": inputs.count,
        "inputs": inputs.total,
        "fit": sum(answer.fit == answer.demonstrations for answer in answers.values()),
        "steps_a_task": statistics.fmean(answer.steps for answer in answers.values()),
        "seconds_a_task": statistics.fmean(answer.seconds for answer in answers.values()),
    }


Part = Callable[[Session, Figures], None]

PARTS: dict[str, tuple[float, Part]] = {
    "throughput, tiny": (0.4, partial(throughput, preset="tiny")),
    "throughput, seed": (0.5, partial(throughput, preset="seed")),
    "throughput, tiny, compiled": (
        1.2,
        lambda session, figures: throughput(session, figures, "tiny", "compile=true"),
    ),
    "resume, tiny": (0.45, partial(resume, preset="tiny")),
    "resume, seed": (0.45, partial(resume, preset="seed")),
    "float16": (0.3, float16),
    "pretraining": (4.7, pretraining),
    "tasks, pretrained": (0.9, lambda session, figures: tasks(session, figures, session.weights)),
    "tasks, packaged": (0.3, lambda session, figures: tasks(session, figures, None)),
}
"""In order, each with its share of the time."""


def machine(device: torch.device) -> Figures:
    """What the figures are of."""
    found: Figures = {
        "device": str(device),
        "processor": describe_build()["processor"],
        "cores": os.cpu_count(),
        "versions": versions(),
        "git": git_revision(HERE),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"gpu": properties.name, "gpu_memory_gb": properties.total_memory / 1e9}
        found |= {"cuda": torch.version.cuda}
    return found


def table(parts: dict[str, Figures]) -> list[str]:
    """The figures as a table in Markdown: a row for each group of numbers."""
    lines = ["| part | what | figures |", "|---|---|---|"]
    for part, told in parts.items():
        for what, figures in rows(told["figures"]):
            lines.append(f"| {part} | {what} | {figures} |")
        lines += [f"| {part} | cut | {sentence} |" for sentence in told.get("cut", ())]
        if failed := told.get("failed"):
            lines.append(f"| {part} | failed | {failed} |")
    return lines


def rows(figures: Figures, what: str = "") -> Iterator[tuple[str, str]]:
    """Each group of numbers within others, with its name."""
    groups = {name: value for name, value in figures.items() if isinstance(value, dict)}
    if plain := [f"{name} {shown(value)}" for name, value in figures.items() if name not in groups]:
        yield what.replace("_", " "), "; ".join(plain).replace("_", " ")
    for name, group in groups.items():
        yield from rows(group, f"{what}, {name}" if what else name)


def shown(value: object) -> str:
    """A value in a table."""
    if isinstance(value, list):
        return f"({', '.join(map(shown, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Do the parts and print the table; 2 and a sentence where the device is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--file", type=Path, default=Path("gpu.json"))
    parser.add_argument("--extra-data", type=Path)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        device = choose_device(given.device)
    except (ArcError, RuntimeError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    form = SMALL if given.small else Form()
    parts: dict[str, Figures] = {}
    report = {"minutes": given.minutes, "form": asdict(form), "machine": machine(device), "parts": parts}
    with tempfile.TemporaryDirectory() as folder:
        weights = given.file.absolute().with_suffix(".safetensors")
        extra = given.extra_data and given.extra_data.absolute()
        session = Session(Path(folder), given.device, form, extra, weights)
        shares = [share for share, _ in PARTS.values()]
        for number, (name, (share, part)) in enumerate(PARTS.items()):
            start = time.monotonic()
            seconds = (began + 60 * given.minutes - start) * share / sum(shares[number:])
            session.until, session.cut = start + seconds, []
            told = parts[name] = {"cut": session.cut, "failed": None, "figures": dict[str, Any]()}
            try:
                if seconds < LEAST_SECONDS:
                    session.cut.append(f"not begun: {max(0.0, seconds):.1f} s are left for it")
                else:
                    part(session, told["figures"])
            except (ArcError, OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
                told["failed"] = first_line(error) if isinstance(error, ArcError) else repr(error)
                told["output"] = session.printed()[-2000:]
            told["seconds"] = time.monotonic() - start
            write_json_atomic(given.file, report)
            print(f"{name}: {told['seconds']:.0f} s{', failed' if told['failed'] else ''}", flush=True)
    print("\n".join(["", *table({"machine": {"figures": report["machine"]}, **parts})]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
