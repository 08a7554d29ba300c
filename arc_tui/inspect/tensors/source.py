"""What a PATH stands for: a file, our checkpoint, a run, a Hugging Face folder, a pattern, a hub's name.

A damaged file that stands alone is an error. Inside a folder it becomes a part with a problem, shown in its
place beside the readable rest.
"""

from __future__ import annotations

import enum
import functools
import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from arc_core.base.errors import CheckpointError, ConfigError
from arc_core.base.paths import entries, expanded, is_dir, is_file, is_taken, matching, refusal, same_place
from arc_core.base.text import first_of, printable
from arc_core.run.checkpoint_index import MANIFEST, STATE, checkpoint_id, list_checkpoints, read_manifest
from arc_core.run.directory import LATEST, RunDirectory, open_run
from arc_tui.hub.names import HubName, on_hub
from arc_tui.hub.reading import open_repository
from arc_tui.inspect.tensors.header import FileHeader, Part, read_header, read_part
from arc_tui.inspect.tensors.header_scan import Shape, TensorTable
from arc_tui.inspect.tensors.hub_folder import HubFolder, list_repository, shown_name
from arc_tui.inspect.tensors.listing import SUFFIX, Listing, Role, list_folder, role_of
from arc_tui.inspect.tensors.models import Folder, LocalFolder, parts_of

LANGUAGE_MODEL = "lm"
COMPONENTS = ("agent", "policy", "memory", "efe_loss", "prompt", LANGUAGE_MODEL, "optimizer", "rng")
"""Order in which the parts of our checkpoints are shown; others follow."""


class Kind(enum.StrEnum):
    """What was opened."""

    FILE = "file"
    CHECKPOINT = "checkpoint"
    HUGGING_FACE = "hugging face folder"
    HUB = "hub repository"
    FILES = "files"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An opened checkpoint: every header, no data.

    Attributes:
        path: What was opened.
        kind: What it is.
        parts: Its files, the damaged ones among them.
        table: The tensors of all readable parts; names with their part's prefix.
        owners: [N] the part that each tensor is in.
        notes: One sentence for each oddity.
        run: The run that it belongs to; None if it belongs to none.
        manifests: Checkpoints of ours under the path, whose manifests tell what their files should be.
    """

    path: Path
    kind: Kind
    parts: tuple[Part, ...]
    table: TensorTable
    owners: npt.NDArray[np.int32]
    notes: tuple[str, ...] = ()
    run: RunDirectory | None = None
    manifests: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """Its name in one line, safe to print."""
        name = self.path.name or str(self.path)
        return printable(f"{self.run.name}/{name}" if self.run else name, 200)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each part that cannot be read."""
        return tuple(part.problem for part in self.parts if part.problem)

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Place of each name in the table."""
        return {name: place for place, name in reversed(list(enumerate(self.table.names)))}

    def find(self, name: str) -> int:
        """Return a tensor's place in the table.

        Raises:
            CheckpointError: If there is none of that name; names the nearest.
        """
        place = self.places.get(name)
        if place is None:
            near = [known for known in self.table.names if known.endswith(f".{name}")]
            if len(near) == 1:
                return self.places[near[0]]
            hint = f"; there are {first_of(near)}" if near else ""
            raise CheckpointError(f'There is no tensor "{printable(name, 80)}" in {self.title}{hint}.')
        return place

    def owner(self, place: int) -> Part:
        """Return the part that a tensor is in."""
        return self.parts[self.owners[place]]

    @functools.cached_property
    def by_layout(self) -> npt.NDArray[np.int64]:
        """[N] places in the order in which their bytes lie in the files."""
        return np.lexsort((self.table.begins, self.owners)).astype(np.int64)


def open_checkpoint(path: str | None, runs_dir: Path) -> Checkpoint:
    """Open what a PATH stands for, by headers alone.

    Args:
        path: A `.safetensors` file, a folder of them, an index of shards, a checkpoint of ours, a run's
            folder, a pattern such as `models/*.safetensors`, or a run's name; `USER/REPO[@REVISION][:FILE]`
            for a repository on a hub, where nothing here has that name; None takes the newest run.
        runs_dir: Where runs are looked up by name.

    Raises:
        CheckpointError: If nothing there can be read; one sentence says why.
        RunError: If it can only be a run's name, and there is none.
        HubError: If it can only be on a hub, and cannot be read there.
        MissingPackageError: If it can only be on a hub, and huggingface_hub is not installed.
    """
    if path is None:
        return of_run(open_run(runs_dir, LATEST))
    shown = printable(path, 500)
    try:
        place = expanded(path)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if is_taken(place):
        return _of_folder(place) if is_dir(place) else _of_file(place)
    if glob.has_magic(path):
        found = glob.glob(str(place), recursive=True)  # noqa: PTH207 - a pattern may be absolute
        return _of_pattern(place, sorted(map(Path, found)))
    if reason := refusal(place):
        raise CheckpointError(f"{shown} cannot be looked at: {reason}.")
    if (name := on_hub(path, runs_dir)) is not None:
        return of_hub(name)
    beside = same_place(place.parent, runs_dir)
    if ("/" in path.rstrip("/") and not beside) or place.suffix:
        raise CheckpointError(f"There is no {shown}.")
    return of_run(open_run(runs_dir, path))


def of_hub(name: HubName) -> Checkpoint:
    """Open what lies on a hub, by the headers alone, which are read by range requests.

    Raises:
        CheckpointError: If nothing there can be read.
        HubError: If the hub does not have it, refuses, or cannot be reached.
        MissingPackageError: If huggingface_hub is not installed.
    """
    repository = open_repository(name)
    listing = list_repository(repository, name)
    path = Path(shown_name(repository) + (f":{name.file}" if name.file else ""))
    return _listed(path, HubFolder(repository, listing), listing, Kind.HUB)


def of_run(run: RunDirectory, number: int | None = None) -> Checkpoint:
    """Open a checkpoint of a run.

    Args:
        run: The run.
        number: Which one; None takes the newest.

    Raises:
        CheckpointError: If the run has no such checkpoint.
    """
    saved = list_checkpoints(run.checkpoints)
    if not saved:
        raise CheckpointError(f"The run {printable(run.name)} has no checkpoint yet.")
    if number is None:
        return replace(_ours(saved[-1], run), manifests=tuple(saved))
    for path in saved:
        if checkpoint_id(path) == number:
            return _ours(path, run)
    known = ", ".join(str(checkpoint_id(path)) for path in saved)
    raise CheckpointError(f"The run {printable(run.name)} has no checkpoint {number}; it has {known}.")


def _of_file(path: Path) -> Checkpoint:
    role = role_of(path.name)
    if role is Role.INDEX:
        listing = Listing({path.name: Role.INDEX})
        return _listed(path.parent, LocalFolder(path.parent), listing)
    if path.name in (MANIFEST, STATE):
        return _of_folder(path.parent)
    return assemble(path, Kind.FILE, [Part(path.name, path, "", read_header(path))])


def _of_folder(path: Path) -> Checkpoint:
    if reason := refusal(path):
        raise CheckpointError(f"{printable(str(path), 500)} cannot be looked at: {reason}.")
    names = {entry.name for entry in entries(path)}
    if MANIFEST in names or STATE in names:
        return _ours(path, _run_of(path))
    if "run.json" in names:
        return of_run(RunDirectory(path.absolute()))
    return _listed(path, LocalFolder(path), list_folder(path))


def _of_pattern(pattern: Path, found: Sequence[Path]) -> Checkpoint:
    """Open whatever matches a pattern: files with weights, and folders whole."""
    if not found:
        raise CheckpointError(f"No {SUFFIX} file matches {printable(str(pattern), 500)}.")
    base = Path(os.path.commonpath([path.absolute().parent for path in found]))
    listing = Listing()
    for path in found:
        label = os.path.relpath(path.absolute(), base)
        if is_dir(path):
            listing.add(label, list_folder(path))
        elif (role := role_of(path.name)) is not None:
            listing.files[label] = role
    return _listed(pattern, LocalFolder(base), listing, Kind.FILES)


def _listed(path: Path, folder: Folder, listing: Listing, kind: Kind | None = None) -> Checkpoint:
    """Open what is listed; of no other kind than it turns out to be unless one is given.

    Raises:
        CheckpointError: If there is no tensor file, or the only file cannot be read.
    """
    shown = printable(str(path), 500)
    parts = parts_of(folder, listing)
    unread = [part.unread for part in parts if part.unread]
    if not parts:
        raise CheckpointError(f"{shown} has no {SUFFIX} file.")
    if len(unread) == len(parts):
        more = f" {shown} has no {SUFFIX} file, and {len(unread) - 1} more like this." if unread[1:] else ""
        raise CheckpointError(f"{unread[0]}{more}")
    models = {part.prefix for part in parts if part.header is not None}
    kind = kind or (Kind.FILES if len(models) > 1 else Kind.HUGGING_FACE)
    return assemble(path, kind, parts, listing.notes, manifests=listing.checkpoints)


def _run_of(path: Path) -> RunDirectory | None:
    run = RunDirectory(path.absolute().parent.parent)
    return run if path.absolute().parent.name == "checkpoints" and is_file(run.run_json) else None


def _ours(path: Path, run: RunDirectory | None) -> Checkpoint:
    notes: list[str] = []
    try:
        listed = {entry.name for entry in read_manifest(path) if entry.name.endswith(SUFFIX)}
    except CheckpointError as error:
        listed = set[str]()
        notes.append(str(error))
    here = {file.relative_to(path).as_posix() for file in matching(path, f"**/*{SUFFIX}")}
    names = sorted(listed | here, key=lambda name: (_rank(name), name))
    parts = [read_part(path / name, name, _component(name) + ".", follow_links=False) for name in names]
    return assemble(path, Kind.CHECKPOINT, parts, notes, run, [path])


def _component(name: str) -> str:
    """Return the part of training that a file of ours belongs to: its folder, else its own name."""
    return name.split("/", 1)[0] if "/" in name else name.removesuffix(SUFFIX)


def _rank(name: str) -> int:
    component = _component(name)
    return COMPONENTS.index(component) if component in COMPONENTS else len(COMPONENTS)


def assemble(
    path: Path,
    kind: Kind,
    parts: Sequence[Part],
    notes: Iterable[str] = (),
    run: RunDirectory | None = None,
    manifests: Iterable[Path] = (),
) -> Checkpoint:
    """Join the tables of all readable parts.

    Raises:
        CheckpointError: If the only part cannot be read; says why. Several are shown with their problems.
    """
    readable = [(place, part) for place, part in enumerate(parts) if part.header is not None]
    problems = [part.problem for part in parts if part.problem]
    if not readable and len(problems) < 2:
        raise CheckpointError(
            problems[0] if problems else f"{printable(str(path), 500)} has no {SUFFIX} file."
        )
    tables = [cast(FileHeader, part.header).table for _, part in readable]
    told = [
        *notes,
        *(
            f"{printable(p.label, 200)}: {note}"
            for _, p in readable
            for note in cast(FileHeader, p.header).notes
        ),
        *(note for part in parts for note in part.notes),
    ]
    names = [
        f"{part.prefix}{name}" if part.prefix else name
        for (_, part), table in zip(readable, tables, strict=True)
        for name in table.names
    ]
    if len(tables) > 1 and (repeated := len(names) - len(set(names))):
        told.append(f"{repeated:,} names are in more than one file; the first of each is taken.")
    shapes: list[Shape] = [shape for table in tables for shape in table.shapes]
    none = np.zeros(0, np.int64)
    table = TensorTable(
        names,
        np.concatenate([none.astype(np.uint8), *(table.types for table in tables)]),
        shapes,
        np.concatenate([none, *(table.parameters for table in tables)]),
        np.concatenate([none, *(table.begins for table in tables)]),
        np.concatenate([none, *(table.ends for table in tables)]),
    )
    counts = np.array([len(table) for table in tables], np.int64)
    owners = np.repeat(np.array([place for place, _ in readable], np.int32), counts)
    return Checkpoint(path, kind, tuple(parts), table, owners, tuple(told), run, tuple(manifests))


def metadata_of(checkpoint: Checkpoint) -> list[tuple[list[str], dict[str, str]]]:
    """Return the free text of the headers with the labels of the files that have it, each text once."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for part in checkpoint.parts:
        if part.header is not None and part.header.metadata:
            found.setdefault(tuple(part.header.metadata.items()), []).append(part.label)
    return [(labels, dict(items)) for items, labels in found.items()]
