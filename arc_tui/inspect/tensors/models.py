"""Puts the files of a folder together into models: an index with its shards, numbered files, or one file."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from arc_core.base.text import printable
from arc_tui.inspect.tensors.header import Part, read_part, unread_part
from arc_tui.inspect.tensors.hugging_face import (
    MOST_SHARDS,
    Shard,
    differences,
    model_of_index,
    numbered,
    read_index,
)
from arc_tui.inspect.tensors.listing import SUFFIX, Listing, Role
from arc_tui.inspect.tensors.tree import natural

MOST_NAMED = 100
"""Missing files of one model that are listed each."""


class Folder(Protocol):
    """Where the files of a listing are; what is wrong with one becomes its part's problem."""

    def path(self, label: str) -> Path:
        """Return a file's path as it is shown."""
        ...

    def part(self, label: str) -> Part:
        """Read a file's header."""
        ...

    def unread(self, label: str) -> Part:
        """Name a file of a form that is not read."""
        ...

    def index(self, label: str) -> tuple[list[Shard], str | None]:
        """Read an index, as `read_index` does."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine."""

    root: Path

    def path(self, label: str) -> Path:
        """Return where a file is."""
        return self.root / label

    def part(self, label: str) -> Part:
        """Read a file's header."""
        return read_part(self.root / label, label)

    def unread(self, label: str) -> Part:
        """Name a file of a form that is not read, and tell whether it truly is one."""
        return unread_part(self.root / label, label)

    def index(self, label: str) -> tuple[list[Shard], str | None]:
        """Read an index."""
        return read_index(self.root / label)


@dataclass
class Model:
    """Files whose tensors belong together.

    Attributes:
        name: Its path without the ending, such as `unet/diffusion_pytorch_model`.
        parts: Its files, the damaged among them.
    """

    name: str
    parts: list[Part] = field(default_factory=list[Part])


def parts_of(folder: Folder, listing: Listing) -> list[Part]:
    """Read the headers of all that is listed, each file in its place.

    Where there is more than one model, each tensor's name begins with its model's.

    Args:
        folder: What the list's paths are in.
        listing: What is there.

    Returns:
        The parts in the order of their labels.
    """
    models = _models(folder, listing)
    prefixes = _prefixes([model.name for model in models]) if len(models) > 1 else [""]
    parts = [
        replace(part, prefix=prefix) if prefix else part
        for model, prefix in zip(models, prefixes, strict=bool(models))
        for part in model.parts
    ]
    for label, role in listing.files.items():
        if role is Role.OTHER:
            parts.append(folder.unread(label))
        elif role is Role.UNFINISHED:
            path = folder.path(label)
            problem = f"{printable(str(path), 500)} is a download or copy that was never finished."
            parts.append(Part(label, path, "", None, problem))
    for label in listing.temporary:
        path = folder.path(label)
        told = f"{printable(str(path), 500)} was never finished, so it is not read."
        parts.append(Part(f"{label}/", path, "", None, unread=told))
    parts += [Part(label, folder.path(label), "", None, why) for label, why in listing.problems.items()]
    return sorted(parts, key=lambda part: natural(part.label))


def _models(folder: Folder, listing: Listing) -> list[Model]:
    tensors = {label for label, role in listing.files.items() if role is Role.TENSORS}
    models: list[Model] = []
    broken: dict[str, Model] = {}
    owners: dict[str, str] = {}
    for label in (label for label, role in listing.files.items() if role is Role.INDEX):
        model, problem = _indexed(folder, label, owners)
        models.append(model)
        if problem is not None:
            broken[model.name] = model
    named = {label: found for label in tensors if (found := numbered(posixpath.basename(label)))}
    groups: dict[tuple[str, int], list[str]] = {}
    for label, found in named.items():
        name = posixpath.join(posixpath.dirname(label), found.model)
        groups.setdefault((name, found.total), []).append(label)
    for (name, total), labels in groups.items():
        left = sorted(label for label in labels if label not in owners)
        if not left:
            continue
        model = broken.get(name)  # shards whose index cannot be read are its model all the same
        if model is None:
            models.append(model := Model(name))
        model.parts += [folder.part(label) for label in left]
        if len(left) == len(labels):  # otherwise an index says which there should be
            model.parts += _missing(folder, left[0], {named[label].number for label in labels}, total)
    for label in tensors - owners.keys() - named.keys():
        models.append(Model(label.removesuffix(SUFFIX), [folder.part(label)]))
    listing.notes += _beside(tensors - owners.keys(), owners)
    return sorted(models, key=lambda model: natural(model.name))


def _beside(left: Iterable[str], owners: dict[str, str]) -> list[str]:
    """Note the files that stand beside an index which does not name them."""
    indexes = {posixpath.dirname(index): index for index in owners.values()}
    return [
        f"{printable(label, 200)} is not named by {printable(indexes[folder], 200)} beside it."
        for label in sorted(left)
        if (folder := posixpath.dirname(label)) in indexes
    ]


def _indexed(where: Folder, label: str, owners: dict[str, str]) -> tuple[Model, str | None]:
    """Read an index and its shards; `owners` gets the index that each file is shown with.

    Returns:
        The model, and what is wrong with the index; None if nothing is.
    """
    folder, name = posixpath.split(label)
    model = Model(posixpath.join(folder, model_of_index(name) or name))
    shards, problem = where.index(label)
    if problem is not None:
        model.parts.append(Part(label, where.path(label), "", None, problem))
    for shard in shards:
        place = posixpath.join(folder, shard.name)
        if shard.problem is not None:
            model.parts.append(Part(place, where.path(label), "", None, shard.problem))
        elif place in owners:
            told = f"{printable(place, 200)} is named by {printable(owners[place], 200)} too."
            model.parts.append(Part(label, where.path(label), "", None, unread=told))
        else:
            owners[place] = label
            model.parts.append(_shard(where, place, shard))
    return model, problem


def _shard(where: Folder, label: str, shard: Shard) -> Part:
    part = where.part(label)
    if part.header is None:
        return replace(part, problem=f"{part.problem} {len(shard.tensors):,} tensors of the index are in it.")
    return replace(part, notes=tuple(differences(shard, printable(label, 200), part.header.table.names)))


def _missing(where: Folder, example: str, have: set[int], total: int) -> Iterable[Part]:
    """Name the files of a numbered model that are not there, as far as they can be listed.

    Args:
        where: The folder.
        example: The path in it of one that is there.
        have: Their numbers.
        total: How many there should be.
    """
    folder, name = posixpath.split(example)
    found = numbered(name)
    assert found is not None
    lost = [number for number in range(1, min(total, MOST_SHARDS) + 1) if number not in have]
    for number in lost[:MOST_NAMED]:
        here, there = (f"-{one:0{found.width}d}-of-" for one in (found.number, number))
        label = posixpath.join(folder, name.replace(here, there))
        told = f"{printable(str(where.path(label)), 500)} is missing: it is number {number} of {total}"
        yield Part(label, where.path(label), "", None, f"{told}.")
    if (more := len(lost) - MOST_NAMED) > 0:
        told = f"{more:,} more files of {printable(example, 200)} are missing."
        yield Part(posixpath.join(folder, "..."), where.path(folder), "", None, told)


def _prefixes(names: list[str]) -> list[str]:
    """Return what stands before the names of each model's tensors: one module of the tree for each."""
    found: dict[str, None] = {}
    for name in names:
        # A dot would make modules of what is one name: `sd_xl_base_1.0`, `model.fp16`.
        plain = name.replace(".", "_")
        choices = itertools.chain([plain], (f"{plain}_{number}" for number in itertools.count(2)))
        found[next(choice for choice in choices if choice not in found)] = None
    return [f"{prefix}." for prefix in found]
