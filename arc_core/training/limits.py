"""Limits that end a run before its epochs are trained: minutes, and validations without a new best."""

from __future__ import annotations

from arc_core.base.errors import ConfigError
from arc_core.run.config import TrainConfig
from arc_core.training.progress import Progress


def refuse_unmeasured(config: TrainConfig, *, validates: bool) -> None:
    """Refuse a limit that could never be reached.

    Raises:
        ConfigError: If patience is to count validations where there are none.
    """
    if config.patience is not None and not validates:
        raise ConfigError(
            "patience counts validations, and this run has none: leave it out, or choose what to validate "
            "on by validate_on."
        )


def limit_reached(config: TrainConfig, progress: Progress, elapsed_seconds: float) -> str | None:
    """Say why a run is to end at a step boundary; None while it is not, and where all is trained anyway."""
    if progress.epoch + progress.epoch_told >= config.epochs:
        return None
    if config.max_minutes is not None and elapsed_seconds >= 60 * config.max_minutes:
        return f"stopped after {config.max_minutes:g} minutes of training (max_minutes)"
    if config.patience is not None and progress.without_best >= config.patience:
        what = "a validation" if config.patience == 1 else f"{progress.without_best} validations"
        return f"stopped after {what} without a new best (patience)"
    return None
