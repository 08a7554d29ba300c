"""What a weights file says of itself, read from its header without torch; and which file is meant."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import CheckpointError, DataError
from arc_core.base.loose import listed
from arc_core.base.options import Value, canonical
from arc_core.base.paths import bytes_of, full_path, is_file, refusal
from arc_core.base.text import printable
from arc_core.data.seen import SeenTasks
from arc_core.solver.config import ARCHITECTURE, RETIRED, SolverConfig

NOTES = "arc_tui"
"""Entry of the file's header that holds everything beside the tensors, as JSON."""

TASK_PROMPTS = "task_prompts"
"""Name of the pretrained tasks' prompts among the tensors, [tasks, 8 or 1, P]."""

LARGEST_BYTES = 20_000_000
LARGEST_HEADER = 4_000_000

DEFAULT = "default"
"""Names the weights that come with the package."""

NONE = "none"
"""Names random ones."""

PACKAGED = Path(__file__).parents[1] / "_weights" / "solver.safetensors"


@dataclass(frozen=True)
class WeightsNotes:
    """What stands beside the tensors."""

    architecture: dict[str, Value]
    """The options that the net was built with."""
    seen: SeenTasks
    """What it was trained on."""
    recipe: dict[str, Any]
    """How it was made: settings, seed, steps, data; to be read by people."""
    prompt_tasks: tuple[str, ...] = ()
    """The tasks whose learned prompts are among the tensors, in order; empty in files of earlier versions."""


def find_weights(name: str) -> Path | None:
    """The file that `--weights` names.

    Args:
        name: `default`, `none`, or a path.

    Returns:
        The file; None for random weights.

    Raises:
        CheckpointError: If there is no such file.
    """
    if name == NONE:
        return None
    path = PACKAGED if name == DEFAULT else full_path(name)
    if is_file(path):
        return path
    if name == DEFAULT:
        raise CheckpointError("This build carries no weights of its own: name a file, or use --weights none.")
    if reason := refusal(path):
        raise CheckpointError(f"The weights {printable(str(path))} cannot be looked at: {reason}.")
    raise CheckpointError(f"There are no weights {printable(str(path))}.")


def default_weights() -> str:
    """What `--weights` means when nothing is said: the package's own where it has any."""
    return DEFAULT if is_file(PACKAGED) else NONE


def read_notes(path: Path) -> WeightsNotes:
    """Read the notes of a weights file.

    Raises:
        CheckpointError: If it is damaged, larger than 20 MB, or not this version's.
    """
    shown = printable(str(path))
    try:
        if (bytes_of(path) or 0) > LARGEST_BYTES:
            raise CheckpointError(
                f"{shown} is larger than {LARGEST_BYTES / 1e6:.0f} MB: it holds no weights."
            )
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: object = json.loads(file.read(length)) if length <= LARGEST_HEADER else None
        metadata = cast("dict[str, Any]", header)["__metadata__"]
        return parse_notes(json.loads(metadata[NOTES]), shown)
    except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError):
        raise CheckpointError(f"{shown} holds no weights of this version's solver.") from None


def parse_notes(notes: object, shown: str) -> WeightsNotes:
    """Check the notes of a weights file.

    Args:
        notes: As its header holds them.
        shown: The file, for the message.

    Raises:
        CheckpointError: If they are not this version's.
    """
    parts = cast("dict[str, Any]", notes) if isinstance(notes, dict) else {}
    architecture, recipe = parts.get("architecture"), parts.get("recipe")
    if not isinstance(architecture, dict) or set(architecture) - RETIRED.keys() != set(ARCHITECTURE):
        raise CheckpointError(f"{shown} holds no weights of this version's solver.")
    try:
        seen = SeenTasks.from_json(parts.get("seen"), shown)
    except DataError as error:
        raise CheckpointError(str(error)) from None
    return WeightsNotes(
        cast("dict[str, Value]", architecture),
        seen,
        cast("dict[str, Any]", recipe) if isinstance(recipe, dict) else {},
        tuple(map(str, listed(parts, "prompt_tasks"))),
    )


def sha256_of(path: Path) -> str:
    """Digest of a weights file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fit_config(
    notes: WeightsNotes | None, values: Mapping[str, object], *, text: bool = False
) -> SolverConfig:
    """The configuration for weights: their architecture, and whatever else is given.

    Args:
        notes: Of the weights; None for random ones, of any architecture.
        values: Settings by name.
        text: Whether a string stands for the value it spells, as on the command line.

    Raises:
        CheckpointError: If another architecture is given.
        ConfigError: If a value is refused.
    """
    given = SolverConfig.from_mapping(values, text=text)
    if notes is None:
        return given
    named = {canonical(key) for key in values}
    for name in ARCHITECTURE:
        if name in named and getattr(given, name) != notes.architecture[name]:
            raise CheckpointError(
                f"The weights have {name} {notes.architecture[name]}, not {getattr(given, name)}: give "
                "--weights none to start from random ones."
            )
    return SolverConfig.from_mapping({**given.to_dict(), **notes.architecture})
