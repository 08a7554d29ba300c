"""The events of a log without those that change nothing of what they add up to."""

from __future__ import annotations

from collections.abc import Sequence

from arc_core.run.event_forms import Event, EvidenceEvent, SampleEvent, StepEvent


def outline(events: Sequence[Event]) -> list[Event]:
    """Leave out what does not change what the events add up to (`arc_tui.runs.state.reduce`).

    Of the steps, and of what is told of the parts' work, between two other events only the last counts, and
    samples do not count at all; the last
    event is kept in any case, as it tells when the log was last written. Of all steps but the last only
    the fields are kept that count.
    """
    kept: list[Event] = []
    waiting: dict[type[Event], Event] = {}
    for event in events:
        if isinstance(event, StepEvent | EvidenceEvent):
            waiting.pop(type(event), None)
            waiting[type(event)] = event
        elif not isinstance(event, SampleEvent):
            kept += [*waiting.values(), event]
            waiting.clear()
    kept += waiting.values()
    if events and (not kept or kept[-1] is not events[-1]):
        kept.append(events[-1])
    newest = next((event for event in reversed(kept) if isinstance(event, StepEvent)), None)
    return [_lean(event) if isinstance(event, StepEvent) and event is not newest else event for event in kept]


def _lean(step: StepEvent) -> StepEvent:
    """Keep of a step what a run's state takes of it."""
    counts = {name: step.fields[name] for name in ("step", "epoch") if name in step.fields}
    return StepEvent(step.seq, step.time, counts)
