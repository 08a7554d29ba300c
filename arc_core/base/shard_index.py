"""The index of a sharded model, `*.safetensors.index.json`: which tensor is in which file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

from arc_core.base.errors import ArcError, CheckpointError
from arc_core.base.files import read_limited
from arc_core.base.text import printable

LARGEST_INDEX = 100 << 20
"""An index above this is refused rather than read."""

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def read_weight_map(index: Path) -> dict[str, str]:
    """Read which tensor is in which file.

    Args:
        index: The index; it may be a symbolic link, as in the Hugging Face cache.

    Returns:
        The file of each tensor, as written: it may lead anywhere, see `leads_outside`.

    Raises:
        CheckpointError: If it cannot be read, or its `weight_map` is not an object of file names.
    """
    shown = printable(str(index), 500)
    try:
        content: object = json.loads(read_limited(Path(os.path.realpath(index)), LARGEST_INDEX))
    except ArcError as error:
        raise CheckpointError(f"The index {shown} is damaged: {error}") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"The index {shown} is damaged: it is not JSON.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"The index {shown} is damaged: it is {kind_of(content)}, not an object.")
    fields = cast("dict[str, object]", content)
    if "weight_map" not in fields:
        raise CheckpointError(f"The index {shown} is damaged: it has no weight_map.")
    weight_map = fields["weight_map"]
    if not isinstance(weight_map, dict):
        raise CheckpointError(
            f"The index {shown} is damaged: its weight_map is {kind_of(weight_map)}, not an object that "
            "names the file of each tensor."
        )
    files = cast("dict[str, object]", weight_map)
    if not files:
        raise CheckpointError(f"The index {shown} is damaged: its weight_map is empty.")
    for tensor, file in files.items():
        if not isinstance(file, str):
            raise CheckpointError(
                f'The index {shown} is damaged: its weight_map gives {kind_of(file)} for "'
                f'{printable(tensor, 80)}", not the name of a file.'
            )
    return cast("dict[str, str]", files)


def leads_outside(name: str) -> bool:
    """Whether a file's name in an index is no path inside the index's folder."""
    parts = name.split("/")
    odd = "\\" in name or "\0" in name or name.startswith("~")
    return odd or ".." in parts or "" in parts or "." in parts


def kind_of(value: object) -> str:
    """Say what a JSON value is, for a sentence."""
    return _KINDS.get(type(value), "a number")
