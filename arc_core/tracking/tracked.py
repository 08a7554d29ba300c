"""A run whose loop is not ours, with its checkpoints and its passes over the batches."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar, cast

from arc_core.base.errors import TrackError
from arc_core.base.signals import ENDING
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.checkpoints.snapshot import restore_rng
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.tracking.kept import Kept
from arc_core.tracking.opening import plan_of, restored
from arc_core.tracking.passes import items_of, pass_over, random_state, restore_random_state
from arc_core.tracking.telling import ToldRun
from arc_core.training.resuming import checkpoint_to_resume
from arc_core.training.saving import Saver

T = TypeVar("T")


class TrackedRun(ToldRun):
    """A run whose loop is not ours. `arc_core.track` makes one; use it as a context.

    No thread of this process other than the caller's touches the caller's tensors: they are copied for a
    checkpoint at a step boundary, while the loop waits, and a thread writes the copies. Where memory is too
    small for copies, the loop waits until they are written.
    """

    _saver: Saver | None = None
    _passes_asked = 0
    _broken_off = False
    """Whether the loop left its last pass before its end."""

    def stop_on_signals(self) -> None:
        """Let SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 end the run at the next step boundary.

        Raises:
            TrackError: Outside the main thread, where Python takes no handlers.
        """
        try:
            for number in ENDING:
                before = signal.signal(number, self._on_signal)
                self._opened.held.callback(signal.signal, number, before)
        except ValueError:
            raise TrackError("signals can be obeyed only where track is called by the main thread.") from None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop_asked = self._stop_asked or "stopped by a signal"

    def saves(
        self,
        *,
        state: Callable[[], object] | None = None,
        restore: Callable[[Any], object] | None = None,
        **given: object,
    ) -> None:
        """Say what checkpoints hold, before the first step; a resumed run is put back into it.

        Args:
            state: Gives a state of your own that JSON can hold.
            restore: Takes it back.
            given: By the name in the checkpoint: modules, their optimizers, and what has a `state_dict` that
                JSON can hold, such as a scheduler.

        Raises:
            TrackError: If something given cannot be kept, or it is too late.
            CheckpointError: If the checkpoint to go on from does not fit; names what.
            RunError: If it was trained with another number of threads.
        """
        if self._control is not None or self._saver is not None:
            raise TrackError("saves is called once, before the first step.")
        kept = Kept(given, self.settings, state, restore)
        self._persistence = CheckpointFolder(self._run.checkpoints, keep=self._options.keep_checkpoints)
        self._persistence.clean()
        path = None if self._opened.new else checkpoint_to_resume(self._run, self._warn)
        held = None
        if path is not None:
            asked = self._options.threads is not None
            self._start = restored(self._run, path, kept, self._threads, asked, self._warn)
            self._persistence.link_from(path)
            held = self._start.progress.position
            self._told = self._start.progress.step
        self._kept = kept
        self._follow_declared()
        self._saver = Saver(self._persistence, kept, self._events, self._threads, self._warn, held)

    def steps(self, batches: Iterable[T], epochs: int = 1) -> Iterator[tuple[int, T]]:
        """Go through the batches, each with the number of its step, from 1.

        Between two batches commands are obeyed: it stands still while paused, saves checkpoints, and ends
        when the run is to stop. A resumed run passes over what has been trained. Called again, it goes on
        with the next passes. A batch that the loop breaks out of counts as trained.

        Args:
            batches: A loader or whatever can be gone through once a pass.
            epochs: Passes.

        Raises:
            TrackError: If the batches cannot be gone through so often, or are fewer than have been trained.
        """
        if epochs > 1 and iter(batches) is batches:
            raise TrackError("The batches can be gone through once alone: give a loader, or epochs=1.")
        progress = self._start.progress
        first, self._passes_asked = self._passes_asked, self._passes_asked + epochs
        self._began()
        self._note_plan(_length(batches))
        if self._broken_off:
            self._end_epoch()
            self._broken_off = False
        if self._passes_asked <= progress.epoch:
            self._catching_up = self._passes_asked < progress.epoch or progress.batch > 0
        while max(progress.epoch, first) < self._passes_asked and self._at_boundary():
            yield from self._pass(batches)

    def _pass(self, batches: Iterable[T]) -> Iterator[tuple[int, T]]:
        progress, kept = self._start.progress, self._kept
        (then, begun), self._start.random = self._start.random, ({}, {})
        if begun:
            restore_random_state(batches, begun)
        kept.pass_state = begun or random_state(batches)
        left, length = iter(batches), _length(batches)
        pass_over(left, progress.batch)
        if then and progress.batch:
            restore_rng(then)
        self._catching_up = False
        for batch in left:
            progress.step += 1
            self._items += items_of(batch)
            self._walking = self._broken_off = True
            yield progress.step, batch
            self._walking = self._broken_off = False
            progress.batch += 1
            if progress.batch != length and not self.keeps_going():
                return
        self._end_epoch()
        kept.pass_state = random_state(batches)
        self._save("epoch")

    def _note_plan(self, batches: int | None) -> None:
        """Note in run.json how much lies ahead, where that is known."""
        if batches is None:
            return
        epochs = self.settings.get("epochs")
        passes = max(self._passes_asked, epochs if type(epochs) is int else 0)
        plan = plan_of(batches, batches * passes, self._threads, self._kept.parameters)
        if plan != self._run.read().get("plan"):
            self._run.update(plan=plan)

    def keeps_going(self) -> bool:
        """Save what is due at a step boundary, obey commands, and stand still while paused.

        Returns:
            False when the run is to end, its state saved. A loop that cannot go through `steps` asks this
            between two batches.
        """
        if self._saver is not None and self._saver.is_due(self._start.progress):
            self._save("interval")
        return self._at_boundary()

    def _at_boundary(self) -> bool:
        if self._best_is_due:
            self._save("interval")
        goes_on = super().keeps_going()
        if not goes_on:
            self._save_unless_held("stop")
        return goes_on

    @property
    def _saves(self) -> bool:
        return self._saver is not None

    def _save(self, reason: str) -> None:
        if self._saver is not None:
            self._saver.save(self._start.progress, self._pace, reason, best=self._best_is_due)
        self._best_is_due = False

    def _save_unless_held(self, reason: str) -> None:
        saver, progress = self._saver, self._start.progress
        if saver is not None and progress.step and (self._best_is_due or not saver.holds(progress)):
            self._save(reason)

    def _mark_best(self) -> None:
        if self._saver is not None and self._saver.holds(self._start.progress):
            self._persistence.mark_best(list_checkpoints(self._run.checkpoints)[-1])
            self._best_is_due = False

    def _save_last(self, *, worth: bool) -> None:
        if self._saver is None:
            return
        try:
            if worth:
                self._save_unless_held("epoch")
        finally:
            self._saver.close()


def _length(batches: object) -> int | None:
    """Return how many batches there are; None where they do not say."""
    try:
        return len(cast(Any, batches))
    except TypeError:
        return None
