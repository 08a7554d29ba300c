"""Phase 1: the configuration, typed, checked and explained.

Every option is a field of `TrainConfig` or of the class of one recipe that is made from it, and a key of the
config file under its own name.
"""

from __future__ import annotations

from dataclasses import dataclass

from arc_core.base.options import CheckedOptions, Setting, option, settings_of
from arc_core.run.presets import PIPELINE, PRESETS

LAUNCH_OPTIONS = (
    *("preset", "name", "runs_dir", "headless", "detach", "prepare", "mirror"),
    *("resume", "checkpoint", "branch"),
)
"""Options that say how a run is started rather than what it computes."""

LIMITS = ("max_minutes", "patience")
"""Options that say when a run ends and change nothing of what it computes until then."""

NOT_QUEUED = ("headless", "detach", "prepare", "resume", "checkpoint", "branch")
"""Those of them that a run which waits for its turn cannot have."""

WITH_MAX_BATCHES = 64
"""Validation inputs of a run whose batches are limited."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CheckedOptions):
    """What every training run can be told, whatever it trains; a recipe's own class adds its options.

    A preset among the values is recorded, not applied: `resolve` applies presets.
    """

    # How long, how fast, on what
    epochs: int = option(20, "Passes over the training pairs.", low=1, high=1_000_000)
    max_minutes: float | None = option(
        None,
        "Minutes of training after which the run is saved and ends, those before a resume included.",
        low=1e-3,
        high=1e6,
    )
    patience: int | None = option(
        None, "Validations in a row without a new best after which it does so.", low=1, high=10**6
    )
    agent_lr: float = option(1e-4, "Learning rate of the model.", low=0, high=1)
    device: str = option(
        "auto",
        "Where to compute; auto takes a GPU when there is one.",
        choices=("auto", "cpu", "cuda"),
        pattern=r"cuda:\d{1,3}",
        pattern_words="cuda:N",
    )
    threads: int | None = option(
        None, "Threads of torch on the CPU; none leaves it to torch.", low=1, high=1024
    )
    processes: str = option(
        "1",
        "Processes that train together, each on its share of a batch; auto is one for each GPU.",
        choices=("auto",),
        pattern=r"[1-9]\d{0,3}",
        pattern_words="a number from 1 to 9999",
    )
    seed: int = option(42, "Seed of every random number.", low=0, high=2**32 - 1)
    max_batches: int | None = option(None, "Batches of each epoch; none is all of them.", low=1, high=10**9)
    batch_size: int = option(8, "Training pairs in a batch, of each process.", low=1, high=65_536)

    recipe: str = option(
        PIPELINE,
        "What is trained: pipeline, the name of an installed recipe, or package.module:Class.",
        held=True,
    )

    # Data
    dataset: str = option(
        "arcagi2",
        "arcagi1, arcagi2, kaggle2019, kaggle2024, kaggle2025, a folder of task files, a Kaggle challenges "
        "file, or JSON lines with a task in each.",
        path=True,
        names=("arcagi1", "arcagi2", "kaggle2019", "kaggle2024", "kaggle2025"),
    )
    solutions: str | None = option(
        None, "The Kaggle solutions file that belongs to the challenges file.", path=True
    )
    skip_bad_tasks: bool = option(False, "Go on without the tasks that cannot be read, and list them.")

    # Optimisation
    optimizer: str = option(
        "adamw",
        "adamw decays weights apart from the gradient; adam as in the seed; muon, for planner canvas, moves "
        "the planner's matrices by orthogonal steps.",
        choices=("adamw", "adam", "muon"),
        held=True,
    )
    weight_decay: float = option(1e-6, "Weight decay.", low=0, high=1)
    clip_norm: float = option(1.0, "Largest gradient norm of each component.", low=1e-6, high=1e6)
    schedule: str = option("constant", "Learning rate over the run.", choices=("constant", "cosine"))
    warmup_steps: int = option(0, "Steps over which the learning rate rises from zero.", low=0, high=10**9)
    amp: str = option(
        "auto",
        "Mixed precision; auto is bfloat16 where the hardware has it.",
        choices=("auto", "off", "bfloat16", "float16"),
    )
    nan_patience: int = option(
        10, "Steps in a row with a non-finite loss before the run stops.", low=1, high=10**6
    )

    # Records
    checkpoint_every: int = option(50, "Steps between checkpoints.", low=1, high=10**9)
    checkpoint_minutes: float | None = option(
        None, "Minutes between checkpoints, instead of steps; none counts steps.", low=1e-3, high=1e6
    )
    keep_checkpoints: int = option(5, "Newest checkpoints kept, beside the best.", low=1, high=10_000)
    sample_every: int = option(10, "Steps between the grids shown as samples.", low=1, high=10**9)
    validate_on: str = option(
        "training",
        "The tasks whose test inputs are validated on.",
        choices=("training", "evaluation", "none"),
    )
    validate_every: int = option(
        1, "Epochs between validations; the last epoch always has one.", low=1, high=10**6
    )
    validation_inputs: int | None = option(
        None,
        f"Test inputs of a validation; none is all, or {WITH_MAX_BATCHES} when max_batches is given.",
        low=1,
        high=10**9,
    )

    # Launch
    preset: str = option("tiny", "The defaults to start from.", choices=tuple(PRESETS))
    name: str | None = option(None, "Name of the run; none names it after the time.")
    runs_dir: str = option("runs", "The folder that holds the runs.")
    headless: bool = option(False, "Print progress lines instead of opening the console.")
    detach: bool = option(False, "Leave the run training in the background once it has begun.")
    prepare: bool = option(False, "Make the run and start nothing: torchrun -m arc_core FOLDER trains it.")
    mirror: str | None = option(
        None, "Mirror the run to tensorboard, trackio or wandb; several parted by commas."
    )
    resume: str | None = option(None, "Go on with this run: its name, the start of its name, or latest.")
    checkpoint: int | None = option(
        None, "With resume: the checkpoint to go on from; none is the newest.", low=0, high=10**9
    )
    branch: str | None = option(
        None, "With resume: go on in a new run of this name and leave the old one as it is."
    )

    @property
    def validation_limit(self) -> int | None:
        """Most test inputs of one validation; None is all of them."""
        if self.validation_inputs is None and self.max_batches is not None:
            return WITH_MAX_BATCHES
        return self.validation_inputs


def own_settings(config: type[TrainConfig]) -> dict[str, Setting]:
    """List the settings that a recipe's class adds to those of every run, in its order."""
    common = settings_of(TrainConfig)
    return {name: setting for name, setting in settings_of(config).items() if name not in common}
