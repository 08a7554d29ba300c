"""Weights with their card sent to a repository on a hub, as one commit that leaves its other files alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arc_core.base.errors import HubError
from arc_core.base.text import printable
from arc_tui.hub import asking
from arc_tui.hub.asking import LOGIN, answered, host_of, hub
from arc_tui.hub.names import HubName
from arc_tui.hub.weights import WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
SENT = (WEIGHTS, CARD)
"""The files of a repository that are ours."""


@dataclass(frozen=True)
class Destination:
    """Where weights are sent.

    Attributes:
        name: The repository.
        host: The hub, as it may be shown.
        private: Whether others cannot see it.
        files: What is in it; None for one that is to be made.
        api: The hub's interface.
    """

    name: HubName
    host: str
    private: bool
    files: frozenset[str] | None
    api: HfApi

    def send(self, weights: Path, card: str, message: str) -> str:
        """Make the repository if need be, and commit.

        Args:
            weights: The weights file.
            card: Its card.
            message: Of the commit.

        Returns:
            The commit's id.

        Raises:
            HubError: If the hub refuses or cannot be reached.
        """
        from huggingface_hub import CommitOperationAdd

        with answered(self.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice about the card
            if self.files is None:
                self.api.create_repo(self.name.repo, private=self.private, exist_ok=True)
            files = [CommitOperationAdd(WEIGHTS, str(weights)), CommitOperationAdd(CARD, card.encode())]
            commit = self.api.create_commit(self.name.repo, files, commit_message=message)
        return printable(str(commit.oid), 40)


def find_destination(name: HubName, *, private: bool) -> Destination:
    """Look where weights are to be sent; nothing is made yet.

    Args:
        name: The repository.
        private: Whether a new one is to be private.

    Raises:
        MissingPackageError: If huggingface_hub is not installed.
        HubError: If nobody is logged in, the hub cannot be reached, or what is to be private is not.
    """
    api = hub("Sending to the hub", asking.SENDING_SECONDS)
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if get_token() is None:
        raise HubError(
            f"{printable(name.typed, 200)}: the hub takes nothing from who is not logged in: {LOGIN}."
        )
    with answered(name):
        try:
            found = api.model_info(name.repo, timeout=asking.TIMEOUT_SECONDS)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return Destination(name, host_of(api), private, None, api)
        files = frozenset(str(one.rfilename) for one in found.siblings or ())
    if private and not found.private:
        raise HubError(f"{name.repo} is there already and public: --private makes a new one.")
    return Destination(name, host_of(api), bool(found.private), files, api)
