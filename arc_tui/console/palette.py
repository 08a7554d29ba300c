"""The palette: every action, found by its words."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from arc_tui.ui.keys import ACTIONS, Action, Scope


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
        """Return what can be called from this screen: not the palette itself, and not a chart's own keys."""
        here = (Scope.APP, getattr(self.screen, "SCOPE", Scope.MAIN))
        return [action for action in ACTIONS if action.scope in here and action.id != "palette"]

    async def _run(self, action: Action) -> None:
        screen = self.screen
        await screen.run_action(action.call)


def _group(action: Action) -> str:
    return f"{action.group} · {action.id}"
