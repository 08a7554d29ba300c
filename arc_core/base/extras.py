"""What the base install leaves out, and the command that brings it."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from arc_core.base.errors import MissingPackageError
from arc_core.base.paths import is_file

TRAIN = ("torch", "transformers", "safetensors")
"""What the extra `train` brings."""


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation, whichever tool made it."""
    wanted = shlex.quote(f"arc-tui[{extra}]")
    for receipt, command in (
        ("uv-receipt.toml", "uv tool install"),
        ("pipx_metadata.json", "pipx install --force"),
    ):
        if is_file(Path(sys.prefix) / receipt):
            return f"{command} {wanted}"
    return f"pip install {wanted}"


def require(what: str, extra: str, packages: Iterable[str] = TRAIN) -> None:
    """Refuse to go on where packages of an extra are not installed.

    Args:
        what: Who needs them, as the sentence begins.
        extra: The extra that brings them.
        packages: The modules that are imported.

    Raises:
        MissingPackageError: If one is not there; it says which, and the command that brings it.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        *first, last = missing
        named = f"{', '.join(first)} and {last}, which are" if first else f"{last}, which is"
        raise MissingPackageError(f"{what} needs {named} not installed: {install_command(extra)}")
