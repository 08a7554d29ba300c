"""The index of a sharded Hugging Face folder: which tensor is in which file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.errors import ArcError
from arc_core.base.file_formats import leads_outside, parse_weight_map, read_weight_map
from arc_core.base.text import printable

MOST_SHARDS = 10_000
_INDEX = re.compile(r"(?P<base>.+)\.safetensors\.index(?P<variant>\.[^./]+)?\.json", re.DOTALL)
_NUMBERED = re.compile(
    r"(?P<base>.+)-(?P<number>[0-9]{1,9})-of-(?P<total>[0-9]{1,9})(?P<variant>\.[^./]+)?\.safetensors",
    re.DOTALL,
)


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


@dataclass(frozen=True)
class Numbered:
    """What a name like `model-00001-of-00003.fp16.safetensors` says.

    Attributes:
        model: The model's name, such as `model.fp16`.
        number: Of this file, from 1.
        total: How many there should be.
        width: Digits of the numbers.
    """

    model: str
    number: int
    total: int
    width: int


def model_of_index(name: str) -> str | None:
    """Return the model's name in that of an index, such as `model`; None if it is no index."""
    match = _INDEX.fullmatch(name)
    return None if match is None else match["base"] + (match["variant"] or "")


def numbered(name: str) -> Numbered | None:
    """Read the name of a shard; None if it is none."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    model = match["base"] + (match["variant"] or "")
    return Numbered(model, int(match["number"]), int(match["total"]), len(match["total"]))


def read_index(index: Path, text: bytes | None = None) -> tuple[list[Shard], str | None]:
    """Read an index.

    Args:
        index: A file `*.safetensors.index.json`.
        text: Its content where it is not on this machine.

    Returns:
        Its shards by name, those that may not be opened with their problem; and what is wrong with the
        index itself, or None.
    """
    try:
        weight_map = read_weight_map(index) if text is None else parse_weight_map(text, index)
    except ArcError as error:
        return [], str(error)
    tensors: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        tensors.setdefault(shard, set()).add(tensor)
    if len(tensors) > MOST_SHARDS:
        shown = printable(str(index), 500)
        return [], f"The index {shown} names {len(tensors):,} files; at most {MOST_SHARDS:,} go."
    return [_shard(name, frozenset(tensors[name])) for name in sorted(tensors)], None


def _shard(name: str, tensors: frozenset[str]) -> Shard:
    if leads_outside(name):
        problem = f'The index points outside its folder, to "{printable(name, 80)}": it is not opened.'
        return Shard(name, tensors, problem)
    if not name.endswith(".safetensors"):
        return Shard(name, tensors, f'The index names "{printable(name, 80)}", which is no safetensors file.')
    return Shard(name, tensors)


def differences(shard: Shard, label: str, names: Sequence[str]) -> list[str]:
    """Say where a shard and its index differ, in one sentence each."""
    here = set(names)
    notes: list[str] = []
    if missing := sorted(shard.tensors - here):
        notes.append(f"{label} lacks {_counted(missing)} of the index.")
    if foreign := sorted(here - shard.tensors):
        notes.append(f"{label} has {_counted(foreign)} that the index does not place there.")
    return notes


def _counted(names: list[str]) -> str:
    shown = f'"{printable(names[0], 80)}"'
    return shown if len(names) == 1 else f"{shown} and {len(names) - 1:,} more tensors"
