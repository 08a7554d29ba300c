"""Reads tasks of which each is a line of a file, as BARC publishes its generated ones; no torch.

    {"source": "def main(...", "examples": [[input, output], ...], "seeds": [...]}    as BARC has them
    {"id": "...", "train": [{"input": grid, "output": grid}, ...], "test": [...]}     an ARC task

Of BARC's examples the last is to be solved. A line without an id is called as the file, `_task` and its
number, zero-based.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from arc_core.base.errors import DataError
from arc_core.base.text import printable
from arc_core.data.parsing import Task, parse_task
from arc_core.data.task_folder import parse_json

SUFFIXES = (".jsonl", ".ndjson")


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Go through the lines of a file that hold something, with their numbers from zero.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror or error}.") from error


def task_of_line(path: Path, number: int, line: bytes) -> Task:
    """Check the task in a line.

    Raises:
        DataError: If there is none; the sentence names file, line and what is wrong.
    """
    place = f"{printable(str(path))}, line {number} (zero-based)"
    content = parse_json(line, place)
    if not isinstance(content, dict):
        raise DataError(f"{place} is no task: it must be an object with examples, or with train and test.")
    found = cast("dict[str, object]", content)
    name = found.get("id", found.get("task_id"))
    task_id = name if isinstance(name, str) and name else f"{path.stem}_task{number}"
    return parse_task(
        task_id, found if "examples" not in found else _of_examples(found["examples"], place), place
    )


def _of_examples(examples: object, place: str) -> dict[str, object]:
    """BARC's examples as an ARC task: the last one is to be solved, the others show how."""
    if not isinstance(examples, list) or len(cast("list[object]", examples)) < 2:
        raise DataError(f"{place} must have at least two examples, each a list of input and output.")
    pairs: list[object] = []
    for index, example in enumerate(cast("list[object]", examples)):
        if not isinstance(example, list) or len(cast("list[object]", example)) != 2:
            raise DataError(f"{place}, example {index} (zero-based) must be a list of input and output.")
        pairs.append(dict(zip(("input", "output"), cast("list[object]", example), strict=True)))
    return {"train": pairs[:-1], "test": pairs[-1:]}
