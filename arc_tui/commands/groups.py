"""How `--help` lists commands: under headings, each with its whole sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

HEADINGS = {
    "Train and steer": (
        *("train", "pause", "resume", "checkpoint", "validate", "set", "stop"),
        *("note", "delete", "fetch-lm"),
    ),
    "Look": ("attach", "runs", "status", "logs", "report", "export", "inspect"),
    "Solve and score": ("solve", "eval", "score", "export-weights"),
    "Settings": ("config", "settings", "themes", "completion"),
}
"""The commands of `arc-tui` in the order of its help; a command that is not named here comes first."""

WHOLE = 1000
"""More characters than a command's first sentence has: the formatter breaks lines, and nothing is cut."""


class CommandGroup(TyperGroup):
    """A group of commands whose help cuts no line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, in columns as wide under each heading."""
        told = {
            name: command.get_short_help_str(WHOLE)
            for name, command in self.commands.items()
            if not command.hidden
        }
        widest = max(map(len, told))
        headings = HEADINGS if ctx.parent is None else {}
        rest = set(told) - {name for names in headings.values() for name in names}
        for heading, names in {"Commands": [name for name in told if name in rest], **headings}.items():
            rows = [(name.ljust(widest), told[name]) for name in names if name in told]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
