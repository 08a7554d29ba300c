"""What pretraining the solver's agent can be told. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.base.errors import ConfigError
from arc_core.base.options import option
from arc_core.pipeline.config import AgentConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(AgentConfig):
    """What the recipe `solver` can be told."""

    agent_options: str | None = option(
        None, "Further settings of its agent, as in context_dim=32,encoder_blocks=2.", held=True
    )
    extra_data: str | None = option(
        None,
        "Generated pairs of the training tasks, a zip or folder laid out as RE-ARC's.",
        path=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validate_on == "evaluation":
            raise ConfigError(
                "validate_on evaluation is of the recipe pipeline: the recipe solver validates on pairs of "
                "its training tasks, or on none."
            )
