"""Who may look, and who may steer: the token, and the addresses that a page is asked from and by."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from arc_core.base.errors import ConfigError
from arc_core.base.files import read_private
from arc_core.base.text import printable

TOKEN = "ARC_TUI_SERVE_TOKEN"
"""The variable that may hold the token."""

_TOKEN_FORM = re.compile(r"[A-Za-z0-9_~.-]{16,512}")
_HANDED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP")
"""What a proxy adds, whose own address says nothing about who asks."""

NO_TOKEN = "This page needs the address with the token that arc-tui serve has printed."
FOREIGN = "This page answers under its own address alone."


def token_of(file: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the token: that of a file, else that of the environment, else a new one.

    Args:
        file: A file of mode 0600 that holds it alone.
        environment: The variables.

    Raises:
        RunError: If the file is a symbolic link, or no regular file.
        ConfigError: If the file cannot be read or others can read it, or what is given is no token; in a
            sentence without it.
    """
    if file is not None:
        given, where = read_private(file).strip(), printable(str(file), 200)
    elif TOKEN in environment:
        given, where = environment[TOKEN], f"{TOKEN} in the environment"
    else:
        return secrets.token_urlsafe(32)
    if not _TOKEN_FORM.fullmatch(given):
        raise ConfigError(f"{where} is no token: one has 16 to 512 letters, digits and signs of - _ . ~")
    return given


def is_loopback(host: str | None) -> bool:
    """Whether a name or an address is this machine's own, which no other machine reaches."""
    if host is None:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@dataclass(frozen=True)
class Access:
    """What is asked of whoever opens the page.

    Attributes:
        token: What they must know.
        only_here: Whether the server listens on an address that other machines do not reach.
        read_only: Whether nobody may steer; False lets everybody, None those on this machine.
    """

    token: str = field(repr=False)
    only_here: bool = True
    read_only: bool | None = None

    def knows(self, given: str | None) -> bool:
        """Whether this is the token."""
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())

    def may_steer(self, peer: str | None, headers: Mapping[str, str]) -> bool:
        """Whether keys of this viewer may ask anything of a run.

        Args:
            peer: The address that the connection comes from.
            headers: Those of the request; names in any case.
        """
        if self.read_only is not None:
            return not self.read_only
        return is_loopback(peer) and not any(name in headers for name in _HANDED_ON)

    def is_own_host(self, host: str) -> bool:
        """Whether a request names this server.

        A page of another site can have its name lead here (DNS rebinding); the browser then says that name.

        Args:
            host: The request's `Host`.
        """
        return not self.only_here or is_loopback(_host_of(f"//{host}"))


def is_same_origin(origin: str | None, host: str) -> bool:
    """Whether a page of this server opens the connection, and not one of another site.

    Args:
        origin: The request's `Origin`, which every browser sends with a websocket.
        host: Its `Host`.
    """
    return origin is not None and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
