"""Where alerts go: an address, of which no word may reach a file, a log or a command line open to others.

What is typed or stands in the settings is open to others, so an address that is itself a secret is refused
there: it comes from the environment (`env:NAME`) or from a file of mode 0600 (`file:PATH`), which holds the
address alone, or as TOML

    url = "https://..."
    kind = "ntfy"                     # or slack, discord, webhook; as the host says if left out
    token = "..."                     # sent as `Authorization: Bearer ...`
    headers = { X-Key = "..." }
    template = { text = "$title: $text" }     # the JSON that a webhook gets
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from arc_core.base.errors import ConfigError
from arc_core.base.files import read_private
from arc_core.base.paths import expanded
from arc_core.base.text import printable

TOKEN = "ARC_TUI_ALERT_TOKEN"
"""The variable that holds the token of a server which wants one, where no file gives it."""

PLACEHOLDERS = ("run", "event", "title", "text", "host")
"""What a template may name."""

FORMS = (
    "An alert's address is https://HOST/..., or http://..., or env:NAME for one in the environment, or "
    "file:PATH for one in a file of mode 0600"
)

_DISCORD = re.compile(r"(\w+\.)?discord(app)?\.com")


class TargetKind(StrEnum):
    """What is posted: each service wants another form."""

    NTFY = "ntfy"
    SLACK = "slack"
    DISCORD = "discord"
    WEBHOOK = "webhook"


@dataclass(frozen=True)
class Target:
    """Where alerts go; its secrets are in no representation of it.

    Attributes:
        url: The address.
        kind: What it takes.
        headers: Sent with each alert.
        template: The JSON of a webhook, its texts with placeholders such as `$title`.
    """

    url: str = field(repr=False)
    kind: TargetKind
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    template: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def shown(self) -> str:
        """As much of the address as anybody may see."""
        parts = urlsplit(self.url)
        return printable(f"{parts.scheme}://{parts.hostname}", 100)


def check_typed(given: str) -> None:
    """Refuse what can be no address of alerts, or must not be typed because others could read it.

    Raises:
        ConfigError: In a sentence that does not repeat it.
    """
    source, _, rest = given.partition(":")
    if source == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        return
    if source == "file" and rest:
        return
    parts = _split(given, "this is none of them")
    if _kind_of(parts) is not TargetKind.NTFY or parts.query or "@" in parts.netloc:
        raise ConfigError(
            f"The address at {printable(parts.hostname or '', 100)} holds a secret, which others can read "
            "where it is typed: put it into a file of mode 0600 and give file:PATH, or into the environment "
            "and give env:NAME."
        )


def without_address(argv: Sequence[str]) -> list[str]:
    """Return a command line as run.json may keep it."""
    kept = [re.sub(r"^--alert=.*", "--alert=...", word, flags=re.DOTALL) for word in argv]
    return ["..." if before == "--alert" else word for before, word in zip(["", *kept], kept, strict=False)]


def target_of(given: str, environment: Mapping[str, str] | None = None) -> Target:
    """Find out where alerts go.

    Args:
        given: What was typed, see `check_typed`.
        environment: The variables; None takes those of this process.

    Raises:
        RunError: If the file is a symbolic link, or no regular file.
        ConfigError: If there is no such variable or file, others can read the file, or what it holds is
            wrong; in a sentence without any of it.
    """
    check_typed(given)
    variables = os.environ if environment is None else environment
    source, _, rest = given.partition(":")
    if source == "file":
        return _from_file(expanded(rest), variables)
    if source == "env" and not variables.get(rest):
        raise ConfigError(f"The environment has no {rest}, which is to hold the address of alerts.")
    url = variables[rest].strip() if source == "env" else given
    return _target({"url": url}, f"{rest} in the environment" if source == "env" else "it", variables)


def _from_file(path: Path, variables: Mapping[str, str]) -> Target:
    shown, text = printable(str(path), 200), read_private(path).strip()
    if re.fullmatch(r"https?://\S+", text):
        return _target({"url": text}, shown, variables)
    try:
        return _target(tomllib.loads(text), shown, variables)
    except tomllib.TOMLDecodeError:  # whose message may quote what the file holds
        raise ConfigError(f"{shown} holds neither an address alone nor TOML with url = ...") from None


def _target(content: Mapping[str, Any], where: str, variables: Mapping[str, str]) -> Target:
    known = {"url": str, "kind": str, "token": str, "headers": dict, "template": dict}
    for key, value in content.items():
        if key not in known or not isinstance(value, known[key]):
            wrong = "cannot be that" if key in known else f"is no key of it; there are {', '.join(known)}"
            raise ConfigError(f"{where}: {printable(key, 40)} {wrong}.")
    url, template = content.get("url", ""), content.get("template", {})
    parts = _split(url, f"{where} has none")
    try:
        kind = TargetKind(content["kind"]) if "kind" in content else _kind_of(parts)
    except ValueError:
        raise ConfigError(f"{where}: kind must be {', '.join(TargetKind)}.") from None
    if template and "kind" not in content:
        kind = TargetKind.WEBHOOK
    if bool(template) != (kind is TargetKind.WEBHOOK):
        raise ConfigError(
            f'{where}: a webhook has a template, such as template = {{ text = "$text" }}; nothing else has.'
        )
    _check_template(template, where)
    headers = {str(name): value for name, value in content.get("headers", {}).items()}
    token = content.get("token") or variables.get(TOKEN)
    if token and kind in (TargetKind.NTFY, TargetKind.WEBHOOK):  # the others have theirs in the address
        headers["Authorization"] = f"Bearer {token.strip()}"
    lines = [*headers.keys(), *headers.values()]
    if not all(isinstance(line, str) and re.fullmatch(r"[!-~]( ?[!-~])*", line) for line in lines):
        raise ConfigError(f"{where}: a header or the token is no line of plain text.")
    return Target(url, kind, headers, template)


def _split(url: str, otherwise: str) -> SplitResult:
    """Take an address apart."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
        if usable and re.fullmatch(r"[!-~]+", url):
            return parts
    except ValueError:  # a port that is none, brackets that do not close
        pass
    raise ConfigError(f"{FORMS}; {otherwise}.")


def _kind_of(parts: SplitResult) -> TargetKind:
    host = parts.hostname or ""
    if host == "hooks.slack.com":
        return TargetKind.SLACK
    return TargetKind.DISCORD if _DISCORD.fullmatch(host) else TargetKind.NTFY


def _check_template(part: object, where: str) -> None:
    if isinstance(part, dict):
        for inner in cast("dict[str, object]", part).values():
            _check_template(inner, where)
    elif isinstance(part, list):
        for inner in cast("list[object]", part):
            _check_template(inner, where)
    elif isinstance(part, str):
        template = Template(part)
        if not template.is_valid() or set(template.get_identifiers()) - set(PLACEHOLDERS):
            known = ", ".join(f"${name}" for name in PLACEHOLDERS)
            raise ConfigError(f"{where}: a text of the template has a $ that is none of {known}; $$ is a $.")
    elif not isinstance(part, bool | int | float):
        raise ConfigError(f"{where}: the template holds what JSON does not know.")
