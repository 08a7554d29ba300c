"""Reads a TOML config file, and knows the line of each key for the sentence that refuses it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable

_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_AT_END = re.compile(r"\s*\(at end of document\)$")
_HEAD = re.compile(r"""^\s*\[+\s*(?:"([^"]*)"|'([^']*)'|([^\]"'.\s]+))""")
"""The first name in the head of a table."""

MAX_BYTES = 1 << 20
"""A config file is some kilobytes; something larger was given by mistake."""


@dataclass(frozen=True)
class ConfigFile:
    """The keys and values of a config file, unchecked, and its text."""

    path: Path
    text: str
    values: dict[str, Any]

    def place(self, key: str, table: str | None = None) -> str:
        """Return "file, line N" of a key, or the file alone if the line cannot be told.

        Args:
            key: A key, or the name of a table.
            table: The table that the key is in; None for what stands at the top.
        """
        begins = re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
        here: str | None = None
        for number, line in enumerate(self.text.splitlines(), start=1):
            if head := _HEAD.match(line):
                here = head[1] or head[2] or head[3]
            if begins.match(line) if here == table else (head and table is None and here == key):
                return f"{printable(str(self.path))}, line {number}"
        return printable(str(self.path)) if table is None else self.place(table)


def read_config_file(path: Path) -> ConfigFile:
    """Read a config file.

    Raises:
        ConfigError: If it is missing, unreadable, too large, or not TOML; names file and line.
    """
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"Cannot read the config file {shown}: {error.strerror}.") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"The config file {shown} is larger than {MAX_BYTES >> 20} MiB.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{shown}, line {line}: the file is not UTF-8 text.") from None
    try:
        return ConfigFile(path, text, tomllib.loads(text))
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise ConfigError(_syntax_error(shown, text, str(error))) from None
    except RecursionError:
        raise ConfigError(f"{shown}: the values are nested too deeply.") from None


def _syntax_error(shown: str, text: str, message: str) -> str:
    at_line = _AT_LINE.search(message)
    if at_line or _AT_END.search(message):
        shown += f", line {at_line[1] if at_line else max(len(text.splitlines()), 1)}"
    reason = _AT_END.sub("", _AT_LINE.sub("", message))
    return f"{shown}: this is not TOML: {printable(reason)}."
