"""Everything that is known of a checkpoint, as JSON writes it: dicts, lists, texts and numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from arc_core.base.errors import ArcError
from arc_tui.inspect.tensors.binning import QUANTILES, Statistics
from arc_tui.inspect.tensors.compare import Change, Differences
from arc_tui.inspect.tensors.dtypes import ELEMENT_TYPES
from arc_tui.inspect.tensors.header import Part
from arc_tui.inspect.tensors.header_scan import Shape
from arc_tui.inspect.tensors.moments import Update, pairs
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.inspect.tensors.timeline import CheckpointMark, Drift
from arc_tui.inspect.tensors.training import (
    configuration,
    generators,
    memory_entries,
    preference,
    read_training,
)
from arc_tui.inspect.tensors.tree import Tree
from arc_tui.inspect.tensors.verify import FileCheck

INDENTED = 2000
"""Tensors up to which JSON is written for people too."""

Facts = dict[str, Any]


def checkpoint_facts(checkpoint: Checkpoint, tree: Tree | None = None) -> Facts:
    """Return everything but values: totals, types, files, modules, tensors, training.

    Args:
        checkpoint: The checkpoint.
        tree: Of its table, where one is there already.
    """
    table = checkpoint.table
    tree = tree or Tree(table)
    return {
        "name": checkpoint.title,
        "path": str(checkpoint.path),
        "kind": checkpoint.kind.value,
        "run": checkpoint.run.name if checkpoint.run else None,
        "tensor_count": len(table),
        "parameters": int(table.parameters.sum()),
        "bytes": int(table.bytes.sum()),
        "types": type_facts(checkpoint),
        "files": [_file(checkpoint, number, part) for number, part in enumerate(checkpoint.parts)],
        "problems": list(checkpoint.problems),
        "notes": list(checkpoint.notes),
        "training": training_facts(checkpoint),
        "tensors": [tensor_facts(checkpoint, place) for place in tree.places_in_order()],
    }


def type_facts(checkpoint: Checkpoint) -> Facts:
    """Return tensors, parameters and bytes of each element type, the one of most bytes first."""
    table = checkpoint.table
    found: Facts = {}
    for number, element in enumerate(ELEMENT_TYPES):
        here = table.types == number
        if here.any():
            found[element.label] = {
                "tensors": int(here.sum()),
                "parameters": int(table.parameters[here].sum()),
                "bytes": int(table.bytes[here].sum()),
            }
    return dict(sorted(found.items(), key=lambda item: -item[1]["bytes"]))


def _file(checkpoint: Checkpoint, number: int, part: Part) -> Facts:
    here = checkpoint.owners == number
    return {
        "name": part.label,
        "bytes": part.bytes,
        "tensors": int(here.sum()),
        "metadata": part.header.metadata if part.header else {},
        "problem": part.problem,
        "unread": part.unread,
    }


def tensor_facts(checkpoint: Checkpoint, place: int) -> Facts:
    """Return what the header says of a tensor."""
    table = checkpoint.table
    return {
        "name": table.names[place],
        "type": table.element(place).label,
        "shape": list(table.shapes[place]),
        "parameters": int(table.parameters[place]),
        "bytes": int(table.bytes[place]),
        "file": checkpoint.owner(place).label,
    }


def statistics_facts(found: Statistics, shape: Shape) -> Facts:
    """Return a tensor's statistics, places as indices into its shape."""
    facts: Facts = {
        "parameters": found.parameters,
        "finite": found.finite,
        "zeros": found.zeros,
        "nans": found.nans,
        "infinities": found.infinities,
        "first_nans": [list(position(place, shape)) for place in found.first_nans],
        "first_infinities": [list(position(place, shape)) for place in found.first_infinities],
    }
    values = found.values
    if values is None:
        return facts
    return facts | {
        **dataclasses.asdict(values),
        "quantiles": {f"{q:g}": value for q, value in zip(QUANTILES, values.quantiles, strict=True)},
        "magnitudes": {
            "lowest_power_of_two": values.magnitudes.lowest,
            "counts": values.magnitudes.counts,
        },
    }


def position(place: int, shape: Shape) -> tuple[int, ...]:
    """Return the indices of a place in the flattened tensor."""
    found: list[int] = []
    for side in reversed(shape):
        place, index = divmod(place, max(side, 1))
        found.append(index)
    return tuple(reversed(found))


def training_facts(checkpoint: Checkpoint) -> Facts | None:
    """Return where training stood; None for a checkpoint that is not ours.

    What cannot be read is told under `problems`.
    """
    state = read_training(checkpoint)
    if state is None:
        return None
    facts = dataclasses.asdict(state)
    problem, groups = facts.pop("problem"), facts.pop("groups")
    facts |= {"groups": groups, "problems": [problem] if problem else []}
    readers = {
        "memory": lambda: [dataclasses.asdict(entry) for entry in memory_entries(checkpoint)],
        "preference": lambda: (found := preference(checkpoint)) and dataclasses.asdict(found),
        "configuration": lambda: configuration(checkpoint),
    }
    for name, read in readers.items():
        try:
            facts[name] = read()
        except ArcError as error:
            facts[name] = None
            if str(error) not in facts["problems"]:
                facts["problems"].append(str(error))
    facts["random_generators"] = generators(checkpoint)
    facts["parameters_with_moments"] = len(pairs(checkpoint))
    return facts


def update_facts(update: Update) -> Facts:
    """Return a parameter's moments and its update-to-weight ratio."""
    return {**dataclasses.asdict(update), "ratio": update.ratio}


def difference_facts(
    before: Checkpoint, after: Checkpoint, found: Differences, changed: Iterable[Change]
) -> Facts:
    """Return how two checkpoints differ; `changed` in the order in which it is to be shown."""
    listed = list(changed)
    return {
        "before": str(before.path),
        "after": str(after.path),
        "added": list(found.added),
        "removed": list(found.removed),
        "reshaped": [dataclasses.asdict(one) for one in found.reshaped],
        "not_compared": list(found.unread),
        "identical": sum(change.is_none for change in listed),
        "changed": [change_facts(change) for change in listed if not change.is_none or change.retyped],
    }


def change_facts(change: Change) -> Facts:
    """Return how a tensor has changed."""
    return {**dataclasses.asdict(change), "relative": change.relative}


def check_facts(found: Iterable[FileCheck]) -> Facts:
    """Return what came of verifying."""
    files = list(found)
    return {
        "verified": all(file.problem is None for file in files),
        "files": [dataclasses.asdict(file) for file in files],
    }


def mark_facts(mark: CheckpointMark) -> Facts:
    """Return a checkpoint of a timeline."""
    return {**dataclasses.asdict(mark), "path": str(mark.path)}


def drift_facts(drift: Drift) -> Facts:
    """Return how far a layer was at a checkpoint."""
    facts = dataclasses.asdict(drift)
    return {**mark_facts(drift.mark), **{name: facts[name] for name in facts if name != "mark"}}
