"""A theme as Textual takes it: its own colours for its widgets, and ours as variables for the CSS."""

from __future__ import annotations

import dataclasses

from textual.theme import Theme as TextualTheme

from arc_tui.looks.styles import ink_on
from arc_tui.looks.themes import Theme


def to_textual(theme: Theme) -> TextualTheme:
    """Convert a theme.

    Args:
        theme: The theme. Textual itself takes the colours out again where NO_COLOR is set.

    Returns:
        A theme to register with an app. Beside Textual's own variables the CSS may use every colour of
        `status` and `surface` by its name with a hyphen before it that says which: `$state-running`,
        `$surface-border`, and `$accent-ink`, which is readable on the accent.
    """
    status, surface = theme.status, theme.surface
    variables = {f"state-{name}": colour for name, colour in dataclasses.asdict(status).items()}
    variables |= {f"surface-{name}": colour for name, colour in dataclasses.asdict(surface).items()}
    variables |= {
        "accent-ink": ink_on(surface.accent),
        "border": surface.accent,
        "border-blurred": surface.border,
        "block-cursor-background": surface.accent,
        "block-cursor-foreground": ink_on(surface.accent),
        "footer-background": surface.panel,
        "footer-key-foreground": surface.accent,
        "footer-description-foreground": surface.text,
        "scrollbar": surface.border,
        "scrollbar-hover": surface.accent,
        "scrollbar-active": surface.accent,
        "scrollbar-background": surface.panel,
        "scrollbar-background-hover": surface.panel,
        "scrollbar-background-active": surface.panel,
        "scrollbar-corner-color": surface.panel,
    }
    return TextualTheme(
        name=theme.name,
        primary=surface.accent,
        secondary=status.finished,
        accent=surface.accent,
        warning=status.warning,
        error=status.error,
        success=status.good,
        foreground=surface.text,
        background=surface.background,
        surface=surface.panel,
        panel=surface.panel,
        dark=theme.dark,
        text_alpha=1.0,
        variables=variables,
    )
