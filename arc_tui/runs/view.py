"""What a panel is given to draw: a run as it is known at one moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from arc_core.base.loose import number
from arc_core.run.declared import Declared
from arc_core.run.directory import stored_config
from arc_core.run.recipes import declaration_of
from arc_tui.runs.state import Phase, RunState

if TYPE_CHECKING:
    from arc_tui.runs.history import History


@dataclass(frozen=True)
class Facts:
    """What run.json says of a run; None where the training process has not noted it yet.

    Attributes:
        name: The run's name.
        config: Its configuration by name.
        batches_per_epoch: Batches of an epoch.
        total_steps: Steps of the whole run.
        checkpoint_bytes: Size of one checkpoint.
        summary: The plan in one sentence; empty before it is known.
        device: Where it trains.
        processes: That train it together.
        declared: What its steps and samples carry.
    """

    name: str
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    batches_per_epoch: int | None = None
    total_steps: int | None = None
    checkpoint_bytes: int | None = None
    summary: str = ""
    device: str | None = None
    processes: int | None = None
    declared: Declared = field(default_factory=lambda: declaration_of({}))

    @property
    def claims(self) -> Mapping[str, str]:
        """What the header says of it, by what it is, like `lm`."""
        return self.declared.claims

    @property
    def epochs(self) -> int | None:
        """Epochs of the run."""
        return _count(self.config.get("epochs"))

    @property
    def clip_norm(self) -> float:
        """Largest gradient norm of a component; NaN where the configuration does not say."""
        return number(self.config, "clip_norm")


def facts(name: str, run_json: Mapping[str, Any]) -> Facts:
    """Read what run.json says; anything of a wrong type counts as not noted."""
    plan: object = run_json.get("plan")
    known = cast("dict[str, object]", plan) if isinstance(plan, dict) else {}
    values = stored_config(run_json)
    device = known.get("device")
    return Facts(
        name,
        values,
        _count(known.get("batches_per_epoch")),
        _count(known.get("total_steps")),
        _count(known.get("checkpoint_bytes")),
        str(known.get("summary", "")),
        device if isinstance(device, str) else None,
        _count(known.get("processes")),
        declaration_of(run_json),
    )


@dataclass(frozen=True)
class RunView:
    """A run at one moment; everything in it is to be read only.

    Attributes:
        state: What its events add up to.
        history: Its numbers, samples, marks and log lines.
        now: Seconds since the epoch.
        alive: Whether a process trains it.
        replay: Whether a finished run is played as if live.
        facts: What run.json says.
        phase: What it is doing, with what was just asked of it taken into account.
        epoch_seconds: Until the epoch ends; NaN while that is not known.
        run_seconds: Until the run ends; NaN while that is not known.
        cursor: The step that the charts' cursor is at; None while they follow the newest.
        complete: Whether all of the log has been read.
        damaged: Lines of the log that were left out.
        gone: Whether the run has been deleted or moved.
    """

    state: RunState
    history: History
    now: float
    alive: bool
    replay: bool = False
    facts: Facts = Facts("")
    phase: Phase = Phase.STARTING
    epoch_seconds: float = math.nan
    run_seconds: float = math.nan
    cursor: int | None = None
    complete: bool = True
    damaged: int = 0
    gone: bool = False

    @property
    def declared(self) -> Declared:
        """What its steps and samples carry."""
        return self.facts.declared

    def latest(self, dotted: str) -> float:
        """Return a number of the last step by its dotted name; NaN where there is none."""
        return self.state.last_step.number(dotted) if self.state.last_step is not None else math.nan

    def count(self, dotted: str) -> int:
        """Return a count of the last step by its dotted name; 0 where there is none."""
        return self.state.last_step.count(dotted) if self.state.last_step is not None else 0


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
