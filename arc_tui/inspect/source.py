"""What a PATH stands for: a file, a checkpoint of ours, a run, a Hugging Face folder, a pattern, or nothing.

A damaged file that stands alone is an error. Inside a folder it becomes a part with a problem, shown in its
place beside the readable rest.
"""

from __future__ import annotations

import enum
import functools
import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from arc_core.checkpoint_index import MANIFEST, STATE, checkpoint_id, list_checkpoints, read_manifest
from arc_core.errors import ArcError, CheckpointError, ConfigError
from arc_core.paths import entries, expanded, is_dir, is_file, is_taken, matching, refusal, same_place
from arc_core.rundir import LATEST, RunDirectory, open_run
from arc_core.text import printable
from arc_tui.inspect import hugging_face
from arc_tui.inspect.header import Header, TensorTable, read_header
from arc_tui.inspect.header_scan import Shape

SUFFIX = ".safetensors"
LANGUAGE_MODEL = "lm"
COMPONENTS = ("agent", "policy", "memory", "efe_loss", "prompt", LANGUAGE_MODEL, "optimizer", "rng")
"""Order in which the parts of our checkpoints are shown; others follow."""
MOST_FILES = 10_000
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


class Kind(enum.StrEnum):
    """What was opened."""

    FILE = "file"
    CHECKPOINT = "checkpoint"
    HUGGING_FACE = "hugging face folder"
    FILES = "files"


@dataclass(frozen=True, eq=False)
class Part:
    """A file of a checkpoint.

    Attributes:
        label: Its path as it is shown, inside the folder.
        path: Where it is.
        prefix: What stands before its tensors' names, such as `agent.`; empty if nothing does.
        header: Its header; None if it cannot be read.
        problem: Why not, in one sentence; None if it can.
    """

    label: str
    path: Path
    prefix: str
    header: Header | None
    problem: str | None = None


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
    """

    path: Path
    kind: Kind
    parts: tuple[Part, ...]
    table: TensorTable
    owners: npt.NDArray[np.int32]
    notes: tuple[str, ...] = ()
    run: RunDirectory | None = None

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
            hint = f"; there are {_some(near)}" if near else ""
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
            folder, a pattern such as `models/*.safetensors`, or a run's name; None takes the newest run.
        runs_dir: Where runs are looked up by name.

    Raises:
        CheckpointError: If nothing there can be read; one sentence says why.
        RunError: If it can only be a run's name, and there is none.
    """
    if path is None:
        return of_run(open_run(runs_dir, LATEST))
    try:
        place = expanded(path)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if reason := refusal(place):
        raise CheckpointError(f"{printable(path, 500)} cannot be looked at: {reason}.")
    if is_dir(place):
        return _of_folder(place)
    if is_taken(place):
        return _of_file(place)
    if glob.has_magic(path):
        found = glob.glob(str(place), recursive=True)  # noqa: PTH207 - a pattern may be absolute
        return _of_files(place, sorted(map(Path, found)))
    elsewhere = "/" in path.rstrip("/") and not same_place(place.parent, runs_dir)
    if elsewhere or place.suffix:
        raise CheckpointError(f"There is no {printable(path, 500)}.")
    return of_run(open_run(runs_dir, path))


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
        return _ours(saved[-1], run)
    for path in saved:
        if checkpoint_id(path) == number:
            return _ours(path, run)
    known = ", ".join(str(checkpoint_id(path)) for path in saved)
    raise CheckpointError(f"The run {printable(run.name)} has no checkpoint {number}; it has {known}.")


def _of_file(path: Path) -> Checkpoint:
    if path.name.endswith(hugging_face.INDEX_SUFFIX):
        return _sharded(path.parent, path)
    if path.name in (MANIFEST, STATE):
        return _of_folder(path.parent)
    part = Part(path.name, path, "", read_header(path))
    return assemble(path, Kind.FILE, [part])


def _of_folder(path: Path) -> Checkpoint:
    if is_file(path / MANIFEST) or is_file(path / STATE):
        return _ours(path, _run_of(path))
    if is_file(path / "run.json"):
        return of_run(RunDirectory(path.absolute()))
    if index := hugging_face.find_index(path):
        return _sharded(path, index)
    for pattern in (f"*{SUFFIX}", f"*/*{SUFFIX}"):
        if files := matching(path, pattern):
            return _of_files(path, files)
    if pickled := [file for file in entries(path) if file.suffix in _PICKLES]:
        read_header(pickled[0])  # refuses it with what to do
    raise CheckpointError(f"{printable(str(path), 500)} has no {SUFFIX} file.")


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
    parts = [_part(path / name, name, _component(name) + ".", follow_links=False) for name in names]
    return assemble(path, Kind.CHECKPOINT, parts, notes, run)


def _component(name: str) -> str:
    """Return the part of training that a file of ours belongs to: its folder, else its own name."""
    return name.split("/", 1)[0] if "/" in name else name.removesuffix(SUFFIX)


def _rank(name: str) -> int:
    component = _component(name)
    return COMPONENTS.index(component) if component in COMPONENTS else len(COMPONENTS)


def _sharded(folder: Path, index: Path) -> Checkpoint:
    shards, problem = hugging_face.read_index(index)
    parts = [] if problem is None else [Part(index.name, index, "", None, problem)]
    notes: list[str] = []
    for shard in shards:
        part = Part(shard.label, folder, "", None, shard.problem)
        if shard.problem is None:
            part = _part(folder / shard.name, shard.label, "")
            if part.header is None:
                lost = f" {len(shard.tensors):,} tensors of the index are in it."
                part = Part(part.label, part.path, "", None, f"{part.problem}{lost}")
            else:
                notes += hugging_face.differences(shard, part.header.table.names)
        parts.append(part)
    if problem is not None:
        known = {part.path for part in parts}
        parts += [_part(file, file.name, "") for file in matching(folder, f"*{SUFFIX}") if file not in known]
    return assemble(folder, Kind.HUGGING_FACE, parts, notes)


def _of_files(path: Path, files: Sequence[Path]) -> Checkpoint:
    chosen = [file for file in files if file.suffix == SUFFIX]
    if not chosen:
        if files and is_file(files[0]):
            read_header(files[0])  # a pickle is refused with what to do
        raise CheckpointError(f"No {SUFFIX} file matches {printable(str(path), 500)}.")
    if len(chosen) > MOST_FILES:
        raise CheckpointError(
            f"{printable(str(path), 500)} are {len(chosen)} files; at most {MOST_FILES} go."
        )
    if len(chosen) == 1 and is_dir(path):
        return assemble(path, Kind.HUGGING_FACE, [_part(chosen[0], chosen[0].name, "")])
    base = os.path.commonpath([file.absolute().parent for file in chosen])
    labels = [os.path.relpath(file.absolute(), base) for file in chosen]
    parts = [
        _part(file, label, f"{label.removesuffix(SUFFIX)}." if len(chosen) > 1 else "")
        for file, label in zip(chosen, labels, strict=True)
    ]
    return assemble(path, Kind.FILES, parts)


def _part(path: Path, label: str, prefix: str, *, follow_links: bool = True) -> Part:
    try:
        return Part(label, path, prefix, read_header(path, follow_links=follow_links))
    except ArcError as error:
        return Part(label, path, prefix, None, str(error))


def assemble(
    path: Path,
    kind: Kind,
    parts: Sequence[Part],
    notes: Iterable[str] = (),
    run: RunDirectory | None = None,
) -> Checkpoint:
    """Join the tables of all readable parts.

    Raises:
        CheckpointError: If no part can be read; says why the first cannot.
    """
    readable = [(place, part) for place, part in enumerate(parts) if part.header is not None]
    if not readable:
        first = next((part.problem for part in parts if part.problem), None)
        raise CheckpointError(first or f"{printable(str(path), 500)} has no {SUFFIX} file.")
    tables = [cast(Header, part.header).table for _, part in readable]
    told = [
        *notes,
        *(f"{printable(p.label, 200)}: {note}" for _, p in readable for note in cast(Header, p.header).notes),
    ]
    names = [
        f"{part.prefix}{name}" if part.prefix else name
        for (_, part), table in zip(readable, tables, strict=True)
        for name in table.names
    ]
    if len(tables) > 1 and (repeated := len(names) - len(set(names))):
        told.append(f"{repeated:,} names are in more than one file; the first of each is taken.")
    shapes: list[Shape] = [shape for table in tables for shape in table.shapes]
    table = TensorTable(
        names,
        np.concatenate([table.types for table in tables]),
        shapes,
        np.concatenate([table.parameters for table in tables]),
        np.concatenate([table.begins for table in tables]),
        np.concatenate([table.ends for table in tables]),
    )
    owners = np.repeat(np.array([place for place, _ in readable], np.int32), [len(table) for table in tables])
    return Checkpoint(path, kind, tuple(parts), table, owners, tuple(told), run)


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(name, 80) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
