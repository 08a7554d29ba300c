"""What the solver can be told: its architecture, and how it adapts to a task."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.base.options import CheckedOptions, Setting, Value, option, settings_of

ARCHITECTURE = (
    "width",
    "prompt_dim",
    "prompt",
    "steps",
    "context_dim",
    "encoder_blocks",
)
"""The options that decide which weights there are; a weights file fixes them."""

RETIRED: dict[str, Value] = {
    "blocks": "untied",
    "context": "pool",
    "fusion": "film",
    "deep_supervision": True,
    "adapt_optimizer": "adamw",
    "holdout": 0.0,
}
"""Options that docs/results.md could not tell from their defaults; docs/decisions.md has the figures."""


@dataclass(frozen=True, kw_only=True)
class SolverConfig(CheckedOptions):
    """Everything that the solver can be told."""

    retired = RETIRED

    # Architecture
    width: int = option(64, "Channels of the planner.", low=8, high=1024)
    prompt_dim: int = option(128, "Width of the prompt.", low=8, high=1024)
    prompt: str = option(
        "learned",
        "Where a task's prompt comes from: learned for each task and view, or read from its demonstrations "
        "with a learned shift.",
        choices=("learned", "demonstrations"),
    )
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
        "best; 0 averages them all. With a learned prompt alone.",
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

    # Terms of the EFE loss and fixes of the seed; what they do is in docs/results.md
    lambda_risk: float = option(0.0, "Weight of KL(predicted colours, preferred colours).", low=0, high=1000)
    lambda_amb: float = option(0.0, "Weight of the ambiguity (entropy) of the plans.", low=0, high=1000)
    lambda_step: float = option(
        0.0, "Price of each planning step at which a cell is not right yet.", low=0, high=1000
    )
    bidirectional: str = option(
        "off",
        "What the plan is to agree with: a backward planner's way from the output to the input, the plan "
        "itself flipped as in the seed, or nothing.",
        choices=("off", "planner", "flip"),
    )
    lambda_bi: float = option(0.5, "Weight of that agreement, where there is one.", low=0, high=1000)
    lambda_z: float = option(
        0.0, "Weight that keeps the prompt near its start, and preferences near the task's.", low=0, high=1000
    )
    prompt_consistency: str = option(
        "off",
        "What a pair's prompt is to be near: its own outcome, or nothing.",
        choices=("off", "outcome"),
    )
    lambda_prompt: float = option(0.3, "Weight of that nearness, where it is asked for.", low=0, high=1000)
    hard_cell_gain: float = option(
        0.0, "How much more a wrong cell counts; 0 weighs all alike.", low=0, high=1000
    )
    warm_up: str = option(
        "off",
        "What comes first: the sizes' loss, as in the seed, or nothing.",
        choices=("off", "size"),
    )
    rl_refinement: float = option(
        0.0,
        "Share of the steps in which, after the adaptation, a policy refines the prompt by its reward.",
        low=0,
        high=0.9,
    )

    @property
    def reads_prompt(self) -> bool:
        """Whether the prompt is read from the demonstrations, which must then be there to be read."""
        return self.prompt == "demonstrations"

    @property
    def needs_context(self) -> bool:
        """Whether the prompt or a policy reads the demonstrations beside a test input that is answered."""
        return self.reads_prompt or self.rl_refinement > 0

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
