"""Weights that lie on a hub, brought into its cache."""

from __future__ import annotations

from pathlib import Path

from arc_core.base.errors import HubError
from arc_core.base.text import first_of, printable
from arc_core.solver.weights_file import LARGEST_BYTES
from arc_tui.hub import asking
from arc_tui.hub.asking import BusyHubError, UnreachableHubError, answered, hub
from arc_tui.hub.names import HubName
from arc_tui.hub.reading import open_repository

SUFFIX = ".safetensors"
WEIGHTS = "weights.safetensors"
"""The file of a repository that holds its weights, where no other is named."""


def fetch_weights(name: HubName) -> Path:
    """Bring a weights file here, unless it is in the cache already.

    Returns:
        The file in huggingface_hub's cache. Where the hub cannot be reached it is what was fetched last.

    Raises:
        MissingPackageError: If huggingface_hub is not installed.
        HubError: If there is no such file, it is too large, or the hub cannot be reached and it was never
            fetched.
    """
    api = hub(f"Nothing here has the name {printable(name.typed, 200)}, and the hub")
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        file = _chosen(name)
        with answered(name):
            found = api.hf_hub_download(
                name.repo, file, revision=name.revision, etag_timeout=asking.TIMEOUT_SECONDS
            )
    except (UnreachableHubError, BusyHubError) as error:
        try:
            found = api.hf_hub_download(
                name.repo, name.file or WEIGHTS, revision=name.revision, local_files_only=True
            )
        except (LocalEntryNotFoundError, ValueError):
            raise error from None
    return Path(found)


def _chosen(name: HubName) -> str:
    """Return the file of a repository that is meant, once it is known to be of a weights file's size."""
    files = open_repository(name).files
    tensors = [file for file in files if file.endswith(SUFFIX)]
    file = name.file or (WEIGHTS if WEIGHTS in files or len(tensors) != 1 else tensors[0])
    typed = printable(name.typed, 200)
    if file not in files:
        which = (
            f"it has {first_of(tensors)}: name one as {printable(name.repo)}:FILE"
            if tensors
            else "it has none"
        )
        raise HubError(f"{typed}: the repository has no {printable(file, 200)}; {which}.")
    if (files[file] or 0) > LARGEST_BYTES:
        limit = f"{LARGEST_BYTES / 1e6:.0f} MB"
        raise HubError(f"{typed}: {printable(file, 200)} is larger than {limit}: it holds no weights.")
    return file
