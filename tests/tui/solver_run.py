"""The recorded run as the solver's pretraining would have told it."""

from __future__ import annotations

from typing import Any

from raw_events import PIPELINE, PRETRAINING, Line
from recordings import console_events, console_run_json


def solver_events(*, old: bool = False, until: int | None = None) -> list[Line]:
    """Its log as the solver writes it.

    Args:
        old: Whether as earlier versions did: null where the pipeline has more numbers.
        until: The last step; None for the whole run.
    """
    events = [_of_the_solver(event, old=old) if "loss" in event else event for event in console_events()]
    steps = [event.get("step") if event["type"] == "step" else None for event in events]
    return events if until is None else events[: steps.index(until) + 1]


def solver_run_json() -> dict[str, Any]:
    """What it would have been started with."""
    content = console_run_json()
    return content | {"config": content["config"] | {"recipe": "solver"}}


def _of_the_solver(event: Line, *, old: bool) -> Line:
    line = dict(event)
    for group in PIPELINE.groups:
        if group.name not in line:
            continue
        lacks = {n.name: None for n in group.numbers if group.dotted(n.name) not in PRETRAINING.names}
        told = line.pop(group.name)
        if old:
            line[group.name] = told | lacks
        elif group.name in PRETRAINING.by_name:
            line[group.name] = {name: value for name, value in told.items() if name not in lacks}
    parts = [line["loss"][number.name] for number in PRETRAINING.by_name["loss"].parts]
    line["loss"]["efe_total"] = None if None in parts else sum(parts)
    return line
