"""The keys of every action: those of the table, or the user's own."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from textual.keys import KEY_NAME_REPLACEMENTS

from arc_core.base.errors import ConfigError
from arc_core.base.options import unknown_key
from arc_core.base.text import printable
from arc_tui.ui.actions import ACTIONS, Action, Scope

Keymap = Mapping[str, tuple[str, ...]]
"""Keys by action id, as `key_name` spells them."""

BY_ID = {action.id: action for action in ACTIONS}

_SIGNS = {
    **{"left": "←", "right": "→", "up": "↑", "down": "↓"},
    **{"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"},
}


def key_name(key: str) -> str:
    """Return the name that Textual has for a key: `comma` for `,`; names are returned as they are."""
    if len(key) != 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def keymap(overrides: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the keys of every action, with the user's own in place of the defaults.

    Args:
        overrides: Keys by action id; an empty list leaves the action without a key.

    Raises:
        ConfigError: If an id is unknown, a key is no key, or one key would do two things in one place.
    """
    for identity in overrides:
        if identity not in BY_ID:
            raise unknown_key(identity, BY_ID, "action")
    result = {action.id: tuple(overrides.get(action.id, action.keys)) for action in ACTIONS}
    taken: dict[tuple[str, Scope], str] = {}
    for action in ACTIONS:
        for key in result[action.id]:
            if not key or key != key.strip() or "," in key[1:]:
                raise ConfigError(f'keys.{action.id} has "{printable(key, 20)}", which is no key.')
            for place in action.places:
                other = taken.setdefault((key_name(key), place), action.id)
                if other != action.id:
                    raise ConfigError(
                        f"The key {printable(key, 20)} is given to {other} and to {action.id}; "
                        "each key can do one thing."
                    )
    return result


def by_key(place: Scope, keys: Keymap) -> dict[str, Action]:
    """Return the actions that are heard in a place by the names that Textual has for their keys.

    Args:
        place: A screen, a chart, or the scope of an app for its dialogs.
        keys: Keys of every action.
    """
    return {key_name(key): action for action in ACTIONS if place in action.places for key in keys[action.id]}


def shown(keys: Sequence[str]) -> str:
    """Write the keys of an action for the reader: `q, d, Ctrl+Q`."""
    return ", ".join(key if len(key) == 1 else "+".join(map(_part, key.split("+"))) for key in keys)


def _part(part: str) -> str:
    return _SIGNS.get(part, part.capitalize())
