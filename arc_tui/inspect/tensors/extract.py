"""Copies parts of a checkpoint out of it: the language model as transformers reads it, or any module."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from arc_core.base.errors import CheckpointError
from arc_core.base.paths import entries, files_below, is_dir, is_file, is_link, is_taken
from arc_core.base.text import printable
from arc_tui.inspect.tensors.listing import SUFFIX
from arc_tui.inspect.tensors.pieces import PIECE_BYTES, DataFiles
from arc_tui.inspect.tensors.source import LANGUAGE_MODEL, Checkpoint, Kind
from arc_tui.inspect.tensors.verify import verify_checkpoint


def export_language_model(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Copy the language model in Hugging Face layout.

    Args:
        checkpoint: A checkpoint of ours; its `lm/` is verified first.
        folder: Where to; made, and refused if something is in it.

    Returns:
        The files written.

    Raises:
        CheckpointError: If there is no language model, it does not verify, or the folder is not empty.
    """
    source = checkpoint.path / LANGUAGE_MODEL
    if checkpoint.kind is not Kind.CHECKPOINT or not is_dir(source) or is_link(source):
        raise CheckpointError(f"{checkpoint.title} has no language model in {LANGUAGE_MODEL}/.")
    _refuse_damaged(checkpoint, f"{LANGUAGE_MODEL}/")
    files = [path for path in files_below(source) if is_file(path) and not is_link(path)]

    def write(target: Path) -> None:
        for file in files:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)

    return _into(folder, write)


def export_module(checkpoint: Checkpoint, module: str, folder: Path) -> list[Path]:
    """Copy a module's tensors into a safetensors file of their own, under their names inside it.

    Args:
        checkpoint: Any checkpoint; one of ours is verified first.
        module: A component such as `agent`, or any module of the tree such as `agent.forward_planner`.
        folder: Where to; made, and refused if something is in it.

    Returns:
        The files written.

    Raises:
        CheckpointError: If there is no such module, it does not verify, or the folder is not empty.
    """
    prefix = f"{module.rstrip('.')}."
    places = [place for place, name in enumerate(checkpoint.table.names) if name.startswith(prefix)]
    if not places:
        known = sorted({name.split(".", 1)[0] for name in checkpoint.table.names})
        shown = ", ".join(printable(name, 40) for name in known[:10])
        raise CheckpointError(
            f'There is no module "{printable(module, 80)}" in {checkpoint.title}; there are {shown}.'
        )
    if checkpoint.kind is Kind.CHECKPOINT:
        for owner in sorted({int(checkpoint.owners[place]) for place in places}):
            _refuse_damaged(checkpoint, checkpoint.parts[owner].label)
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in module.rstrip("."))[:100].lstrip(".")

    def write(target: Path) -> None:
        write_tensors(checkpoint, places, len(prefix), target / f"{name or 'module'}{SUFFIX}")

    return _into(folder, write)


def write_tensors(checkpoint: Checkpoint, places: Sequence[int], cut: int, path: Path) -> None:
    """Write tensors, byte for byte, into a new safetensors file.

    Args:
        checkpoint: Where they are.
        places: Which.
        cut: Characters to leave off the start of each name.
        path: The file; must not exist.

    Raises:
        CheckpointError: If one cannot be read.
    """
    table, header, end = checkpoint.table, dict[str, object](), 0
    # Wide types first, as the format's own writer lays them out, so that all data is aligned.
    order = sorted(places, key=lambda place: (-table.element(place).bits, table.names[place]))
    for place in order:
        begin, end = end, end + int(table.bytes[place])
        header[table.names[place][cut:]] = {
            "dtype": table.element(place).code,
            "shape": list(table.shapes[place]),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    buffer = np.empty(PIECE_BYTES, np.uint8)
    with path.open("xb") as file, DataFiles(checkpoint) as files:
        file.write(struct.pack("<Q", len(text)) + text)
        for place in order:
            size = int(table.bytes[place])
            for start in range(0, size, PIECE_BYTES):
                file.write(files.read_into(place, buffer[: size - start], start).data)


def _refuse_damaged(checkpoint: Checkpoint, prefix: str) -> None:
    for checked in verify_checkpoint(checkpoint.path, prefix):
        if checked.problem is not None:
            raise CheckpointError(
                f"Nothing is written: {checked.name} of {checkpoint.title} {checked.problem}."
            )


def _into(folder: Path, write: Callable[[Path], None]) -> list[Path]:
    """Fill a new folder, or leave nothing behind."""
    shown = printable(str(folder), 500)
    temporary = folder.absolute().with_name(f".tmp-{os.getpid()}-{folder.absolute().name}")
    try:
        if is_taken(folder) and (not is_dir(folder) or bool(entries(folder))):
            raise CheckpointError(f"{shown} is there already and not an empty folder: choose another.")
        temporary.mkdir(parents=True)
        try:
            write(temporary)
            if is_dir(folder):
                folder.rmdir()
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise CheckpointError(f"Cannot write {shown}: {error.strerror}.") from None
    return [path for path in files_below(folder) if is_file(path)]
