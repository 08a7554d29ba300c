"""The memory of a run that the console draws from: bounded, however long the run is.

Events are added from the middle outwards: newer ones above what is known, older ones below. Whatever
the stretches they come in, the history ends up the same. What a resume took back is left out, as
`arc_core.run.events.drop_superseded` does; log entries stay, since they tell what happened.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arc_core.run.declared import Declared
from arc_core.run.event_forms import Event, SampleEvent
from arc_core.run.recipes import declaration_of
from arc_tui.runs.columns import Columns
from arc_tui.runs.digest import Digest, Place, Placed, Resume, digested, safe_rule
from arc_tui.runs.marks import Mark, MarkKind, mark_of
from arc_tui.runs.samples import Sample, sample_of
from arc_tui.runs.sentences import LogEntry, entry_of
from arc_tui.runs.series import CAPACITY, SeriesStore, Window
from arc_tui.runs.thinned import Thinned

NEWEST_MARKS, OLDER_MARKS = 500, 1000
"""Marks kept of each kind."""

NEWEST_SAMPLES, OLDER_SAMPLES = 200, 400
NEWEST_ENTRIES = 2000

CLIP_STEPS = 200
"""Over how many of the last steps the clip share is told."""

_OF_A_STEP = frozenset({MarkKind.NAN, MarkKind.VALIDATION, MarkKind.EPOCH})
"""Marks of training itself, which a resume takes back."""

_BETWEEN_STEPS = frozenset({MarkKind.RATE, MarkKind.WARNING})
"""Marks of what stays when steps are taken back: it came before the steps that took their place."""


class _Kept(NamedTuple):
    """A sample as the log has it: reading its grids is left until it is looked at."""

    event: SampleEvent
    rule: str | None


class History:
    """What is known of a run's past.

    To be read and changed by one thread.

    Args:
        declared: What steps and samples carry, until a digest tells; None takes what they do where run.json
            says nothing.
        capacity: How many of the newest steps are kept one by one; earlier ones are summed up.
    """

    def __init__(self, declared: Declared | None = None, capacity: int = CAPACITY) -> None:
        self.declared = declaration_of({}) if declared is None else declared
        """What steps and samples carry, as it was last told."""
        self._series = SeriesStore(Columns.of(self.declared), capacity)
        self._marks = {kind: Thinned[Mark](NEWEST_MARKS, OLDER_MARKS) for kind in MarkKind}
        self._mark_steps: dict[MarkKind, NDArray[np.int64]] = {}
        """The steps of each kind's marks, until they change."""
        self._samples = Thinned[_Kept](NEWEST_SAMPLES, OLDER_SAMPLES)
        self._entries = Thinned[LogEntry](NEWEST_ENTRIES)
        self._end: Place | None = None
        self._leading: list[Placed] = []
        """Events at the lower end whose step is only told by what comes before them."""
        self._taken_back_after = math.inf
        self._taken_back_step = math.inf
        self.revision = 0
        """Rises whenever something was added."""

    def add(self, events: Iterable[Event] | Digest, *, older: bool = False) -> None:
        """Take in the next stretch of the log.

        Args:
            events: Events in the order of the log, or what `digested` made of them.
            older: Whether they come right before all that is known, not right after.
        """
        digest = events if isinstance(events, Digest) else digested(events, self.declared)
        self.declared = digest.declared
        told = [*digest.told]
        if older:
            told += [Placed(each.event, digest.end) for each in self._leading]
        if not older:
            self._take_back(digest.resumes)
            told = [Placed(each.event, each.place or self._end) for each in told]
        kept = self._kept_steps(digest, older=older)
        highest = int(digest.table.steps.max(initial=0))
        self._series.add(digest.table if kept.all() else digest.table.select(np.flatnonzero(kept)), highest)
        for mark in digest.nonfinite:
            self._add_mark(mark, digest.resumes, older=older)
        self._add_entries(told, older=older)
        start = Place(max(int(digest.table.steps[0]) - 1, 0) if len(digest.table) else 0, None)
        for each in told:
            self._add_told(each.event, each.place or start, digest.resumes, older=older)
        leading = [each for each in told if each.place is None]
        self._leading = leading if older else [*self._leading, *leading]
        if not older or self._end is None:
            self._end = digest.end or self._end
        self._taken_back_after = min([self._taken_back_after, *(r.supersedes for r in digest.resumes)])
        self._taken_back_step = min([self._taken_back_step, *(r.step for r in digest.resumes)])
        self.revision += 1

    @property
    def first_step(self) -> int:
        """The first step known; 0 before any is."""
        return self._series.first_step

    @property
    def last_step(self) -> int:
        """The last step known; 0 before any is."""
        return self._series.last_step

    @property
    def bytes(self) -> int:
        """Memory that the curves take."""
        return self._series.bytes

    def window(self, name: str, first: float, last: float, columns: int) -> Window:
        """Return a stretch of a series in columns; see `SeriesStore.window`."""
        return self._series.window(name, first, last, columns)

    def smoothed(self, name: str, window: Window, half_life: float) -> NDArray[np.float64]:
        """Return the exponential moving average in a window's columns; see `SeriesStore.smoothed`."""
        return self._series.smoothed(name, window, half_life)

    def curve(
        self, name: str, first: int, last: int, columns: int, half_life: float | None
    ) -> tuple[Window, NDArray[np.float64] | None]:
        """Return a stretch of a series as a chart draws it.

        Args:
            name: Dotted name of the number.
            first: The step of the first column.
            last: The step of the last column.
            columns: How many columns.
            half_life: Of the moving average in steps; None for none.

        Returns:
            Its columns, and its moving average in them.
        """
        window = self.window(name, first, last, columns)
        return window, None if half_life is None else self.smoothed(name, window, half_life)

    def recent(self, name: str, steps: int, columns: int) -> NDArray[np.float64]:
        """Return the means of a series over the last steps, for a sparkline.

        Args:
            name: Dotted name of the number.
            steps: How many steps to look back at most.
            columns: Values at most; fewer while there are fewer steps.

        Returns:
            NaN where no number was finite; empty before the first step.
        """
        if not self.last_step:
            return np.zeros(0)
        first = max(self.first_step, self.last_step - steps + 1)
        columns = min(columns, self.last_step - first + 1)
        return self._series.window(name, first, self.last_step, columns).mean

    def at(self, name: str, step: int) -> Window:
        """Return a series around a step as narrowly as it is still known, as a window of one column."""
        return self._series.at(name, step)

    def latest(self, name: str) -> float:
        """Return a number of the last step; NaN where it was not finite or there is none."""
        return self._series.latest(name)

    def clip_share(self, name: str, clip_norm: float, steps: int = CLIP_STEPS) -> float:
        """Return the share of the last steps whose gradient was clipped.

        Args:
            name: A component's norm, like `grad_norm.agent`.
            clip_norm: The largest norm that is let through.
            steps: How many steps to look at.

        Returns:
            0 to 1, of the steps whose norm was finite; NaN where there is none.
        """
        norms = self._series.steps(name, steps)
        known = norms[np.isfinite(norms)]
        return float(np.mean(known > clip_norm)) if len(known) else math.nan

    def marks(
        self, first: int | None = None, last: int | None = None, kinds: Sequence[MarkKind] = tuple(MarkKind)
    ) -> list[Mark]:
        """Return marks in the order of the log.

        Args:
            first: Only from this step on; None for all.
            last: Only up to this step; None for all.
            kinds: Only of these kinds.
        """
        low, high = first if first is not None else -math.inf, last if last is not None else math.inf
        found = [mark for kind in kinds for mark in self._marks[kind] if low <= mark.step <= high]
        return sorted(found, key=lambda mark: mark.seq)

    def mark_steps(self, first: int, last: int) -> dict[MarkKind, NDArray[np.int64]]:
        """Return the steps of the marks of each kind between two steps, in rising order."""
        found: dict[MarkKind, NDArray[np.int64]] = {}
        for kind, marks in self._marks.items():
            if kind not in self._mark_steps:
                self._mark_steps[kind] = np.sort(np.array([mark.step for mark in marks], np.int64))
            begin, end = np.searchsorted(self._mark_steps[kind], (first, last + 1))
            found[kind] = self._mark_steps[kind][begin:end]
        return found

    @property
    def sample_steps(self) -> list[int]:
        """Steps of the samples that are kept, oldest first."""
        return [kept.event.step for kept in self._samples]

    @property
    def last_sample(self) -> Sample | None:
        """The newest sample; None before the first."""
        return self._sample(len(self._samples) - 1)

    def sample_at(self, step: int) -> Sample | None:
        """Return the last sample at or before a step, the first one if all are later; None without any."""
        return self._sample(max(bisect.bisect_right(self.sample_steps, step) - 1, 0))

    def next_sample(self, step: int) -> Sample | None:
        """Return the first sample after a step; None if there is none."""
        return self._sample(bisect.bisect_right(self.sample_steps, step))

    def previous_sample(self, step: int) -> Sample | None:
        """Return the last sample before a step; None if there is none."""
        return self._sample(bisect.bisect_left(self.sample_steps, step) - 1)

    @property
    def entries(self) -> list[LogEntry]:
        """The newest lines of the log, oldest first."""
        return self._entries.items()

    def _sample(self, place: int) -> Sample | None:
        kept = self._samples.items()
        if not 0 <= place < len(kept):
            return None
        return sample_of(kept[place].event, safe_rule(kept[place].rule), self.declared)

    def _take_back(self, resumes: Sequence[Resume]) -> None:
        """Forget what resumes above all that is known take back of it."""
        for resume in resumes:
            self._series.truncate(resume.step)
            self._mark_steps.clear()
            for kind, marks in self._marks.items():
                marks.drop(lambda seq, mark, kind=kind, by=resume: _superseded(kind, seq, mark.step, by))
                if kind in _BETWEEN_STEPS:
                    marks.change(lambda mark, by=resume: _brought_back(mark, by.step))
            self._samples.drop(lambda seq, sample, by=resume: seq > by.supersedes)

    def _kept_steps(self, digest: Digest, *, older: bool) -> NDArray[np.bool_]:
        seqs = digest.table.seqs
        kept = np.ones(len(seqs), dtype=bool)
        if older:
            kept &= seqs <= self._taken_back_after
        for resume in digest.resumes:
            kept &= (seqs <= resume.supersedes) | (seqs > resume.seq)
        return kept

    def _counts(
        self, kind: MarkKind | None, seq: int, step: int, resumes: Sequence[Resume], older: bool
    ) -> bool:
        """Whether a mark, or a sample (None), has not been taken back."""
        if any(seq < resume.seq and _superseded(kind, seq, step, resume) for resume in resumes):
            return False
        known = Resume(0, self._taken_back_after, 0)
        if kind in (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED):
            return not (older and step > self._taken_back_step)
        return not (older and _superseded(kind, seq, step, known))

    def _add_mark(self, mark: Mark, resumes: Sequence[Resume], *, older: bool) -> None:
        if not self._counts(mark.kind, mark.seq, mark.step, resumes, older):
            return
        if mark.kind in _BETWEEN_STEPS:
            known = [resume.step for resume in resumes if mark.seq < resume.seq]
            mark = _brought_back(mark, min([*known, self._taken_back_step if older else math.inf]))
        self._marks[mark.kind].add(mark.seq, mark)
        self._mark_steps.pop(mark.kind, None)

    def _add_entries(self, told: Sequence[Placed], *, older: bool) -> None:
        if older and len(self._entries) >= NEWEST_ENTRIES:
            return
        for each in told:
            entry = entry_of(each.event, self.declared)
            if entry is not None:
                self._entries.add(entry.seq, entry)

    def _add_told(self, event: Event, place: Place, resumes: Sequence[Resume], *, older: bool) -> None:
        if isinstance(event, SampleEvent):
            if self._counts(None, event.seq, event.step, resumes, older):
                # The rule is that of the sample's own step.
                rule = place.rule if place.step == event.step else None
                self._samples.add(event.seq, _Kept(event, rule))
        elif (mark := mark_of(event, place.step)) is not None:
            self._add_mark(mark, resumes, older=older)


def _brought_back(mark: Mark, step: float) -> Mark:
    """Return a mark, at a step that the run was set back to if it stood after that."""
    return dataclasses.replace(mark, step=int(step)) if mark.step > step else mark


def _superseded(kind: MarkKind | None, seq: int, step: int, resume: Resume) -> bool:
    """Whether a resume takes back a mark, or a sample (None), that stands before it in the log."""
    if kind in (MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED):
        return step > resume.step
    return (kind is None or kind in _OF_A_STEP) and seq > resume.supersedes
