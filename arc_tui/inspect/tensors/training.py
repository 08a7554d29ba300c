"""What a checkpoint of ours knows of training: its state.json and the small tensors that belong to it.

Read tolerantly: a key that is missing is left out, one that is not known is listed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.data.grids import MAX_SIDE, NUM_COLORS, to_rows
from arc_core.pipeline.curriculum import DynamicMemoryThreshold
from arc_core.run.checkpoint_index import STATE, read_state
from arc_core.run.directory import stored_config
from arc_tui.inspect.tensors.pieces import read_values
from arc_tui.inspect.tensors.source import Checkpoint, Kind

KNOWN_KEYS = {
    *("format", "id", "epoch", "batch", "metrics", "memory", "optimizer", "position", "means", "best"),
    *("validated_at", "checkpoint_every", "skipped_in_a_row", "epoch_told", "epoch_began", "system"),
    *("elapsed_seconds", "threads", "saved_at", "last_seq"),
}
"""Keys of state.json that are shown by name; others, from other versions, are listed as they are."""


@dataclass(frozen=True)
class ParameterGroup:
    """A group of an optimizer.

    Attributes:
        optimizer: `main` or `policy`.
        name: Of the group; the optimizer's own where it has none.
        learning_rate: Now.
        settings: The others, such as betas.
    """

    optimizer: str
    name: str
    learning_rate: float
    settings: Mapping[str, object]


@dataclass(frozen=True)
class MemoryEntry:
    """A solved pair in the memory.

    Attributes:
        task: Its task's id.
        pair: Its number in the task.
        accuracy: Share of right cells.
        rows: The stored grid, a row a text of digits.
        order: The how-manieth it was to be stored.
    """

    task: str
    pair: int
    accuracy: float
    rows: tuple[str, ...]
    order: int


@dataclass(frozen=True)
class TrainingState:
    """Where training stood.

    Attributes:
        epoch: 0-based epoch of the next step; None where the state does not say, as below.
        batch: 0-based batch of the next step.
        step: Steps trained.
        metrics: Numbers kept beside the checkpoint.
        groups: Parameter groups of all optimizers.
        scaler: GradScaler's state; empty where none is used.
        amp_dtype: Type of autocast.
        skipped_steps: Steps skipped for a number that is not finite.
        memory_ema: Running mean of the accuracy.
        memory_threshold: Accuracy from which a pair is stored.
        memory_entries: Entries.
        memory_stored: Entries ever stored.
        elapsed_seconds: Trained for.
        saved_at: Seconds since the epoch.
        threads: Of torch.
        other: What else state.json holds.
        problem: Why state.json cannot be read, in one sentence; None if it can.
    """

    epoch: int | None
    batch: int | None
    step: int | None
    metrics: Mapping[str, float]
    groups: tuple[ParameterGroup, ...]
    scaler: Mapping[str, object]
    amp_dtype: str | None
    skipped_steps: int | None
    memory_ema: float | None
    memory_threshold: float | None
    memory_entries: int | None
    memory_stored: int | None
    elapsed_seconds: float | None
    saved_at: float | None
    threads: int | None
    other: Mapping[str, object]
    problem: str | None = None


@dataclass(frozen=True)
class Preference:
    """The loss's colour preference C without a prompt, and the anchor it is held to: [10] shares each."""

    base: tuple[float, ...]
    anchor: tuple[float, ...]


def read_training(checkpoint: Checkpoint) -> TrainingState | None:
    """Read what state.json tells; None for a checkpoint that is not ours."""
    if checkpoint.kind is not Kind.CHECKPOINT:
        return None
    try:
        return training_state(read_state(checkpoint.path))
    except ArcError as error:
        return training_state({}, problem=str(error))


def training_state(state: Mapping[str, Any], problem: str | None = None) -> TrainingState:
    """Turn the content of state.json into what is known of training."""
    position, system, memory = (_object(state.get(name)) for name in ("position", "system", "memory"))
    keys, ema = memory.get("keys"), _real(system.get("memory_ema"))
    metrics = {
        name: value
        for name, raw in _object(state.get("metrics")).items()
        if (value := _real(raw)) is not None
    }
    return TrainingState(
        epoch=_whole(position.get("epoch", state.get("epoch"))),
        batch=_whole(position.get("batch", state.get("batch"))),
        step=_whole(position.get("step", metrics.get("step"))),
        metrics=metrics,
        groups=tuple(_groups(_object(state.get("optimizer")))),
        scaler=_object(system.get("scaler")),
        amp_dtype=str(system["amp_dtype"]) if "amp_dtype" in system else None,
        skipped_steps=_whole(system.get("skipped_steps")),
        memory_ema=ema,
        memory_threshold=None if ema is None else DynamicMemoryThreshold(ema).get_threshold(),
        memory_entries=len(cast("list[object]", keys)) if isinstance(keys, list) else None,
        memory_stored=_whole(memory.get("stored_ever")),
        elapsed_seconds=_real(state.get("elapsed_seconds")),
        saved_at=_real(state.get("saved_at")),
        threads=_whole(state.get("threads")),
        other={name: value for name, value in state.items() if name not in KNOWN_KEYS},
        problem=problem,
    )


def _groups(optimizers: Mapping[str, Any]) -> list[ParameterGroup]:
    found: list[ParameterGroup] = []
    for optimizer, groups in optimizers.items():
        for raw in cast("list[object]", groups) if isinstance(groups, list) else []:
            group = _object(raw)
            rate = _real(group.get("lr"))
            settings = {name: value for name, value in group.items() if name not in ("lr", "name")}
            name = str(group.get("name") or optimizer)
            found.append(ParameterGroup(optimizer, name, math.nan if rate is None else rate, settings))
    return found


def memory_entries(checkpoint: Checkpoint) -> list[MemoryEntry]:
    """Read the memory's entries, the most accurate first; none where what was trained has no memory.

    Raises:
        CheckpointError: If their tensors are missing, damaged or do not fit together.
    """
    state = read_state(checkpoint.path)
    if "memory" not in state:
        return []
    keys: object = _object(state["memory"]).get("keys")
    columns = [read_values(checkpoint, checkpoint.find(f"memory.{name}")) for name in _COLUMNS]
    accuracy, grids, sizes, order = columns
    entries = cast("list[object]", keys) if isinstance(keys, list) else []
    count = len(entries)
    if (
        grids.ndim != 3
        or sizes.ndim != 2
        or any(column.ndim < 1 or len(column) < count for column in columns)
    ):
        raise CheckpointError(f"The memory of {checkpoint.title} is damaged: its tensors do not fit {STATE}.")
    found: list[MemoryEntry] = []
    for slot, key in enumerate(entries):
        match key:
            case [str(task), int(pair)]:
                rows = _rows(grids[slot], sizes[slot])
                found.append(MemoryEntry(task, pair, float(accuracy[slot]), rows, int(order[slot])))
            case _:
                raise CheckpointError(
                    f"The memory of {checkpoint.title} is damaged: entry {slot} names no pair."
                )
    return sorted(found, key=lambda entry: (-entry.accuracy, entry.order))


_COLUMNS = ("accuracy", "grids", "sizes", "order")


def _rows(grid: npt.NDArray[Any], size: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a stored grid as digits; colours that are none show as the nearest that is."""
    height, width = (
        max(0, min(int(side), MAX_SIDE, limit)) for side, limit in zip(size[:2], grid.shape, strict=True)
    )
    cells = np.clip(np.nan_to_num(grid[:height, :width]), 0, NUM_COLORS - 1).astype(np.int8)
    return tuple(to_rows(cells))


def preference(checkpoint: Checkpoint) -> Preference | None:
    """Read the colour preference; None where the checkpoint has none.

    Raises:
        CheckpointError: If its file cannot be read.
    """
    names = ("efe_loss.preference", "efe_loss.anchor")
    if any(name not in checkpoint.places for name in names):
        return None
    logits, anchor = (
        read_values(checkpoint, checkpoint.find(name)).astype(np.float64).ravel() for name in names
    )
    if not len(logits):
        return None
    weights = np.exp(logits - logits.max())
    return Preference(tuple((weights / weights.sum()).tolist()), tuple(anchor.tolist()))


def generators(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the random generators whose states are kept, with the bytes of each."""
    table = checkpoint.table
    return {
        name.removeprefix("rng."): int(table.bytes[place])
        for place, name in enumerate(table.names)
        if name.startswith("rng.")
    }


def configuration(checkpoint: Checkpoint) -> dict[str, object]:
    """Return the run's configuration; empty where the checkpoint lies outside a run.

    Raises:
        RunError: If run.json cannot be read.
    """
    return {} if checkpoint.run is None else stored_config(checkpoint.run.read())


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _whole(value: object) -> int | None:
    number = _real(value)
    return int(number) if number is not None and math.isfinite(number) else None
