"""Which pairs an epoch has been trained on, so that each is trained once whatever becomes of its plan.

A plan of batches follows from the settings: with another batch size on resuming it is another plan, and a
place in the old one means nothing in it. What was trained means the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.form import require_form
from arc_core.run.checkpoint_index import STATE

PairKey = tuple[str, int]
"""A task's id, and the 0-based place of a pair among its pairs."""


@dataclass
class TrainedPairs:
    """The pairs that an epoch has been trained on.

    Attributes:
        before: Under plans that are followed no more.
        since: Under the present plan, which leaves out those before.
    """

    before: set[PairKey] = field(default_factory=set)
    since: set[PairKey] = field(default_factory=set)

    def replan(self) -> None:
        """Begin a plan of what is left."""
        self.before, self.since = self.before | self.since, set()

    def followed(self, plan: Sequence[Iterable[PairKey]]) -> int | None:
        """How many batches of a plan have been trained; None if something else was."""
        seen: set[PairKey] = set()
        for count, batch in enumerate(plan):
            if len(seen) >= len(self.since):
                return count if seen == self.since else None
            seen.update(batch)
        return len(plan) if seen == self.since else None

    def state(self) -> dict[str, Any]:
        """For a checkpoint: each task with its pairs before and since, as hexadecimal bits by place."""
        bits: dict[str, list[int]] = {}
        for place, keys in enumerate((self.before, self.since)):
            for task, pair in keys:
                bits.setdefault(task, [0, 0])[place] |= 1 << pair
        return {
            "pairs": len(self.before) + len(self.since),
            "tasks": {task: [f"{part:x}" for part in parts] for task, parts in sorted(bits.items())},
        }

    @classmethod
    def restored(cls, state: object) -> TrainedPairs:
        """From a checkpoint.

        Raises:
            CheckpointError: If anything is missing or of another kind.
        """
        require_form(state, {"pairs": 0, "tasks": {}}, STATE, "trained")
        saved = cast("dict[str, Any]", state)
        tasks: Mapping[str, object] = saved["tasks"]
        require_form(tasks, {task: ["", ""] for task in tasks}, STATE, "trained.tasks")
        try:
            sets = [
                {(task, pair) for task, parts in tasks.items() for pair in _places(cast("Any", parts)[part])}
                for part in (0, 1)
            ]
        except ValueError as error:
            raise CheckpointError(f"{STATE}: trained.tasks is damaged: {error}") from None
        if len(sets[0]) + len(sets[1]) != saved["pairs"]:
            raise CheckpointError(
                f"{STATE}: trained.tasks does not hold the {saved['pairs']} pairs it should"
            )
        return cls(*sets)


def _places(bits: str) -> list[int]:
    number = int(bits, 16)
    if number < 0:
        raise ValueError(f"{bits} is below 0")
    return [place for place in range(number.bit_length()) if number >> place & 1]
