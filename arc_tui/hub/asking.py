"""huggingface_hub as it is used here: quiet, never waiting for long, its errors one sentence each.

Address (`HF_ENDPOINT`), cache (`HF_HOME`) and token (`HF_TOKEN`, `hf auth login`) are its own affair.
No sentence repeats what a server or the library has written: either may hold a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from arc_core.base.errors import HubError
from arc_core.base.extras import require
from arc_core.base.text import printable
from arc_tui.hub.names import HubName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PROGRAM = "arc-tui"
TIMEOUT_SECONDS = 10.0
"""So long nothing may come from a hub that is asked or read."""
SENDING_SECONDS = 60.0
"""So long it may be silent while something is sent: it also stores it meanwhile."""
LOGIN = "run `hf auth login`, or set HF_TOKEN"


class BusyHubError(HubError):
    """The hub asks to come back later, or has failed itself: it is worth another try."""


class UnreachableHubError(HubError):
    """The hub does not answer, or may not be asked."""


def hub(what: str, seconds: float = TIMEOUT_SECONDS) -> HfApi:
    """Return the hub's interface.

    Args:
        what: Who needs it, as the sentence begins where it is not installed.
        seconds: How long the hub may be silent.

    Raises:
        MissingPackageError: If huggingface_hub is not installed.
        HubError: If HF_ENDPOINT is no address.
    """
    require(what, "hub", ("huggingface_hub",))
    from huggingface_hub import HfApi, constants, get_session
    from huggingface_hub.utils import disable_progress_bars
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:  # else it warns that this is no use
        disable_progress_bars()
    get_session().timeout = seconds
    api = HfApi(library_name=PROGRAM, library_version=_version())
    host_of(api)
    return api


def headers() -> dict[str, str]:
    """Return what is sent with each request, the user's token among it where there is one."""
    from huggingface_hub.utils import build_hf_headers

    return build_hf_headers(library_name=PROGRAM, library_version=_version())


def _version() -> str:
    import importlib.metadata  # here, as whoever looks at a file here needs none of it

    return importlib.metadata.version(PROGRAM)


def host_of(api: HfApi) -> str:
    """Return as much of a hub's address as anybody may see.

    Raises:
        HubError: If it is none.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(api.endpoint)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0):
            return printable(f"{parts.scheme}://{parts.hostname}", 100)
    raise HubError("HF_ENDPOINT is no address of a hub: it must be https://HOST or http://HOST[:PORT].")


@contextlib.contextmanager
def told(name: HubName, *, elsewhere: bool = False) -> Iterator[None]:
    """Say in one sentence what a hub refuses, or that it cannot be reached.

    Args:
        name: What is asked for.
        elsewhere: Whether the name was looked for here first.

    Raises:
        BusyHubError: If it is worth another try.
        UnreachableHubError: If nothing answers.
        HubError: If it refuses.
    """
    # Its errors are httpx's or httpx2's, by its version.
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        OfflineModeIsEnabled,
    )

    before = f"{printable(name.typed, 200)}: " + ("nothing here has this name, and " if elsewhere else "")
    try:
        yield
    except HubError:
        raise
    except OfflineModeIsEnabled:
        raise UnreachableHubError(f"{before}HF_HUB_OFFLINE keeps this from asking the hub.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        kind = BusyHubError if status == 429 or status >= 500 else HubError
        raise kind(f"{before}{_refusal(error, status, name)}.") from None
    except (HTTPError, OSError) as error:
        why = printable(type(error.__cause__ or error).__name__, 60)
        raise UnreachableHubError(f"{before}the hub cannot be reached ({why}).") from None


@contextlib.contextmanager
def answered(name: HubName, *, elsewhere: bool = False) -> Iterator[None]:
    """Do as `told`, and say so where huggingface_hub stumbles over what a hub has answered.

    Raises:
        HubError: As `told` does, or if the answer is of no known form.
    """
    with told(name, elsewhere=elsewhere):
        try:
            yield
        except OSError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            what = printable(type(error).__name__, 60)
            typed = printable(name.typed, 200)
            raise HubError(
                f"{typed}: huggingface_hub does not understand the hub's answer ({what})."
            ) from None


def _refusal(error: Exception, status: int, name: HubName) -> str:
    """What a hub has refused, as the end of a sentence."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            return f"the hub wants its terms accepted first: do that on its page, then {LOGIN}"
        case RepositoryNotFoundError():
            return f"the hub knows no such repository, or it is private: then {LOGIN}"
        case RevisionNotFoundError():
            return f"the repository has no revision {printable(name.revision or 'main', 80)}"
        case EntryNotFoundError():
            return "the repository has no such file"
        case _:
            pass
    known = {
        401: f"the hub wants to know who asks: {LOGIN}",
        403: "the hub does not allow this to the token that it was given, or without one",
        404: "the hub knows no such repository",
        429: "the hub asks to come back later (429)",
    }
    return known.get(status, f"the hub answers with {status}")
