"""Runs whose declarations test the layout: numbers over time alone, and as much as a run may declare."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from foreign_run import make_foreign_run
from raw_events import Line

from arc_core.run.declared import Declared, GridForm, GroupKind, Number, NumberGroup
from arc_core.run.directory import RunDirectory

BEGUN = 1_795_600_000.0
STEPS = 60

SERIES_ONLY = Declared(
    groups=(
        NumberGroup.of("train", GroupKind.SERIES, "loss"),
        NumberGroup.of("eval", GroupKind.SERIES, "perplexity", "accuracy"),
        NumberGroup.of("throughput", GroupKind.SERIES, Number("tokens", whole=True), unit="tok/s"),
        NumberGroup.of("rate", GroupKind.SCHEDULE, "base", title="Learning rate"),
    )
)
"""A loop of someone's own: no parts, no grids, no evidence."""

MOST_GROUPS, LONG = 60, 60
_KINDS = tuple(GroupKind)


def _long(name: str) -> str:
    return f"{name}_".ljust(LONG, "x")


def _crowded_group(place: int) -> NumberGroup:
    kind = _KINDS[place % len(_KINDS)]
    numbers = [Number(_long(f"n{number}"), title="題" * 50 if number == 1 else "") for number in range(4)]
    totals = (_long("n3"),) if kind in (GroupKind.CONTRIBUTIONS, GroupKind.SIGNED) else ()
    ahead = (1.0, 1e300, -1.0, 1e-9) if kind is GroupKind.SCHEDULE else ()
    title = "題" * 100 if place % 7 == 0 else ""
    return NumberGroup(
        _long(f"g{place:02}"), kind, tuple(numbers), title=title, unit="u" * 100, totals=totals, ahead=ahead
    )


CROWDED = Declared(
    groups=tuple(map(_crowded_group, range(MOST_GROUPS))),
    grids=tuple(GridForm(_long(f"grid{place}"), judged=place % 2 == 0) for place in range(8)),
    target=_long("grid7"),
    claims={f"claim{place}": "c" * 200 for place in range(20)},
)
"""Sixty groups, names of sixty characters, titles of wide ones, eight grids."""


def make_series_run(runs_dir: Path) -> RunDirectory:
    """Make a finished run of `SERIES_ONLY`."""
    steps = [_step(step, _series_numbers(0.96**step, step)) for step in range(1, STEPS + 1)]
    return make_foreign_run(runs_dir, _numbered(steps), "series", SERIES_ONLY)


def make_crowded_run(runs_dir: Path) -> RunDirectory:
    """Make a finished run of `CROWDED`, whose numbers and texts are as odd as a log can hold."""
    told: list[Line] = []
    for step in range(1, STEPS + 1):
        numbers = [1e300 * (-1) ** step, -1e-300, None, 123_456_789.125 * step]
        names = [number.name for number in CROWDED.groups[0].numbers]
        told.append(_step(step, {g.name: dict(zip(names, numbers, strict=True)) for g in CROWDED.groups}))
    sample = {"type": "sample", "step": STEPS, "task": "", "pair": 0}
    told.append(sample | {grid.name: ["0123456789" * 3] * 30 for grid in CROWDED.grids})
    line = {"name": "\x1b[31mname " + "n" * 90, "value": "v" * 90, "reason": "\x1b]0;x\x07 " + "reason " * 90}
    lines = [line | {"work": "failing" if place % 2 else "odd"} for place in range(15)]
    told.append({"type": "evidence", "step": STEPS, "lines": lines})
    return make_foreign_run(runs_dir, _numbered(told), "crowded", CROWDED)


def _series_numbers(left: float, step: int) -> dict[str, Any]:
    return {
        "train": {"loss": 3 * left + 0.2 * math.sin(step)},
        "eval": {"perplexity": 20 * left, "accuracy": 1 - left},
        "throughput": {"tokens": 123_456 + 31 * step},
        "rate": {"base": 3e-4 * left},
    }


def _step(step: int, numbers: dict[str, Any]) -> Line:
    place = {"step": step, "epoch": (step - 1) // 20, "batch": (step - 1) % 20, "pairs": 8}
    speed = {"pairs_per_second": 40.0, "elapsed_seconds": step / 5}
    return {"type": "step", **place, **speed, **numbers, "nonfinite": []}


def _numbered(told: list[Line]) -> list[Line]:
    lines = [{"type": "run_started", "step": 0}, *told, {"type": "run_finished", "reason": "completed"}]
    return [
        {"type": line["type"], "seq": at, "time": BEGUN + at / 2} | line for at, line in enumerate(lines, 1)
    ]
