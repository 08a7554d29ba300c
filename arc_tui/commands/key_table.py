"""The table of keys in docs/console.md, as `python -m arc_tui.commands.key_table` prints it."""

from __future__ import annotations

import sys

from arc_tui.ui.keys import ACTIONS, shown


def markdown() -> str:
    """Return every action with its default keys as Markdown tables, one for each group."""
    lines: list[str] = []
    for group in dict.fromkeys(action.group for action in ACTIONS):
        lines += [f"### {group}", "", "| key | what it does | id |", "|---|---|---|"]
        for action in ACTIONS:
            if action.group == group:
                keys = shown(action.keys).replace("|", "\\|")
                lines.append(f"| `{keys}` | {action.help} | `{action.id}` |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown())
