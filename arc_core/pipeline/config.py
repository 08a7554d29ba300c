"""What the seed's pipeline can be told. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.base.errors import ConfigError
from arc_core.base.options import Value, option
from arc_core.run.config import TrainConfig

CANVAS, SEED = PLANNERS = ("canvas", "seed")
"""How an agent plans: on the output's canvas, or literally as the seed does."""


FRESH = "fresh"
"""Validates on generated pairs."""

RETIRED: dict[str, Value] = {"agent_options": None}
"""What the recipe `solver`, which this one now is, could be told: earlier versions kept it with every run."""


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(TrainConfig):
    """What the recipe `pipeline` can be told.

    The memory learns at twice the rate `agent_lr` and the EFE loss at half of it; the language model and the
    prompt learn at `qwen_lr`.
    """

    retired = RETIRED

    # On what, how fast
    groups: str | None = option(
        None,
        "Only the tasks in these folders of the dataset, such as ConceptARC's concepts: AboveBelow,Center.",
    )
    extra_data: str | None = option(
        None,
        "Generated pairs of the training tasks, a zip or folder laid out as RE-ARC's.",
        path=True,
    )
    keep_away: bool = option(
        False,
        "Train on no task that is held out, of an evaluation split, or shares a pair with one of these; and "
        "on the test pairs of all others too.",
    )
    validate_on: str = option(
        "training",
        "The tasks whose test inputs are validated on; fresh takes generated pairs that are not trained on.",
        choices=("training", "evaluation", FRESH, "none"),
    )
    augment: bool = option(True, "Turn, mirror and recolour each task, anew in every epoch.")
    small_cells: int | None = option(
        None,
        "Train only on pairs whose grids have at most this many cells (overfit studies).",
        low=1,
        high=900,
    )
    qwen_lr: float = option(1e-4, "Learning rate of the language model.", low=0, high=1)
    policy_lr: float = option(5e-5, "Learning rate of the RL policy, which has its own Adam.", low=0, high=1)
    accumulate: int = option(
        1,
        "Parts of batch_size pairs that a step is computed in, one after the other, in the memory of one: "
        "4 parts of 8 learn what a batch of 32 does.",
        low=1,
        high=65_536,
    )
    compile: bool = option(
        False, "Compile planners, loss and language model with torch, all grids on one canvas; for GPUs."
    )
    max_context: int = option(6, "Most demonstration pairs shown to the prompt.", low=1, high=100)
    max_pairs: int | None = option(None, "Train only on the first so many pairs.", low=1, high=10**9)

    # Language model
    lm: str = option(
        "tiny",
        "tiny, smollm2, a Hugging Face name, or a local folder.",
        path=True,
        names=("tiny", "smollm2"),
        held=True,
    )
    lm_train: str = option(
        "full",
        "What of the language model learns: all, LoRA adapters, none.",
        choices=("full", "lora", "frozen"),
        held=True,
    )
    lm_dtype: str = option("float32", "Number type of its weights.", choices=("float32", "bfloat16"))
    lm_recompute: bool = option(
        False, "Compute the language model's activations again in the backward pass instead of keeping them."
    )
    lm_sharding: str = option(
        "none",
        "Whether each of several processes holds all of the language model, or with full a part of its "
        "weights, gradients and moments; then batches come in one part.",
        choices=("none", "full"),
    )
    control_weight: float = option(
        0.5, "Share of the numeric features beside the rule text in the prompt.", low=0, high=1
    )

    # Models
    hidden_dim: int = option(256, "Width of the agent.", low=2, high=8192, held=True)
    prompt_dim: int = option(256, "Width of the prompt embedding.", low=2, high=8192, held=True)
    max_steps: int = option(5, "Planning steps, each with a head of its own.", low=1, high=64, held=True)
    planner: str = option(
        SEED,
        "How the agent plans: canvas lays the output's canvas over the input, and each task has a learned "
        "prompt of its own; seed plans on the input's grid, which is resized.",
        choices=PLANNERS,
        held=True,
    )
    vector_dropout: float = option(
        0.1,
        "Share of the pairs whose task's own prompt is left out, so that what is read of a task alone is "
        "followed too. For planner canvas.",
        low=0,
        high=1,
    )
    ema: float = option(
        0.0,
        "Weight of the past in averages of agent and tasks' prompts, which validations, solve and exports "
        "use; 0 for none. For planner canvas.",
        low=0,
        high=0.9999,
        held=True,
    )
    policy_pairs: int = option(
        4, "Pairs of a batch on which the policy tries its actions. For planner canvas.", low=1, high=65_536
    )
    policy_draws: int = option(
        3, "Actions tried for each of these pairs, to be held against each other.", low=2, high=64
    )
    judged_draws: int = option(
        0,
        "Actions of the policy, beside its mean and none, that a test input's demonstrations judge, each "
        "answered from the others; 0 takes the mean unjudged. For planner canvas.",
        low=0,
        high=64,
    )
    answer_views: int = option(
        1,
        "Symmetries of a test input whose mean is its answer; 1 is the input as it is. For planner canvas.",
        low=1,
        high=8,
    )
    memory: bool = option(True, "Store solved pairs and let them feed the prompts of other tasks.")
    memory_capacity: int = option(1024, "Most pairs that the memory keeps.", low=1, high=10**7, held=True)
    refine: bool = option(True, "Let the RL policy refine the prompt.")

    # Loss
    lambda_risk: float = option(1.0, "Weight of KL(predicted colours, preferred colours).", low=0, high=1000)
    lambda_amb: float = option(0.0, "Weight of the ambiguity (entropy) term.", low=0, high=1000)
    lambda_step: float = option(0.1, "Weight of the penalty for each planning step.", low=0, high=1000)
    lambda_cons: float = option(1.0, "Weight of the cross-entropy with the target.", low=0, high=1000)
    lambda_bi: float = option(0.5, "Weight of the agreement of forward and backward plan.", low=0, high=1000)
    lambda_z: float = option(0.2, "Weight of the anchor on the stored colour frequencies.", low=0, high=1000)
    lambda_prompt: float = option(0.3, "Weight of the prompt consistency.", low=0, high=1000)
    lambda_size: float = option(1.0, "Weight of the size term, before its warm-up.", low=0, high=1000)
    size_warmup: bool = option(
        True,
        "Weigh the size term fully at first and by half from the fourth epoch on; off is half throughout.",
    )
    reward_weight: float = option(
        0.3, "The reward's share w of the loss: (1 - w) * efe_total - w * reward.", low=0, high=1
    )
    hard_cell_gain: float = option(
        4.0, "How much more a wrong cell weighs: (1 + gain * wrong); 0 weighs all alike.", low=0, high=1000
    )
    backward: str = option(
        "planner",
        "The backward plan: a planner of its own, or the forward one flipped as in the seed (no d_rev).",
        choices=("planner", "flip"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_away and self.validate_on not in (FRESH, "none"):
            raise ConfigError(
                f"validate_on is {self.validate_on}, but must be fresh or none with keep_away: test pairs of "
                "training tasks are trained on then, and those of evaluation tasks are kept for evaluations."
            )
