"""What the solver can be told: its architecture, and how it adapts to a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arc_core.base.options import CheckedOptions, Setting, Value, canonical, option, settings_of

ARCHITECTURE = (
    "width",
    "prompt_dim",
    "steps",
    "context_dim",
    "encoder_blocks",
)
"""The options that decide which weights there are; a weights file fixes them."""

RETIRED: dict[str, Value] = {
    "prompt": "learned",
    "blocks": "untied",
    "context": "pool",
    "fusion": "film",
    "deep_supervision": True,
    "adapt_optimizer": "adamw",
    "holdout": 0.0,
    "bidirectional": "off",
    "prompt_consistency": "off",
    "warm_up": "off",
    "rl_refinement": 0.0,
}
"""Options that docs/results.md could not tell from their defaults; docs/decisions.md has the figures."""

SWITCHED = {"bidirectional": "lambda_bi", "prompt_consistency": "lambda_prompt"}
"""Switches of earlier versions, and the weight of each, which counted only where it was on."""


@dataclass(frozen=True, kw_only=True)
class SolverConfig(CheckedOptions):
    """Everything that the solver can be told."""

    retired = RETIRED

    # Architecture
    width: int = option(64, "Channels of the planner.", low=8, high=1024)
    prompt_dim: int = option(128, "Width of the prompt.", low=8, high=1024)
    steps: int = option(5, "Planning steps.", low=1, high=64)
    context_dim: int = option(
        16, "Channels of the maxima of its row, its column and the grid that a cell sees.", low=1, high=256
    )
    encoder_blocks: int = option(1, "Blocks that read the input before it is planned on.", low=0, high=16)

    # Adaptation to a task
    adapt_lr: float = option(2e-3, "Highest learning rate of the adaptation to a task.", low=0, high=1)
    memory: int = option(
        3,
        "Pretrained tasks whose prompts, averaged, a task starts from: those that explain its demonstrations "
        "best; 0 averages them all.",
        low=0,
        high=1000,
    )
    weight_decay: float = option(0.01, "Weight decay of the adaptation.", low=0, high=10)
    ema: float = option(0.97, "Weight of the past in the averaged weights that predict.", low=0, high=0.9999)
    color_maps: int = option(
        2, "Namings of the colours among the views; one is the task's own alone.", low=1, high=64
    )
    symmetries: bool = option(True, "Adapt and predict under the eight symmetries of the square.")
    batch_cells: int = option(
        3000, "Output cells of a step, about: more views of a small task.", low=1, high=10**6
    )
    max_steps: int = option(2000, "Most steps of one task, whatever the budget.", low=1, high=10**6)
    start_steps: int = option(
        300,
        "Steps from which on a budget is divided among several starts of so many steps at least.",
        low=50,
        high=10**6,
    )
    max_starts: int = option(
        4,
        "Most starts of one task: the given weights, random ones, narrower ones, the given ones again.",
        low=1,
        high=16,
    )
    stop_loss: float = option(
        1e-2,
        "Loss below which a start whose demonstrations are right stops early, for another one to begin; "
        "0 stops none.",
        low=0,
        high=1,
    )
    snapshots: int = option(3, "Moments in the last part of the adaptation that vote.", low=1, high=20)
    amp: str = option(
        "auto",
        "Mixed precision; auto is bfloat16 where the hardware has it.",
        choices=("auto", "off", "bfloat16", "float16"),
    )

    # Its loss, the pipeline's; what the terms do is in docs/results.md
    lambda_risk: float = option(0.0, "Weight of KL(predicted colours, preferred colours).", low=0, high=1000)
    lambda_amb: float = option(0.0, "Weight of the ambiguity (entropy) term.", low=0, high=1000)
    lambda_step: float = option(0.0, "Weight of the penalty for each planning step.", low=0, high=1000)
    lambda_cons: float = option(1.0, "Weight of the cross-entropy with the target.", low=0, high=1000)
    lambda_bi: float = option(0.0, "Weight of the agreement of forward and backward plan.", low=0, high=1000)
    lambda_z: float = option(0.0, "Weight of the anchor on the task's colour frequencies.", low=0, high=1000)
    lambda_prompt: float = option(0.0, "Weight of the prompt consistency.", low=0, high=1000)
    lambda_size: float = option(0.1, "Weight of the size term.", low=0, high=1000)
    hard_cell_gain: float = option(
        0.0, "How much more a wrong cell weighs: (1 + gain * wrong); 0 weighs all alike.", low=0, high=1000
    )
    backward: str = option(
        "planner",
        "The backward plan: a planner of its own, or the forward one flipped as in the seed.",
        choices=("planner", "flip"),
    )

    @classmethod
    def checked(cls, values: Mapping[str, object], *, text: bool = False) -> dict[str, Value]:
        """Return values under their one spelling, each checked, without the weights of what was switched off.

        Args:
            values: Settings in either spelling.
            text: Whether a string stands for the value it spells, as on the command line.

        Raises:
            ConfigError: As of any configuration.
        """
        off = {SWITCHED.get(canonical(key)) for key in values}
        return super().checked({key: v for key, v in values.items() if canonical(key) not in off}, text=text)

    def starts(self, steps: int) -> int:
        """Starts that a budget of so many steps is divided among."""
        return max(1, min(self.max_starts, steps // self.start_steps))

    def most_steps(self, starts: int) -> int:
        """The most steps that are divided among so many starts."""
        return self.max_steps if starts == self.max_starts else (starts + 1) * self.start_steps - 1

    def architecture(self) -> dict[str, Value]:
        """Return the settings that decide which weights there are."""
        return {name: getattr(self, name) for name in ARCHITECTURE}


def settings() -> dict[str, Setting]:
    """List every setting by name."""
    return settings_of(SolverConfig)
