"""The tables of keys in the docs; `python -m arc_tui.commands.key_table` prints them."""

from __future__ import annotations

import sys

from arc_tui.ui.actions import ACTIONS
from arc_tui.ui.keys import shown


def tables() -> list[str]:
    """Return every action with its default keys as Markdown tables, one for each group."""
    found: list[str] = []
    for group in dict.fromkeys(action.group for action in ACTIONS):
        lines = [f"### {group}", "", "| key | what it does | id |", "|---|---|---|"]
        for action in ACTIONS:
            if action.group == group:
                keys = shown(action.keys).replace("|", "\\|")
                lines.append(f"| `{keys}` | {action.help} | `{action.id}` |")
        found.append("\n".join(lines) + "\n")
    return found


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables()))
