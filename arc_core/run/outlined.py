"""A log without the events that change nothing of what it adds up to, most of its lines unread."""

from __future__ import annotations

from collections.abc import Iterator

from arc_core.run.event_forms import CheckpointEvent, Event, EvidenceEvent, SampleEvent, StepEvent
from arc_core.run.events import EventReader, parse_event

_STEP = b'{"type":"step",'
_BEGINS: dict[type[Event], bytes] = {
    SampleEvent: b'{"type":"sample",',
    EvidenceEvent: b'{"type":"evidence",',
    CheckpointEvent: b'{"type":"checkpoint",',
}
"""What the writer begins the lines of other events with that the next of their kind makes count no more."""

_DONE = (b'"phase":"saved"', b'"phase":"verified"')
_PASSING_PHASES = (*_DONE, b'"phase":"requested"')
"""A checkpoint that fails is no such event."""

_Kind = tuple[type[Event], bool]
"""The form of an event, and whether it is a checkpoint that is on the disk."""

_SAMPLE: _Kind = SampleEvent, False


def outlined(reader: EventReader) -> Iterator[Event]:
    """Yield the events up to the present end of a log without those that change nothing of a run's state.

    Of the steps, of checkpoints that are asked for, of those on the disk, and of what is told of the parts'
    work, between two other events only the last counts, and samples do not count at all; the last event is
    kept in any case, as it tells when the log was last written. The lines of the others are passed over, so
    that a million steps take a second.

    Args:
        reader: Of the log; stands at the end afterwards.

    Raises:
        RunError: If the log is a symbolic link or no regular file, or is closed to this user.
    """
    passed = _Passed()
    for block in reader.blocks():
        lines = block.split(b"\n")[:-1]
        passed.begin(lines)
        for at in [at for at, line in enumerate(lines) if not line.startswith(_STEP)]:
            if kind := _passing(lines[at]):
                passed.places.setdefault(kind, []).append(at)
            elif event := parse_event(lines[at]):
                if isinstance(event, StepEvent | SampleEvent | EvidenceEvent):  # of another program
                    passed.note((type(event), False), at, event)
                else:
                    passed.places.pop(_SAMPLE, None)
                    passed.parse(at)
                    passed.last.pop(_SAMPLE, None)
                    yield from passed.taken()
                    yield event
        passed.parse(len(lines))
    yield from passed.taken()


def _passing(line: bytes) -> _Kind | None:
    """The kind of a line that may be passed over and is no step; None for any other."""
    for form, begin in _BEGINS.items():
        if line.startswith(begin):
            if form is not CheckpointEvent:
                return form, False
            phase = next((phase for phase in _PASSING_PHASES if phase in line), None)
            return None if phase is None else (form, phase in _DONE)
    return None


class _Passed:
    """The events that have been passed over since the last one that was yielded.

    Attributes:
        places: Which lines of the present block they are, by kind; steps are all lines that begin so.
        last: The last of each kind that is parsed, with the number of its line in the log.
    """

    def __init__(self) -> None:
        self.places: dict[_Kind, list[int]] = {}
        self.last: dict[_Kind, tuple[int, Event]] = {}
        self._lines: list[bytes] = []
        self._before = self._since = 0

    def begin(self, lines: list[bytes]) -> None:
        """Take the lines of the next block; what the block before held is parsed."""
        self._before += len(self._lines)
        self._lines, self._since = lines, 0

    def note(self, kind: _Kind, at: int, event: Event) -> None:
        """Take one that is parsed, the last of its kind so far."""
        if kind[0] is StepEvent:
            self._since = at + 1
        self.places.pop(kind, None)
        self.last[kind] = self._before + at, event

    def parse(self, end: int) -> None:
        """Find the last whole one of each kind among the lines up to one."""
        steps = (at for at in range(end - 1, self._since - 1, -1) if self._lines[at].startswith(_STEP))
        self._parse_last((StepEvent, False), steps)
        for kind, places in [*self.places.items()]:
            self._parse_last(kind, reversed(places))
        self.places.clear()
        self._since = end

    def _parse_last(self, kind: _Kind, places: Iterator[int]) -> None:
        for at in places:
            event = parse_event(self._lines[at])
            if isinstance(event, kind[0]):
                self.note(kind, at, event)
                return

    def taken(self) -> Iterator[Event]:
        """Yield the last of each kind, in the order of the log, and forget them."""
        for _, event in sorted(self.last.values(), key=lambda found: found[0]):
            yield event
        self.last.clear()
