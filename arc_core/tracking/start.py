"""`arc_core.track`: the door for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from arc_core.run.declared import Declared
from arc_core.tracking.opening import open_tracked
from arc_core.tracking.settings import LiveSettings, TrackOptions, checked_config
from arc_core.tracking.tracked import TrackedRun


def track(
    name: str | None = None,
    config: Mapping[str, object] | None = None,
    *,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    declared: Declared | None = None,
    threads: int | None = None,
    sample_every: int = 10,
    checkpoint_every: int = 50,
    checkpoint_minutes: float | None = None,
    keep_checkpoints: int = 5,
    signals: bool = False,
) -> TrackedRun:
    """Tell a training loop of your own as a run, which every command and console of arc-tui knows.

    Args:
        name: The run's name; None names it after the time.
        config: Its settings, any JSON scalars. Those called `lr` or `..._lr` can be set while it trains:
            read them from `settings` of what is returned. One called `lr` or `agent_lr` also moves the
            optimizers and schedulers given to `saves`, in proportion.
        runs_dir: The folder of runs.
        resume: Whether a run of that name goes on, if there is one, from its newest checkpoint.
        declared: What its steps carry; anything else is refused then. None takes names as they come.
        threads: Of torch; None leaves that, and a resume with another number is refused.
        sample_every: Calls of `log` between the grids shown.
        checkpoint_every: Steps between checkpoints.
        checkpoint_minutes: Minutes between them, instead of steps.
        keep_checkpoints: Newest ones kept, beside the best.
        signals: Whether SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 end the run at a step boundary; your own
            handlers stay otherwise.

    Returns:
        The run, its lock held: use it as a context.

    Raises:
        ArcError: If something given is refused, or the run is taken or in use.
    """
    options = TrackOptions(
        threads=threads,
        sample_every=sample_every,
        checkpoint_every=checkpoint_every,
        checkpoint_minutes=checkpoint_minutes,
        keep_checkpoints=keep_checkpoints,
    )
    own = checked_config(config or {})
    opened = open_tracked(runs_dir, name, {**options.to_dict(), **own}, resume)
    run = TrackedRun(opened, options, LiveSettings(own), declared)
    if signals:
        run.stop_on_signals()
    return run
