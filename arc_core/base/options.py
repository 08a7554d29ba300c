"""Configurations of typed settings: what each means, what it may be, and how text becomes its value."""

from __future__ import annotations

import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Self, TypeVar, cast

from arc_core.base.errors import ConfigError
from arc_core.base.text import is_printable, printable

Value = bool | int | float | str | None
"""What a setting can hold. None is written "none" in TOML and on the command line."""

T = TypeVar("T")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class _Limits:
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    pattern: str | None
    pattern_words: str
    path: bool
    names: tuple[str, ...]
    held: bool


def option(
    default: T,
    help: str,  # noqa: A002 - the word that argparse, Typer and torchtitan use
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str | None = None,
    pattern_words: str = "",
    path: bool = False,
    names: tuple[str, ...] = (),
    held: bool = False,
) -> T:
    """Declare a field of a configuration dataclass.

    Args:
        default: Its value when nothing else is said.
        help: One or two lines for the reader of the config file and of `--help`.
        low: Smallest number allowed.
        high: Largest number allowed.
        choices: The words allowed; empty for any text.
        pattern: A regular expression that allows further words beside `choices`; a number may stand for one.
        pattern_words: What these are, for the reader.
        path: Whether it is a path, which is read in the folder where the command is given, and kept absolute,
            so that it means the same from every other folder.
        names: Of a path: the words that stand for themselves and are not looked for in the file system. With
            any, a path is what is there or looks like one, and the rest are names known elsewhere.
        held: Whether a run's checkpoints hang on it, so that one that has some cannot go on with another.

    Returns:
        A dataclass field, typed as its default so that type checkers see the value.
    """
    limits = _Limits(help, low, high, choices, pattern, pattern_words, path, names, held)
    return field(default=default, metadata={"limits": limits})


@dataclass(frozen=True)
class Setting:
    """One field of a configuration dataclass with everything needed to check and explain it."""

    name: str
    kind: type[bool] | type[int] | type[float] | type[str]
    optional: bool
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    pattern_words: str = ""
    path: bool = False
    names: tuple[str, ...] = ()
    held: bool = False

    def allowed(self) -> str:
        """Say in words what this setting may be."""
        if self.choices:
            words = _either([*self.choices, *(["none"] if self.optional else [])])
            return f"{words}, or {self.pattern_words}" if self.pattern else words
        noun = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.low is not None and self.high is not None:
            noun += f" from {_number(self.low)} to {_number(self.high)}"
        elif self.low is not None:
            noun += f" of at least {_number(self.low)}"
        return f'{noun}, or "none"' if self.optional else noun

    def check(self, value: object) -> Value:
        """Return `value` as this setting holds it.

        Raises:
            ConfigError: If its type or range is wrong; names key, value and what is allowed.
        """
        if value is None or (self.optional and value == "none"):
            if self.optional:
                return None
            raise self._refusal(value)
        if self.pattern and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if self.kind is bool or self.kind is str:
            if not isinstance(value, self.kind):
                raise self._refusal(value)
            if isinstance(value, str) and not self._is_allowed_text(value):
                raise self._refusal(value)
            return value
        whole = self.kind is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise self._refusal(value)
        inside = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if not inside or not math.isfinite(value):
            raise self._refusal(value)
        return value if whole else float(value)

    def parse(self, text: str) -> Value:
        """Read a value from the command line, where everything is text.

        Raises:
            ConfigError: As `check` does.
        """
        if self.optional and text == "none":
            return None
        if self.kind is str:
            return self.check(text)
        if self.kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise self._refusal(text)
        try:
            number = int(text) if self.kind is int else float(text)
        except ValueError:
            raise self._refusal(text) from None
        return self.check(number)

    def _is_allowed_text(self, text: str) -> bool:
        if self.choices:
            return text in self.choices or bool(self.pattern and re.fullmatch(self.pattern, text))
        return bool(text.strip()) and is_printable(text)

    def _refusal(self, value: object) -> ConfigError:
        if value is None or isinstance(value, bool):
            shown = '"none"' if value is None else str(value).lower()
        else:
            shown = f'"{printable(value, 80)}"' if isinstance(value, str) else printable(repr(value), 80)
        return ConfigError(f"{self.name} is {shown}, but must be {self.allowed()}.")


class CheckedOptions:
    """Base of a configuration: a dataclass whose fields were all made by `option`.

    Construction checks every value, and holds it as its type: 1 as 1.0 for a rate, "none" as None.

    Attributes:
        retired: Settings of earlier versions, each with the one value that is left of it. At that value they
            are passed over, at any other refused.
    """

    retired: ClassVar[Mapping[str, Value]] = {}

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)).values():
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name)))

    @classmethod
    def checked(cls, values: Mapping[str, object], *, text: bool = False) -> dict[str, Value]:
        """Return values under their one spelling, each checked.

        Args:
            values: Settings in either spelling, such as `to_dict` returned.
            text: Whether a string stands for the value it spells, as on the command line.

        Raises:
            ConfigError: On an unknown key, one given twice, a wrong type or a value outside its range.
        """
        known, result = settings_of(cls), dict[str, Value]()
        for key, value in values.items():
            name = canonical(key)
            if name in cls.retired:
                _refuse_retired(name, value, cls.retired[name])
                continue
            if name not in known:
                raise unknown_key(key, known)
            if name in result:
                raise ConfigError(f"{name} is given twice, as {name} and as {name.replace('_', '-')}.")
            setting = known[name]
            result[name] = setting.parse(value) if text and isinstance(value, str) else setting.check(value)
        return result

    @classmethod
    def from_mapping(cls, values: Mapping[str, object], *, text: bool = False) -> Self:
        """Build a configuration; what is left out keeps its default.

        Args:
            values: As `checked` takes them.
            text: As `checked` takes it.

        Raises:
            ConfigError: As `checked` does.
        """
        return cls(**cast("dict[str, Any]", cls.checked(values, text=text)))

    def to_dict(self) -> dict[str, Value]:
        """Return every setting by name, as JSON writes them."""
        return {name: getattr(self, name) for name in settings_of(type(self))}


def _refuse_retired(name: str, value: object, left: Value) -> None:
    """Refuse a value that a retired setting does not have any more, as JSON or the command line gives it."""
    if str(value).lower() != str(left).lower():
        given, only = (printable(str(x), 60).lower() for x in (value, left))
        raise ConfigError(f"{name} {given} is not there any more: this version has {name} {only} alone.")


@functools.cache
def settings_of(configuration: type[Any]) -> dict[str, Setting]:
    """List the settings of a dataclass whose fields were all made by `option`, in their order."""
    hints = typing.get_type_hints(configuration)
    return {f.name: _setting(f, hints[f.name]) for f in fields(configuration)}


def unknown_key(key: str, known: Iterable[str], what: str = "setting") -> ConfigError:
    """Build the refusal of a key that does not exist, with the nearest one that does."""
    near = nearest(key, known)
    hint = f"; did you mean {near}?" if near else "."
    return ConfigError(f"There is no {what} {printable(key, 60)}{hint}")


def nearest(key: str, known: Iterable[str]) -> str | None:
    """Return the known name that `key` most looks like, or None if it looks like none of them."""
    names = list(known)
    close = difflib.get_close_matches(key.lower(), names, n=1)
    if close:
        return close[0]
    words = set(key.lower().split("_"))
    shared = [name for name in names if words & set(name.split("_"))]
    return min(shared, key=len) if shared else None


def canonical(key: str) -> str:
    """Return the one spelling of a key: `agent-lr` and `agent_lr` are the same setting."""
    return key.replace("-", "_")


def _setting(dataclass_field: Field[Any], hint: object) -> Setting:
    optional = isinstance(hint, types.UnionType)
    kinds = [a for a in typing.get_args(hint) if a is not type(None)] if optional else [hint]
    limits = dataclass_field.metadata.get("limits")
    if not isinstance(limits, _Limits) or len(kinds) != 1 or kinds[0] not in (bool, int, float, str):
        raise ConfigError(
            f"The setting {dataclass_field.name} must be made by option(), and be bool, int, float or str, "
            "or one of these or None."
        )
    return Setting(
        name=dataclass_field.name,
        kind=cast("type[bool] | type[int] | type[float] | type[str]", kinds[0]),
        optional=optional,
        default=cast(Value, dataclass_field.default),
        **vars(limits),
    )


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 or isinstance(value, float) else str(value)
