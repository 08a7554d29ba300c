"""What the pipeline starts from when it solves tasks: settings, a checkpoint, what it has seen. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from arc_core.base.errors import CheckpointError, ConfigError, DataError, RunError
from arc_core.base.files import read_limited
from arc_core.base.options import Value, canonical, unknown_key
from arc_core.base.paths import expanded, is_file, name_or_full_path
from arc_core.base.text import printable
from arc_core.data.seen import SeenTasks
from arc_core.pipeline.config import CANVAS, PipelineConfig
from arc_core.run.checkpoint_index import MANIFEST, checkpoint_id, find_checkpoint, newest_intact
from arc_core.run.course import Timeline
from arc_core.run.directory import SEEN, RunDirectory, config_of, open_run, stored_config, trusted_run
from arc_core.run.presets import PIPELINE, PRESETS, SOLVER
from arc_core.run.recipes import built_in_settings

ARCHITECTURE = ("lm", "hidden_dim", "prompt_dim", "max_steps", "memory_capacity")
"""The settings that decide which weights there are; a checkpoint fixes them."""

SOLVING = (
    *ARCHITECTURE,
    *("agent_lr", "qwen_lr", "policy_lr", "batch_size", "augment", "max_context"),
    *("lm_train", "lm_dtype", "control_weight", "memory", "refine"),
    *("lambda_risk", "lambda_amb", "lambda_step", "lambda_cons", "lambda_bi", "lambda_z", "lambda_prompt"),
    *("lambda_size", "size_warmup", "reward_weight", "hard_cell_gain", "backward"),
    *("optimizer", "weight_decay", "clip_norm", "schedule", "warmup_steps", "amp"),
)
"""The settings of a run that count when a single task is adapted to."""


@dataclass(frozen=True)
class RunCheckpoint:
    """A checkpoint of the whole pipeline, and the run that it is of."""

    path: Path
    """Its folder, absolute; it verifies."""
    config: PipelineConfig
    """The run's."""
    seen: SeenTasks
    """What the run was trained on."""


def find_run_checkpoint(name: str, runs_dir: Path) -> RunCheckpoint:
    """The checkpoint that `--weights` names.

    Args:
        name: A run's name or folder, for its newest checkpoint that verifies; or a checkpoint's folder.
        runs_dir: Where runs are that are named.

    Raises:
        RunError: If there is no such run, or it trained something else.
        CheckpointError: If there is no such checkpoint, it does not verify, or it lies in no run, so that
            nobody knows what it was trained on.
    """
    place = expanded(name)
    if is_file(place / MANIFEST):
        place = place.absolute()
        run = _run_of(place)
        path = find_checkpoint(run.checkpoints, checkpoint_id(place))
    else:
        run = trusted_run(place) if is_file(place / "run.json") else open_run(runs_dir, name)
        path = newest_usable(run)
    config = _pipeline_config(run)
    try:
        seen = SeenTasks.from_json(run.read().get(SEEN), f"The run {printable(run.name)}")
    except DataError as error:
        raise RunError(f"{str(error).rstrip('.')}: go on training it for a step to have it say so.") from None
    return RunCheckpoint(path, config, seen)


def _run_of(checkpoint: Path) -> RunDirectory:
    if checkpoint.parent.name != "checkpoints" or not is_file(checkpoint.parent.parent / "run.json"):
        raise CheckpointError(
            f"{printable(str(checkpoint))} lies in no run, so it cannot be known what it was trained on."
        )
    return trusted_run(checkpoint.parent.parent)


def newest_usable(run: RunDirectory) -> Path:
    """The newest checkpoint of a run that verifies and was not given up.

    Raises:
        CheckpointError: If there is none.
    """
    path, rejected = newest_intact(run.checkpoints, Timeline.of(run).given_up_checkpoints(run.checkpoints))
    if path is None:
        why = f"{rejected[0][0].name}: {rejected[0][1][0]}" if rejected else "it has none"
        raise CheckpointError(f"{printable(run.name)} has no checkpoint to start from ({why}).")
    return path


def _pipeline_config(run: RunDirectory) -> PipelineConfig:
    recipe = stored_config(run.read()).get("recipe", PIPELINE)
    if recipe == SOLVER:
        raise RunError(
            f"{printable(run.name)} has trained the solver's agent, not the pipeline: export its weights "
            "with arc-tui export-weights, and evaluate them without --system pipeline."
        )
    if recipe != PIPELINE:
        raise RunError(
            f"{printable(run.name)} has trained the recipe {printable(str(recipe), 60)}, not the pipeline: "
            "what solves tasks is the pipeline or the solver's agent."
        )
    config = cast(PipelineConfig, config_of(run))
    if config.planner == CANVAS:
        raise RunError(
            f"{printable(run.name)} has trained the agent that plans on the output's canvas: name it as "
            "--weights without --system pipeline."
        )
    return config


def settle(
    start: RunCheckpoint | None, preset: str | None, given: Mapping[str, object], *, text: bool = False
) -> dict[str, Value]:
    """Settle what the pipeline is told: given settings, then the run's or the preset's.

    Args:
        start: What it starts from; None for random weights.
        preset: Its name; None takes the run's, or else the defaults.
        given: Settings by name, over those.
        text: Whether a string stands for the value it spells, as on the command line.

    Returns:
        `preset` and every setting of `SOLVING`, as `solving_config` takes them.

    Raises:
        ConfigError: On a setting that is unknown, refused, or without effect here; on an unknown preset, or
            one that is not the run's.
        CheckpointError: If another architecture than the checkpoint's is given.
    """
    known = built_in_settings()
    for key in given:
        if (name := canonical(key)) not in SOLVING:
            if name not in known:
                raise unknown_key(key, SOLVING)
            raise ConfigError(f"{name} has no effect on a task that is solved; it cannot be set here.")
    values = PipelineConfig.checked(given, text=text)
    if start is None:
        chosen = PipelineConfig().preset if preset is None else preset
        able = ("tiny", "seed")
        if chosen not in able:
            raise ConfigError(
                f'preset is "{printable(chosen, 40)}", but must be {" or ".join(able)} to solve tasks by.'
            )
        # What is solved here by the seed's planner starts from the seed's own settings.
        own = PRESETS[chosen] if PRESETS[chosen].get("planner") != CANVAS else {}
        config = PipelineConfig.from_mapping(own | {"preset": chosen} | values)
    else:
        config = _over_run(start, preset, values)
    config = replace(config, lm=name_or_full_path(config.lm, known["lm"].names))
    return {"preset": config.preset} | {name: getattr(config, name) for name in SOLVING}


def _over_run(start: RunCheckpoint, preset: str | None, values: Mapping[str, Value]) -> PipelineConfig:
    own = start.config
    if preset not in (None, own.preset):
        raise ConfigError(f"The run was trained with preset {own.preset}, not {printable(str(preset), 40)}.")
    for name in ARCHITECTURE:
        if values.get(name, getattr(own, name)) != getattr(own, name):
            raise CheckpointError(
                f"The checkpoint has {name} {getattr(own, name)}, not {values[name]}: give --weights none to "
                "start from random weights."
            )
    return PipelineConfig.from_mapping({**own.to_dict(), **values})


def solving_config(settled: Mapping[str, object], seed: int) -> PipelineConfig:
    """The configuration of a solving process.

    Args:
        settled: What `settle` gave.
        seed: Of the random weights.

    Raises:
        ConfigError: If a value is refused.
    """
    return PipelineConfig.from_mapping({**settled, "seed": seed})


def identity_of(checkpoint: Path) -> str:
    """Digest of a checkpoint's manifest, which holds those of all its files, in hexadecimal.

    Raises:
        RunError: If the checkpoint is not there any more.
    """
    return hashlib.sha256(read_limited(checkpoint / MANIFEST)).hexdigest()
