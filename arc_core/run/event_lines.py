"""From a line of the log to the event of its kind and back, and what a line has to hold."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Set
from typing import Any, Literal, cast

from arc_core.base.loose import listed, mapping, null_at, number, whole
from arc_core.base.text import printable
from arc_core.run.declared import Declared, NumberGroup
from arc_core.run.event_forms import (
    EVENT_TYPES,
    RULE,
    VALIDATION,
    Event,
    MeasuredEvent,
    StepEvent,
    UnknownEvent,
    kind_of,
)

LONGEST_TEXT = 2000
"""A text of an event is cut to so many characters."""


def event_of(line: Mapping[str, Any]) -> Event | None:
    """Read an event.

    Args:
        line: What a line of the log holds.

    Returns:
        The event of its kind; None if it has no type or no number.
    """
    kind, seq, time = line.get("type"), line.get("seq"), line.get("time")
    if type(seq) is not int:
        return None
    if type(time) is not float:
        time = number(line, "time")
    if kind == "step":  # by far the most
        return StepEvent(seq, time, line)
    if not isinstance(kind, str):
        return None
    if kind not in _READERS:
        return UnknownEvent(seq, time, printable(kind, 60), line)
    form, readers = _READERS[kind]
    return form(seq, time, *[read(line, name) for name, read in readers])


def content_of(event: Event) -> dict[str, object]:
    """Return an event as the file has it."""
    if isinstance(event, MeasuredEvent | UnknownEvent):
        return dict(event.fields)
    found = {"type": kind_of(event), **{f.name: getattr(event, f.name) for f in dataclasses.fields(event)}}
    return found | found.pop("grids", {})


def validate_event(event: Mapping[str, Any], declared: Declared) -> list[str]:
    """Compare an event with its form.

    Args:
        event: What a line of the log holds.
        declared: What steps and samples carry.

    Returns:
        What is wrong, one phrase each; empty for an event of exactly its form.
    """
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in FORMS:
        return [f"type: unknown event {kind!r}"]
    form = FORMS[kind] | _declared_form(kind, event, declared)
    optional = _OPTIONAL.get(kind, set())
    form = {name: hint for name, hint in form.items() if name in event or name not in optional}
    if "nonfinite" in event:
        form["nonfinite"] = list[str]
    nonfinite = set(map(str, listed(event, "nonfinite")))
    problems = _check_fields(event, form, "", nonfinite)
    return problems + [
        f"nonfinite: {name} is not null" for name in sorted(nonfinite) if not null_at(event, name)
    ]


_OPTIONAL: dict[str, Set[str]] = {
    "validation": VALIDATION.keys() - {"step", "split"},
    "adaptation": {"start", "starts"},
}
"""The fields that an event may lack: what was not measured, or was not told in earlier versions."""


def _declared_form(kind: str, event: Mapping[str, Any], declared: Declared) -> dict[str, object]:
    """Return what the run's declaration adds to the form of an event."""
    if kind == "sample":
        return {grid.name: list[str] for grid in declared.grids}
    if kind not in ("step", "epoch"):
        return {}
    rule: dict[str, object] = {RULE: str} if kind == "step" and RULE in event else {}
    groups = [group for group in declared.groups if kind == "step" or group.averaged]
    return rule | {group.name: _group_form(group, counts=kind == "step") for group in groups}


def _group_form(group: NumberGroup, *, counts: bool) -> dict[str, object]:
    form: dict[str, object] = dict.fromkeys(group.texts, str)
    for told in group.numbers:
        form[told.name] = int if counts and told.whole else float
    return form


def _text(line: Mapping[str, object], name: str) -> str:
    value = line.get(name)
    return "" if value is None else printable(str(value), LONGEST_TEXT)


def _whole_or_none(line: Mapping[str, object], name: str) -> int | None:
    value = line.get(name)
    return value if isinstance(value, int) else None


def _line(line: Mapping[str, object], name: str) -> Mapping[str, object]:
    del name
    return line


def _grids(line: Mapping[str, object], name: str) -> Mapping[str, object]:
    del name
    return {key: value for key, value in line.items() if key not in _NO_GRIDS}


_NO_GRIDS = frozenset({"type", "seq", "time", "step", "task", "pair", "nonfinite"})


_Reader = Callable[[Mapping[str, object], str], object]

_READS: dict[object, _Reader] = {
    int: whole,
    float: number,
    str: _text,
    int | None: _whole_or_none,
    Mapping[str, object] | None: mapping,
}
"""How a field of each type is read; a list is one of anything."""


def _derived(form: type[Event]) -> tuple[tuple[tuple[str, _Reader], ...], dict[str, object]]:
    """Return how the fields of a form are read, `seq` and `time` left out, and what the file has of it."""
    readers: list[tuple[str, _Reader]] = []
    in_file: dict[str, object] = {}
    for name, hint in typing.get_type_hints(form, include_extras=True).items():
        read_as, written = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint, hint)
        if isinstance(written, dict):
            readers.append((name, _line if name == "fields" else _grids))
            in_file |= cast("dict[str, object]", written)
        else:
            readers.append((name, _READS.get(read_as, listed)))
            in_file[name] = written
    return tuple(reader for reader in readers if reader[0] not in ("seq", "time")), in_file


_DERIVED = {kind: _derived(form) for kind, form in EVENT_TYPES.items()}
_READERS: dict[str, tuple[Callable[..., Event], tuple[tuple[str, _Reader], ...]]] = {
    kind: (form, _DERIVED[kind][0]) for kind, form in EVENT_TYPES.items()
}

FORMS = {kind: {"type": str, **in_file} for kind, (_, in_file) in _DERIVED.items()}
"""The fields of each event as the file has them, each with its type; a group is a dictionary of such."""


def _check_fields(
    event: Mapping[str, Any], form: dict[str, object], prefix: str, nonfinite: set[str]
) -> list[str]:
    problems = [f"{prefix}{name}: missing" for name in form if name not in event]
    problems += [f"{prefix}{name}: not part of the form" for name in event if name not in form]
    for name, hint in form.items():
        if name in event:
            problems += _check_value(event[name], hint, f"{prefix}{name}", nonfinite)
    return problems


def _check_value(value: object, hint: object, name: str, nonfinite: set[str]) -> list[str]:
    if isinstance(hint, dict):
        if not isinstance(value, dict):
            return [f"{name}: {value!r} is not an object"]
        group, form = cast("dict[str, Any]", value), cast("dict[str, object]", hint)
        return _check_fields(group, form, f"{name}.", nonfinite)
    if _fits(value, hint) or (value is None and hint is float and name in nonfinite):
        return []
    return [f"{name}: {value!r} is not {getattr(hint, '__name__', hint)}"]


def _fits(value: object, hint: object) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin is types.UnionType:
        return any(_fits(value, arg) for arg in args)
    if origin is list:
        return isinstance(value, list) and all(_fits(v, args[0]) for v in cast("list[object]", value))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, cast("type[Any]", origin or hint))
