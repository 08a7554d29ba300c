"""A log without the events that change nothing of what it adds up to, most of its lines unread."""

from __future__ import annotations

from collections.abc import Iterator

from arc_core.run.event_forms import Event, EvidenceEvent, SampleEvent, StepEvent
from arc_core.run.events import EventReader, parse_event

_STEP = b'{"type":"step",'
_PASSING: dict[type[Event], bytes] = {
    StepEvent: _STEP,
    SampleEvent: b'{"type":"sample",',
    EvidenceEvent: b'{"type":"evidence",',
}
"""Events that the next of their kind makes count no more, and what the writer begins their lines with."""


def outlined(reader: EventReader) -> Iterator[Event]:
    """Yield the events up to the present end of a log without those that change nothing of a run's state.

    Of the steps, and of what is told of the parts' work, between two other events only the last counts, and
    samples do not count at all; the last event is kept in any case, as it tells when the log was last
    written. The lines of the others are passed over, so that a million steps take a second.

    Args:
        reader: Of the log; stands at the end afterwards.

    Raises:
        RunError: If the log is a symbolic link or no regular file, or is closed to this user.
    """
    passed = _Passed()
    for block in reader.blocks():
        start, at = reader.offset - len(block), 0
        steps = passed.places[StepEvent]
        while end := block.find(b"\n", at) + 1:
            if block.startswith(_STEP, at):  # by far the most
                steps.append(at)
            elif kind := next(
                (kind for kind, begin in _PASSING.items() if block.startswith(begin, at)), None
            ):
                passed.places[kind].append(at)
            elif event := parse_event(block[at:end]):
                if isinstance(event, StepEvent | SampleEvent | EvidenceEvent):  # of another program
                    passed.note(start + at, event)
                else:
                    passed.places[SampleEvent].clear()
                    passed.parse(block, start)
                    passed.last.pop(SampleEvent, None)
                    yield from passed.taken()
                    yield event
            at = end
        passed.parse(block, start)
    yield from passed.taken()


class _Passed:
    """The events that have been passed over since the last one that was yielded.

    Attributes:
        places: Where in the present block their lines begin, by kind.
        last: The last of each kind that is parsed, with its place in the log.
    """

    def __init__(self) -> None:
        self.places: dict[type[Event], list[int]] = {kind: [] for kind in _PASSING}
        self.last: dict[type[Event], tuple[int, Event]] = {}

    def note(self, place: int, event: Event) -> None:
        """Take one that is parsed, the last of its kind so far."""
        self.places[type(event)].clear()
        self.last[type(event)] = place, event

    def parse(self, block: bytes, start: int) -> None:
        """Find the last whole one of each kind among the lines of a block, which starts there in the log."""
        for kind, places in self.places.items():
            for at in reversed(places):
                event = parse_event(block[at : block.index(b"\n", at)])
                if isinstance(event, kind):
                    self.note(start + at, event)
                    break
            places.clear()

    def taken(self) -> Iterator[Event]:
        """Yield the last of each kind, in the order of the log, and forget them."""
        for _, event in sorted(self.last.values(), key=lambda found: found[0]):
            yield event
        self.last.clear()
