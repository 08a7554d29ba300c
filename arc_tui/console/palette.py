"""The palette: every action, found by its words."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from arc_tui.ui.actions import ACTIONS, Action, Scope
from arc_tui.ui.screen import KeyedScreen, perform


class ActionProvider(Provider):
    """Offers the actions of the table of keys."""

    async def discover(self) -> Hits:
        """Offer all of them before anything is typed."""
        for action in self._offered():
            yield DiscoveryHit(Content(action.help), partial(self._run, action), help=_group(action))

    async def search(self, query: str) -> Hits:
        """Offer those that hold what was typed."""
        matcher = self.matcher(query)
        for action in self._offered():
            score = matcher.match(action.help)
            if score > 0:
                highlighted = matcher.highlight(action.help)
                yield Hit(score, highlighted, partial(self._run, action), help=_group(action))

    def _offered(self) -> list[Action]:
        """Return what can be called from this screen but the palette; from a dialog, what the app does."""
        screen = self.screen
        here = screen.SCOPE if isinstance(screen, KeyedScreen) else Scope.CONSOLE
        offered = [action for action in ACTIONS if here in action.places and action.id != "palette"]
        return offered if here is not Scope.CONSOLE else [action for action in offered if action.of_app]

    async def _run(self, action: Action) -> None:
        await perform(action, self.screen)


def _group(action: Action) -> str:
    return f"{action.group} · {action.id}"
