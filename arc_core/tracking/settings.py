"""What a loop of one's own is tracked with: a few options of ours, and settings of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from arc_core.base.errors import TrackError
from arc_core.base.options import CheckedOptions, Value, option, settings_of
from arc_core.base.text import is_printable, printable
from arc_core.run.commands import INTERVALS, changeable

RATE_OF_ALL = ("lr", "agent_lr")
"""Settings that mean the rate of the optimizers themselves, where they are known."""


@dataclass(frozen=True, kw_only=True)
class TrackOptions(CheckedOptions):
    """How a loop of one's own is told and saved."""

    threads: int | None = option(
        None, "Threads of torch on the CPU; none leaves it to torch.", low=1, high=1024
    )
    sample_every: int = option(10, "Calls of log between the grids shown as samples.", low=1, high=10**9)
    checkpoint_every: int = option(50, "Steps between checkpoints.", low=1, high=10**9)
    checkpoint_minutes: float | None = option(
        None, "Minutes between checkpoints, instead of steps; none counts steps.", low=1e-3, high=1e6
    )
    keep_checkpoints: int = option(5, "Newest checkpoints kept, beside the best.", low=1, high=10_000)


def checked_config(config: Mapping[str, object]) -> dict[str, Value]:
    """Check the settings of a loop as run.json will hold them.

    Raises:
        TrackError: If a name is none or taken, or a value is no JSON scalar; names it.
    """
    found: dict[str, Value] = {}
    for name, value in config.items():
        shown = printable(str(name), 60)
        if not isinstance(name, str) or not name or not is_printable(name):
            raise TrackError(f"A setting of the config is called {shown!r}, which is no name.")
        if name == "recipe" or name in settings_of(TrackOptions):
            what = "what a run is of" if name == "recipe" else "an argument of track"
            raise TrackError(f"The config has a setting {shown}, but that is {what}: take another name.")
        if not (value is None or isinstance(value, bool | int | float | str)) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            raise TrackError(
                f"The setting {shown} of the config is {printable(repr(value), 60)}, but must be a text, a "
                "finite number, a truth value or None."
            )
        found[name] = value
    return found


class LiveSettings(Mapping[str, Value]):
    """The settings of a loop as they are now; its learning rates may be set from outside while it trains."""

    def __init__(self, config: Mapping[str, Value]) -> None:
        self._values = dict(config)
        self._rates = changeable(config).keys() - set(INTERVALS)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def rates(self) -> dict[str, float]:
        """Those that are learning rates."""
        return {name: cast(float, self._values[name]) for name in sorted(self._rates)}

    def set_rate(self, name: str, rate: float) -> float:
        """Set a learning rate, and return how much larger it is than before; NaN if it was 0."""
        before = cast(float, self._values[name])
        self._values[name] = rate
        return rate / before if before else math.nan
