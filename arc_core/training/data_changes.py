"""Whether the data of a run is what it was: what run.json keeps of it, and what differs now. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from arc_core.base.errors import DataError
from arc_core.base.paths import exists, expanded
from arc_core.base.text import first_of, printable
from arc_core.data.arckit_sets import DATASET_NAMES
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import Pair, TaskSet
from arc_core.run.config import TrainConfig
from arc_core.run.directory import SEEN, RunDirectory

DIGEST_DIGITS = 12


def describe_tasks(tasks: TaskSet) -> dict[str, Any]:
    """What run.json keeps of the tasks: name, count, the digest of all and that of each."""
    digests = {task.id: digest_of((*task.train, *task.test))[:DIGEST_DIGITS] for task in tasks.tasks}
    return {"name": tasks.name, "tasks": len(tasks), "sha256": tasks.sha256, "digests": digests}


def describe_pairs(name: str, pairs: Mapping[str, Iterable[Pair]]) -> dict[str, Any]:
    """What run.json keeps of generated pairs by task; as `describe_tasks`."""
    digests = {task: digest_of(found)[:DIGEST_DIGITS] for task, found in sorted(pairs.items())}
    whole = hashlib.sha256(repr(digests).encode()).hexdigest()
    return {"name": name, "tasks": len(digests), "sha256": whole, "digests": digests}


def digest_of(pairs: Iterable[Pair]) -> str:
    """Identity of pairs in their order, hex."""
    digest = hashlib.sha256()
    for pair in pairs:
        for grid in (pair.input, pair.output):
            digest.update(b"none" if grid is None else b"%d %d " % grid.shape + grid.tobytes())
    return digest.hexdigest()


def validation_print(inputs: Iterable[tuple[str, int, tuple[Pair, ...]]]) -> str:
    """Identity of what validations answer, hex: marks count beside each other only under the same one.

    Args:
        inputs: Of each its task, its place in it, and all pairs that count: shown ones and its own.
    """
    digest = hashlib.sha256()
    for task, place, pairs in inputs:
        digest.update(f"{task!a} {place} {digest_of(pairs)}\n".encode())
    return digest.hexdigest()


def seen_so_far(run: RunDirectory, tasks: TaskSet) -> SeenTasks:
    """What a run has been trained on once it has begun to train on these tasks, for run.json.

    A run may go on with other data, and a branch goes on from what another run has learned: what was seen
    stays seen.

    Raises:
        DataError: If run.json does not say it as it was written.
    """
    content = run.read()
    if SEEN not in content:
        return SeenTasks.of(tasks.tasks)
    before = SeenTasks.from_json(content[SEEN], run.name)
    known = cast("dict[str, object]", content.get("dataset", {})).get("sha256") == tasks.sha256
    return before if known else before | SeenTasks.of(tasks.tasks)


def what_differs(before: object, now: Mapping[str, Any]) -> str:
    """Say in words how data differs from what run.json holds of it.

    Args:
        before: As `describe_tasks` gave it; anything else is data of which nothing is known.
        now: The same of the present data.

    Returns:
        Such as `1 task added (x), 2 changed (a, b)`; empty if nothing differs or nothing is known.
    """
    known = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
    if known.get("sha256") in (None, now["sha256"]):
        return ""
    old, new = known.get("digests"), cast("dict[str, str]", now["digests"])
    if not isinstance(old, dict):
        return f"its {now['tasks']} tasks are not the {known.get('tasks')} of before"
    changed = [task for task in new if task in old and old[task] != new[task]]
    parts = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": changed,
    }
    told = [f"{len(tasks)} {how} ({first_of(tasks)})" for how, tasks in parts.items() if tasks]
    return f"of its tasks {', '.join(told)}" if told else "its contents differ"


def require_places(config: TrainConfig, run: RunDirectory) -> None:
    """Refuse to go on without data that has gone from where it was, and say how to give its new place.

    Raises:
        DataError: At the first path of the configuration where nothing is.
    """
    for option in ("dataset", "solutions", "extra_data"):
        place = getattr(config, option, None)
        if place is None or place in DATASET_NAMES or exists(expanded(place)):
            continue
        raise DataError(
            f"{printable(place)} does not exist, from where {printable(run.name)} had its {option}: "
            f"give its new place with --{option.replace('_', '-')} PLACE."
        )
