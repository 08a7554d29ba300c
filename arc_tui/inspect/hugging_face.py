"""The index of a sharded Hugging Face folder: which tensor is in which file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from arc_core.errors import ArcError, CheckpointError
from arc_core.paths import is_file, matching
from arc_core.safe_files import read_limited
from arc_core.text import printable

INDEX_SUFFIX = ".safetensors.index.json"
LARGEST_INDEX = 100 << 20
MOST_SHARDS = 10_000


@dataclass(frozen=True)
class Shard:
    """A file that an index names.

    Attributes:
        name: As the index writes it.
        tensors: Names of the tensors that should be in it.
        problem: Why it is not opened, in one sentence; None if it can be tried.
    """

    name: str
    tensors: frozenset[str]
    problem: str | None = None

    @property
    def label(self) -> str:
        """Its name, safe to print."""
        return printable(self.name, 200)


def find_index(folder: Path) -> Path | None:
    """Return the folder's index, the usual name first; None if it has none."""
    usual = folder / f"model{INDEX_SUFFIX}"
    if is_file(usual):
        return usual
    return next((file for file in matching(folder, f"*{INDEX_SUFFIX}") if is_file(file)), None)


def read_index(index: Path) -> tuple[list[Shard], str | None]:
    """Read an index.

    Args:
        index: A file `*.safetensors.index.json`.

    Returns:
        Its shards by name, those that may not be opened with their problem; and what is wrong with the
        index itself, or None.
    """
    shown = printable(str(index), 500)
    try:
        content: object = json.loads(read_limited(Path(os.path.realpath(index)), LARGEST_INDEX))
        weight_map = _weight_map(content)
    except (ArcError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ArcError) else "it is not JSON."
        return [], f"The index {shown} is damaged: {reason}"
    tensors: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        tensors.setdefault(shard, set()).add(tensor)
    if len(tensors) > MOST_SHARDS:
        return [], f"The index {shown} names {len(tensors):,} files; at most {MOST_SHARDS:,} go."
    return [_shard(name, frozenset(tensors[name])) for name in sorted(tensors)], None


def _weight_map(content: object) -> dict[str, str]:
    found: object = (
        cast("dict[str, object]", content).get("weight_map") if isinstance(content, dict) else None
    )
    if not isinstance(found, dict):
        raise CheckpointError("it has no object weight_map.")
    weight_map = cast("dict[str, object]", found)
    if not all(isinstance(shard, str) for shard in weight_map.values()):
        raise CheckpointError("its weight_map names files by something else than text.")
    return cast("dict[str, str]", weight_map)


def _shard(name: str, tensors: frozenset[str]) -> Shard:
    parts = name.split("/")
    if ".." in parts or "" in parts or "\\" in name or "\0" in name or name.startswith("~"):
        problem = f'The index points outside its folder, to "{printable(name, 80)}": it is not opened.'
        return Shard(name, tensors, problem)
    if not name.endswith(".safetensors"):
        return Shard(name, tensors, f'The index names "{printable(name, 80)}", which is no safetensors file.')
    return Shard(name, tensors)


def differences(shard: Shard, names: Sequence[str]) -> list[str]:
    """Say where a shard and its index differ, in one sentence each."""
    here = set(names)
    notes: list[str] = []
    if missing := sorted(shard.tensors - here):
        notes.append(f"{shard.label} lacks {_counted(missing)} of the index.")
    if foreign := sorted(here - shard.tensors):
        notes.append(f"{shard.label} has {_counted(foreign)} that the index does not place there.")
    return notes


def _counted(names: list[str]) -> str:
    shown = f'"{printable(names[0], 80)}"'
    return shown if len(names) == 1 else f"{shown} and {len(names) - 1:,} more tensors"
