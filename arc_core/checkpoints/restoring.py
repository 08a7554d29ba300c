"""Step 11: reads a checkpoint back into models of the same configuration, or says what does not fit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from arc_core.base.errors import CheckpointError, RunError
from arc_core.base.files import open_regular
from arc_core.base.paths import is_file
from arc_core.base.text import first_line, printable
from arc_core.checkpoints.form import require_form
from arc_core.checkpoints.snapshot import ALIASES
from arc_core.run.checkpoint_index import FORMAT, STATE, read_manifest, read_state

PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")
"""How pickles begin, and the zip files that torch puts them into."""


def restore_models(
    path: Path, live: Mapping[str, Mapping[str, Tensor]], form: Mapping[str, Any]
) -> dict[str, Any]:
    """Restore what was learned; optimizers and random generators are left alone.

    Args:
        path: The checkpoint's folder.
        live: The models' tensors by the path of their file.
        form: What state.json must look like, as `require_form` takes it.

    Returns:
        state.json.

    Raises:
        CheckpointError: If anything is missing or does not fit; names it.
    """
    state = read_state(path)
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{STATE} has format {state.get('format')!r}; this version reads {FORMAT}")
    require_form(state, form, STATE)
    _require_files(path, cast("list[object]", state["files"]))
    for name, tensors in live.items():
        restore_tensors(path / name, tensors)
    return state


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file's tensors, and its aliases: from each further name of a tensor to the one it is under.

    Raises:
        CheckpointError: If it is missing, damaged, or a pickle.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            aliases = json.loads((file.metadata() or {}).get(ALIASES, "{}"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (SafetensorError, OSError, ValueError) as error:
        if _is_pickle(path):
            raise CheckpointError(
                f"{path} is a pickle, which is never read: where you trust it, load its tensors elsewhere "
                "and write them with safetensors.torch.save_file"
            ) from None
        raise CheckpointError(f"{path} cannot be read: {first_line(error)}") from None
    if not isinstance(aliases, dict):
        raise CheckpointError(f"{path}: its {ALIASES} are no object")
    return tensors, {str(name): str(target) for name, target in cast("dict[str, object]", aliases).items()}


def _require_files(path: Path, listed: list[object]) -> None:
    """Hold what state.json says of the files beside it against the manifest and the folder."""
    there = {entry.name for entry in read_manifest(path)} - {STATE}
    if foreign := sorted(there - set(map(str, listed))):
        raise CheckpointError(f"{STATE}: {printable(foreign[0])} is missing from files")
    for name in map(str, listed):
        if name not in there or not is_file(path / PurePosixPath(name)):
            raise CheckpointError(f"{printable(name)} is missing")


def _is_pickle(path: Path) -> bool:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            return file.read(2) in PICKLE_STARTS
    except (OSError, RunError):
        return False


@torch.no_grad()
def restore_tensors(path: Path, live: Mapping[str, Tensor]) -> None:
    """Copy a file's tensors into live ones of the same names, shapes and types.

    Raises:
        CheckpointError: If the file cannot be read, or a tensor does not fit; names it.
    """
    saved, aliases = read_tensors(path)
    saved |= {name: saved[target] for name, target in aliases.items() if target in saved}
    if missing := sorted(live.keys() - saved.keys()):
        raise CheckpointError(f"{path}: {missing[0]} is missing")
    if foreign := sorted(saved.keys() - live.keys()):
        raise CheckpointError(f"{path}: {printable(foreign[0], 200)} does not belong to this configuration")
    for name, tensor in live.items():
        if saved[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(saved[name].shape)}, not {tuple(tensor.shape)}"
            )
        if saved[name].dtype != tensor.dtype:
            raise CheckpointError(f"{path}: {name} holds {saved[name].dtype}, not {tensor.dtype}")
        tensor.copy_(saved[name])
