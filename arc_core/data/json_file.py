"""Reads one JSON file of data; every fault of it is one sentence. No torch."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from arc_core.base.errors import DataError
from arc_core.data.grids import printable

LONGEST_NUMBER = 1000
"""Digits of a whole number; what is longer is kept as text, so that only its own task is bad."""

_PACKED = {b"\x1f\x8b": "is compressed by gzip", b"PK\x03\x04": "is a zip archive"}


class Repeated(dict[str, Any]):
    """An object of a file that has a key more than once.

    Attributes:
        twice: The keys that stand more than once; which of their values is meant, nobody knows.
    """

    def __init__(self, items: list[tuple[str, Any]]):
        super().__init__(items)
        self.twice = tuple(key for key, count in Counter(key for key, _ in items).items() if count > 1)

    @property
    def fault(self) -> str:
        """What is wrong with it, to stand behind the name of it or its file."""
        return f"has the key {printable(self.twice[0])!r} twice"


def read_json(path: Path, *, keep_repeated: bool = False) -> Any:
    """Read one JSON file in UTF-8, or in UTF-16 or 32 as some programs write it.

    Args:
        path: The file.
        keep_repeated: Return an object that has a key twice as `Repeated`, instead of refusing the file.

    Returns:
        What it holds.

    Raises:
        DataError: If it is missing, unreadable, no text, not JSON, or has a key twice in one object.
    """
    place = printable(str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}.") from error
    return parse_json(raw, place, keep_repeated=keep_repeated)


def parse_json(raw: bytes, place: str, *, keep_repeated: bool = False) -> Any:
    """Read JSON that has been read from a file or an archive already.

    Args:
        raw: The file's bytes.
        place: The file, for the message.
        keep_repeated: As `read_json` takes it.

    Raises:
        DataError: As `read_json` does.
    """

    def unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
        # JSON leaves the meaning of a repeated key open; Python would keep the last one silently
        result = dict(items)
        if len(result) == len(items):
            return result
        repeated = Repeated(items)
        if keep_repeated:
            return repeated
        raise DataError(
            f"{place} has {printable(repeated.twice[0])!r} twice (a task id or key must be unique)."
        )

    for start, what in _PACKED.items():
        if raw.startswith(start):
            raise DataError(f"{place} {what}: unpack it first.")
    try:
        # utf-8-sig among others: some editors put a byte order mark in front
        text = raw.decode(json.detect_encoding(raw))
        if not text.strip():
            raise DataError(f"{place} is empty: there is no JSON in it.")
        try:
            return json.loads(text, object_pairs_hook=unique_keys)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            return json.loads(text, object_pairs_hook=unique_keys, parse_int=_whole_number)
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text: byte {error.start} (zero-based) is wrong.") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            raise DataError(
                f"{place} holds more than one JSON value, one a line as JSON Lines does: "
                f"a file must hold one, and the second is in line {error.lineno}."
            ) from error
        raise DataError(
            f"{place} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise DataError(f"{place} cannot be read: its JSON is nested too deeply.") from error


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits
