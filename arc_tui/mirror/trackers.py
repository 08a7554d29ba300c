"""What a mirror asks of a tracker, and which trackers there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from arc_core.base.errors import ConfigError
from arc_core.base.extras import require
from arc_core.base.text import printable

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    from arc_core.run.directory import RunDirectory

PACKAGES = {"tensorboard": "tensorboardX", "trackio": "trackio", "wandb": "wandb"}
"""The package that each tracker needs; an extra of the tracker's name installs it."""


@dataclass(frozen=True)
class TrackedRow:
    """What goes to a tracker for one event.

    Attributes:
        step: The step that it belongs to; rows come in the order of their steps.
        time: When, in seconds since the epoch; NaN where it is not known.
        numbers: By their names in the tracker, groups parted by slashes.
        picture: Grids as pixels, height x width x 3; None for an event without grids.
        caption: What the picture shows.
    """

    step: int
    time: float
    numbers: Mapping[str, float]
    picture: NDArray[uint8] | None = None
    caption: str = ""


@dataclass(frozen=True)
class Description:
    """What a tracker says of the run itself: its settings, and its notes as one text."""

    config: Mapping[str, object]
    notes: str


class Tracker(Protocol):
    """A run in a tracker. What its library raises for want of a folder or an account is a RunError here."""

    def begin(self, step: int, described: Description) -> int:
        """Open the run, or go back in it: what it holds of this step and later ones is gone afterwards.

        Returns:
            The step from which it needs the rows: this one, or 0 where it cannot go back.
        """
        ...

    def write(self, row: TrackedRow) -> None:
        """Take a row."""
        ...

    def note(self, text: str, step: int) -> None:
        """Take the notes, which have changed."""
        ...

    def settle(self) -> None:
        """Wait until the rows so far outlive this process."""
        ...

    def close(self) -> None:
        """End."""
        ...


def names_in(text: str) -> tuple[str, ...]:
    """Read names of trackers, parted by commas; each must be known and installed.

    Raises:
        ConfigError: If one is not, names it and what to do.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in PACKAGES:
            raise ConfigError(
                f'"{printable(name, 40)}" is no tracker that a run can be mirrored to; there are '
                f"{', '.join(PACKAGES)}, several parted by commas."
            )
        require(f"Mirroring to {name}", name, [PACKAGES[name], "PIL"])
    return names


def open_tracker(name: str, run: RunDirectory) -> Tracker:
    """Return a run's place in a tracker; nothing is written yet."""
    if name == "tensorboard":
        from arc_tui.mirror.tensorboard import TensorBoard

        return TensorBoard(run)
    if name == "trackio":
        from arc_tui.mirror.trackio import Trackio

        return Trackio(run)
    from arc_tui.mirror.wandb import Wandb

    return Wandb(run)
