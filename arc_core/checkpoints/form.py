"""Whether JSON read from a checkpoint has the form that it was written in: nothing missing, no other kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from arc_core.base.errors import CheckpointError

LARGEST = 2**63
"""No whole number of a state comes near this; a longer one is damage."""


def require_form(saved: object, form: object, where: str, name: str = "") -> None:
    """Hold a JSON value against an example of what it must look like.

    Args:
        saved: As read.
        form: The example. Every key of an object must be there, whatever else is; a list that holds
            anything must be as long; numbers, texts and truth values must be such; None lets anything pass.
        where: What was read, for the sentence.
        name: The value's dotted name in it; empty for the whole.

    Raises:
        CheckpointError: At the first entry that is missing or of another kind; names it.
    """
    if isinstance(form, Mapping):
        entries = cast("Mapping[str, object]", form)
        if not isinstance(saved, dict):
            raise CheckpointError(f"{where}: {name or 'its content'} is no object")
        found = cast("dict[str, object]", saved)
        for key, part in entries.items():
            inner = f"{name}.{key}" if name else key
            if key not in found:
                raise CheckpointError(f"{where}: {inner} is missing")
            require_form(found[key], part, where, inner)
    elif isinstance(form, list | tuple):
        parts = cast("Sequence[object]", form)
        if not isinstance(saved, list):
            raise CheckpointError(f"{where}: {name} is no list")
        items = cast("list[object]", saved)
        if parts and len(items) != len(parts):
            raise CheckpointError(f"{where}: {name} has {len(items)} entries, not {len(parts)}")
        for number, (item, part) in enumerate(zip(items, parts, strict=False)):
            require_form(item, part, where, f"{name}.{number}")
    elif form is not None and not _same_kind(saved, form):
        raise CheckpointError(f"{where}: {name} is of another kind than {form!r}")


def _same_kind(saved: object, form: object) -> bool:
    if isinstance(form, bool) or isinstance(saved, bool):
        return isinstance(saved, bool) and isinstance(form, bool)
    if isinstance(form, int):
        return isinstance(saved, int) and abs(saved) < LARGEST
    if isinstance(form, float):
        return math.isfinite(saved) if isinstance(saved, float) else _same_kind(saved, int(form))
    return isinstance(saved, type(form))
