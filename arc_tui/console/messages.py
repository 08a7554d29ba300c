"""What is told within the console by threads that must not touch a widget."""

from __future__ import annotations

from textual.message import Message

from arc_tui.console.machine import MachineSample
from arc_tui.runs.feed import Arrival


class BatchArrived(Message):
    """The feed has read more of a run.

    Attributes:
        batch: What is new.
        generation: Which feed it comes from; one from a feed that was left since is ignored.
    """

    def __init__(self, batch: Arrival, generation: int) -> None:
        super().__init__()
        self.batch = batch
        self.generation = generation


class MachineSampled(Message):
    """The machine was looked at."""

    def __init__(self, sample: MachineSample) -> None:
        super().__init__()
        self.sample = sample
