"""A declaration as run.json keeps it, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from arc_core.base.errors import ConfigError
from arc_core.base.text import is_printable
from arc_core.run.declared import Declared, GridForm, GroupKind, Number, NumberGroup, ShownNumber

DECLARED = "declared"
"""The key of run.json that holds a declaration."""


def declared_to_json(declared: Declared) -> dict[str, Any]:
    """Return a declaration as JSON can hold it: what is at its default is left out."""
    return cast("dict[str, Any]", _plain(declared))


def declared_from_json(content: object) -> Declared | None:
    """Read a declaration; None where it is none, or a damaged one."""
    if not isinstance(content, dict):
        return None
    try:
        return cast(Declared, _made(Declared, cast("dict[str, Any]", content)))
    except (TypeError, ValueError, KeyError, AttributeError, ConfigError):
        return None


_NESTED: Mapping[str, type[Any]] = {
    "groups": NumberGroup,
    "numbers": Number,
    "grids": GridForm,
    "step_line": ShownNumber,
    "epoch_lines": ShownNumber,
    "epoch_line": ShownNumber,
}


def _plain(value: object) -> object:
    """Turn a declaration into what JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = {part.name: getattr(value, part.name) for part in fields(value) if _is_set(value, part)}
        return {name: _plain(content) for name, content in kept.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in cast("tuple[object, ...]", value)]
    return dict(cast("Mapping[str, str]", value)) if isinstance(value, Mapping) else value


def _is_set(owner: object, part: Any) -> bool:
    value = getattr(owner, part.name)
    return bool(value) if callable(part.default_factory) else value != part.default


def _made(kind: type[Any], content: dict[str, Any]) -> Any:
    """Make a part of a declaration from JSON; raises where it is no such part."""
    given: dict[str, Any] = {}
    for part in fields(kind):
        if part.name not in content:
            continue
        value: Any = content[part.name]
        if part.name in _NESTED:
            value = tuple(_made(_NESTED[part.name], each) for each in value)
        elif part.name in ("claims", "metrics"):
            value = {_text(name): _text(text) for name, text in value.items()}
        elif part.name == "ahead":
            value = tuple(float(each) for each in value)
        elif part.name in ("totals", "drawn", "charted", "texts"):
            value = tuple(_text(each) for each in value)
        elif part.name == "kind":
            value = GroupKind(value)
        elif part.name in ("whole", "quiet", "averaged", "judged"):
            value = value is True
        elif part.name in ("weight", "most"):
            value = float(value)
        else:
            value = _text(value)
        given[part.name] = value
    return kind(**given)


def _text(value: object) -> str:
    if not isinstance(value, str) or not is_printable(value):
        raise ValueError("no text")
    return value[:200]
