"""Names of what lies on a hub, as a user types them: `USER/REPO`, `USER/REPO@REVISION`, `USER/REPO:FILE`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from arc_core.base.paths import is_taken, same_place

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^:@]+))?(?::(?P<file>.+))?")
_FILES = (".safetensors", ".json")
"""How a name ends that is a file's: it was meant to be here."""


@dataclass(frozen=True)
class HubName:
    """What a user asks of a hub.

    Attributes:
        repo: The repository, `USER/REPO`.
        revision: A branch, a tag or a commit; None for the main branch.
        file: A file of the repository, or a folder; None for all of it.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    @property
    def typed(self) -> str:
        """As it was typed."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{revision}" + (f":{self.file}" if self.file else "")


def hub_name(typed: str) -> HubName | None:
    """Read a name; None for what can only be a path or the name of a run."""
    match = _NAME.fullmatch(typed)
    if match is None:
        return None
    name = HubName(match["repo"], match["revision"], match["file"])
    return None if name.typed == name.repo and name.repo.endswith(_FILES) else name


def on_hub(typed: str, runs_dir: Path) -> HubName | None:
    """Read a name that may be on a hub; None for what is here, and for a run's name in the folder of runs."""
    name, path = hub_name(typed), Path(typed)
    return None if name is None or is_taken(path) or same_place(path.parent, runs_dir) else name
