"""Which of a run's checkpoints and events still count, after it was sent back to an older checkpoint.

`--checkpoint ID` lets a run go on from an older state. The newer checkpoints stay on the disk until they
are pruned, but a later resume must not take them, nor the settings made after the one gone back to. What
was given up is noted in run.json, which is replaced whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import RunError
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints
from arc_core.run.config import TrainConfig
from arc_core.run.directory import RunDirectory

GO_ON_FROM = "go_on_from"
"""Entry of run.json: the checkpoint that the next process was asked to go on from; gone once it has."""

GIVEN_UP = "given_up"
"""Entry of run.json: a list of `checkpoints` and `seqs`, each the first and last that no longer count."""


@dataclass(frozen=True)
class Timeline:
    """What run.json says of a run's course.

    Attributes:
        go_on_from: Checkpoint that the next process must take; None lets it take the newest.
        checkpoints: Inclusive ranges of ids that were given up.
        seqs: Inclusive ranges of event numbers that were given up.
    """

    go_on_from: int | None = None
    checkpoints: tuple[range, ...] = ()
    seqs: tuple[range, ...] = ()

    @classmethod
    def of(cls, run: RunDirectory) -> Timeline:
        """Read a run's timeline.

        Raises:
            RunError: If run.json holds something else in its place.
        """
        content = run.read()
        try:
            asked = content.get(GO_ON_FROM)
            given_up = cast("list[dict[str, Any]]", content.get(GIVEN_UP, []))
            return cls(
                None if asked is None else int(asked),
                tuple(_inclusive(entry["checkpoints"]) for entry in given_up),
                tuple(_inclusive(entry["seqs"]) for entry in given_up),
            )
        except (KeyError, TypeError, ValueError):
            raise RunError(
                f"{run.run_json} is damaged: {GO_ON_FROM} or {GIVEN_UP} is not as written"
            ) from None

    def given_up_checkpoints(self, directory: Path) -> set[int]:
        """Ids on the disk that no longer count."""
        found = {checkpoint_id(path) for path in list_checkpoints(directory)}
        return {number for number in found if any(number in gone for gone in self.checkpoints)}

    def is_given_up(self, seq: int) -> bool:
        """Whether an event was taken back by going to an older checkpoint."""
        return any(seq in gone for gone in self.seqs)


def give_up_what_follows(run: RunDirectory, taken: Path, last_that_counts: int, last_seq: int) -> None:
    """Note that a run goes on from a checkpoint that it was asked to take; nothing to note otherwise.

    Args:
        run: The run, whose lock is held.
        taken: The checkpoint.
        last_that_counts: Number of the last event before the checkpoint.
        last_seq: Number of the last event now.
    """
    content = run.read()
    if content.pop(GO_ON_FROM, None) is None:
        return
    number = checkpoint_id(taken)
    newer = [n for path in list_checkpoints(run.checkpoints) if (n := checkpoint_id(path)) > number]
    if newer or last_seq > last_that_counts:
        entry = {
            "checkpoints": [number + 1, max(newer, default=number)],
            "seqs": [last_that_counts + 1, last_seq],
        }
        content[GIVEN_UP] = [*content.get(GIVEN_UP, []), entry]
    run.write(content)


def settings_then(run: RunDirectory, config: TrainConfig, last_seq: int) -> TrainConfig:
    """The settings of a run at the event `last_seq`: those of now without what was given after it.

    What commands have set is not among them.
    """
    values = config.to_dict()
    changes: object = run.read().get("changes", [])
    for change in reversed(cast("list[object]", changes) if isinstance(changes, list) else []):
        match change:
            case {"key": str() as key, "old": old, "seq": int() as seq} if key in values and seq > last_seq:
                values[key] = old
            case _:
                pass
    return type(config).from_mapping(values)


def _inclusive(ends: list[int]) -> range:
    first, last = ends
    return range(int(first), int(last) + 1)
