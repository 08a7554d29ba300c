"""An alert, and the form in which each service takes it."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from enum import StrEnum
from string import Template
from typing import cast

from arc_tui.alerts.target import Target, TargetKind

LONGEST_TEXT = 1_500
"""Discord takes 2,000 characters, title and all."""


class Occasion(StrEnum):
    """What an alert tells of."""

    FINISH = "finish"
    CRASH = "crash"
    STALL = "stall"
    BEST = "best"
    WARNING = "warning"


_NTFY = {
    Occasion.FINISH: ("3", "checkered_flag"),
    Occasion.CRASH: ("5", "rotating_light"),
    Occasion.STALL: ("4", "hourglass"),
    Occasion.BEST: ("3", "trophy"),
    Occasion.WARNING: ("4", "warning"),
}
"""Priority and sign of each occasion."""


@dataclass(frozen=True)
class Alert:
    """What is told of a run; its texts are safe to print.

    Attributes:
        occasion: What has happened.
        run: The run's name.
        title: It in a few words, with the name.
        text: The rest in a sentence or two.
    """

    occasion: Occasion
    run: str
    title: str
    text: str


def posted(alert: Alert, target: Target) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers that a target is to get."""
    title, text = alert.title, alert.text[:LONGEST_TEXT]
    if target.kind is TargetKind.NTFY:
        priority, tags = _NTFY[alert.occasion]
        plain = title.encode("ascii", "replace").decode()
        own = {"Title": plain, "Priority": priority, "Tags": tags}
        return text.encode(), {"Content-Type": "text/plain; charset=utf-8", **own, **target.headers}
    if target.kind is TargetKind.SLACK:
        content: object = {"text": _slack(f"*{title}*\n{text}")}
    elif target.kind is TargetKind.DISCORD:
        content = {"content": f"**{title}**\n{text}", "allowed_mentions": {"parse": []}}
    else:
        values = {"run": alert.run, "event": str(alert.occasion), "title": title, "text": text}
        content = _filled(target.template, values | {"host": platform.node()})
    return json.dumps(content).encode(), {"Content-Type": "application/json", **target.headers}


def _slack(text: str) -> str:
    """Escape what Slack would read as a link, or as a call to everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _filled(part: object, values: dict[str, str]) -> object:
    if isinstance(part, dict):
        return {key: _filled(inner, values) for key, inner in cast("dict[str, object]", part).items()}
    if isinstance(part, list):
        return [_filled(inner, values) for inner in cast("list[object]", part)]
    return Template(part).substitute(values) if isinstance(part, str) else part
