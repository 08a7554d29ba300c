"""Phase 1: the configuration, typed, checked and explained.

Every option is a field of `TrainConfig` and a key of the config file under its own name. Where
several sources name an option, a flag wins over the config file, the file over the preset, and the
preset over the default.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from arc_core.base.config_file import ConfigFile, read_config_file
from arc_core.base.errors import ConfigError
from arc_core.base.options import CheckedOptions, Setting, Value, canonical, option, settings_of
from arc_core.base.paths import expanded, full_path, name_or_full_path
from arc_core.run.recipes import OF_OTHER_RECIPES, PIPELINE, PRESETS, RECIPES, SOLVER

LAUNCH_OPTIONS = ("preset", "name", "runs_dir", "headless", "detach", "resume", "checkpoint", "branch")
"""Options that say how a run is started rather than what it computes."""

BUILT_IN = ("arcagi1", "arcagi2", "tiny", "smollm2")
"""Datasets and language models that are not looked for in the file system."""

PATHS = ("solutions", "extra_data")
NAMES_OR_PATHS = ("dataset", "lm")
"""Options that take a path. It is read in the folder where the command is given, and kept absolute, so that
it means the same from every other folder; `runs_dir` is needed where the command is given alone."""

WITH_MAX_BATCHES = 64
"""Validation inputs of a run whose batches are limited."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CheckedOptions):
    """Everything that a training run can be told.

    A preset among the values is recorded, not applied: `resolve` applies presets.
    """

    # How long, how fast, on what
    epochs: int = option(20, "Passes over the training pairs.", low=1, high=1_000_000)
    agent_lr: float = option(
        1e-4, "Learning rate of the agent; memory learns at 2x and the EFE loss at 0.5x of it.", low=0, high=1
    )
    qwen_lr: float = option(1e-4, "Learning rate of the language model.", low=0, high=1)
    policy_lr: float = option(5e-5, "Learning rate of the RL policy, which has its own Adam.", low=0, high=1)
    device: str = option(
        "auto",
        "Where to compute; auto takes a GPU when there is one.",
        choices=("auto", "cpu", "cuda"),
        pattern=r"cuda:\d{1,3}",
    )
    threads: int | None = option(
        None, "Threads of torch on the CPU; none leaves it to torch.", low=1, high=1024
    )
    seed: int = option(42, "Seed of every random number.", low=0, high=2**32 - 1)
    max_batches: int | None = option(None, "Batches of each epoch; none is all of them.", low=1, high=10**9)
    batch_size: int = option(8, "Training pairs in a batch.", low=1, high=65_536)

    recipe: str = option(
        PIPELINE,
        "What is trained: the seed's whole pipeline, or the solver's agent alone.",
        choices=RECIPES,
    )

    agent_options: str | None = option(
        None, "With recipe solver: further settings of its agent, as in context_dim=32,encoder_blocks=2."
    )

    # Data
    dataset: str = option("arcagi2", "arcagi1, arcagi2, a folder of task files, or a Kaggle challenges file.")
    solutions: str | None = option(None, "The Kaggle solutions file that belongs to the challenges file.")
    extra_data: str | None = option(
        None,
        "With recipe solver: generated pairs of the training tasks, a zip or folder laid out as RE-ARC's.",
    )
    skip_bad_tasks: bool = option(False, "Go on without the tasks that cannot be read, and list them.")
    augment: bool = option(True, "Turn, mirror and recolour each task, anew in every epoch.")
    max_context: int = option(6, "Most demonstration pairs shown to the prompt.", low=1, high=100)
    small_cells: int | None = option(
        None,
        "Train only on pairs whose grids have at most this many cells (overfit studies).",
        low=1,
        high=900,
    )
    max_pairs: int | None = option(None, "Train only on the first so many pairs.", low=1, high=10**9)

    # Language model
    lm: str = option("tiny", "tiny, smollm2, a Hugging Face name, or a local folder.")
    lm_train: str = option(
        "full",
        "What of the language model learns: all, LoRA adapters, none.",
        choices=("full", "lora", "frozen"),
    )
    lm_dtype: str = option("float32", "Number type of its weights.", choices=("float32", "bfloat16"))
    control_weight: float = option(
        0.5, "Share of the numeric features beside the rule text in the prompt.", low=0, high=1
    )

    # Models
    hidden_dim: int = option(256, "Width of the agent.", low=2, high=8192)
    prompt_dim: int = option(256, "Width of the prompt embedding.", low=2, high=8192)
    max_steps: int = option(5, "Planning steps, each with a head of its own.", low=1, high=64)
    memory: bool = option(True, "Store solved pairs and let them feed the prompts of other tasks.")
    memory_capacity: int = option(1024, "Most pairs that the memory keeps.", low=1, high=10**7)
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

    # Optimisation
    optimizer: str = option(
        "adamw",
        "adamw decays weights apart from the gradient; adam as in the seed; muon, for recipe solver, moves "
        "the planner's matrices by orthogonal steps.",
        choices=("adamw", "adam", "muon"),
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

    def own(self) -> dict[str, Value]:
        """Return the settings that the recipe has, for run.json; `from_mapping` reads them too."""
        absent = OF_OTHER_RECIPES[self.recipe]
        return {name: value for name, value in self.to_dict().items() if name not in absent}


def settings() -> dict[str, Setting]:
    """List every setting by name, in the order of the config file."""
    return settings_of(TrainConfig)


def explicit_values(flags: Mapping[str, object], file: Path | None) -> dict[str, Value]:
    """Return what the user asked for by name, paths absolute: the file's values with the flags over them.

    Raises:
        ConfigError: As `TrainConfig.checked`; what stands in the file is refused with file and line.
    """
    values = _checked_file(read_config_file(file)) if file is not None else {}
    return values | _paths_made_full(TrainConfig.checked(flags, text=True))


def resolve(flags: Mapping[str, object], file: Path | None = None) -> TrainConfig:
    """Settle every option: flag, then config file, then preset, then default.

    Args:
        flags: Values of the command line, typed or as text; only those that were given.
        file: A TOML config file. A preset that it names counts unless a flag names another.

    Raises:
        ConfigError: If the file cannot be read or any value is refused.
    """
    values = explicit_values(flags, file)
    preset = cast(str, values.get("preset", settings()["preset"].default))
    config = TrainConfig.from_mapping(PRESETS[preset] | values)
    if config.resume is None:  # a resumed run has a recipe of its own
        refuse_foreign(values, map(canonical, flags), config.recipe)
    return config


def refuse_foreign(values: Mapping[str, Value], flags: Iterable[str], recipe: str) -> None:
    """Refuse options that a recipe does not have.

    Args:
        values: What was asked for by name.
        flags: The names among them that were given on the command line. A config file may hold any option
            at its default, as one that `arc-tui config` wrote does.
        recipe: What is trained.

    Raises:
        ConfigError: At the first one; names the recipe that it belongs to.
    """
    typed = set(flags)
    for name in OF_OTHER_RECIPES[recipe]:
        if name in values and (name in typed or values[name] != settings()[name].default):
            other = PIPELINE if recipe == SOLVER else SOLVER
            raise ConfigError(f"{name} is an option of the recipe {other}; this run has the recipe {recipe}.")
    if recipe == SOLVER and values.get("validate_on") == "evaluation":
        raise ConfigError(
            "validate_on evaluation is of the recipe pipeline: the recipe solver validates on pairs of its "
            "training tasks, or on none."
        )


def to_toml(config: TrainConfig) -> str:
    """Write a config file that `resolve` reads back to the same configuration, every key explained."""
    lines = ["# arc-tui: every option, resolved. Leave a key out to take the preset's value."]
    for setting in settings().values():
        value = _toml(getattr(config, setting.name))
        lines += ["", f"# {setting.help}", f"# May be {setting.allowed()}.", f"{setting.name} = {value}"]
    return "\n".join(lines) + "\n"


def _paths_made_full(values: dict[str, Value]) -> dict[str, Value]:
    made = dict(values)
    for name, value in values.items():
        if isinstance(value, str) and name in PATHS:
            made[name] = str(full_path(value))
        elif isinstance(value, str) and name in NAMES_OR_PATHS:
            made[name] = name_or_full_path(value, BUILT_IN)
        elif isinstance(value, str) and name == "runs_dir":
            made[name] = str(expanded(value))
    return made


def _checked_file(file: ConfigFile) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for key, value in file.values.items():
        try:
            new = _paths_made_full(TrainConfig.checked({key: value}))
            if new.keys() & values.keys():
                raise ConfigError(f"{canonical(key)} is given twice.")
        except ConfigError as error:
            raise ConfigError(f"{file.place(key)}: {error}") from None
        values |= new
    return values


def _toml(value: Value) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)
