"""The table of actions: each names a method that is there, with the arguments that it takes."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from arc_tui.console.app import ConsoleApp
from arc_tui.inspect.app import InspectApp
from arc_tui.results.app import ResultsApp
from arc_tui.solve.app import SolveApp
from arc_tui.ui.actions import ACTIONS, Action, Scope
from arc_tui.ui.app import BaseApp
from arc_tui.ui.chart import Chart
from arc_tui.ui.screen import ENDS, KeyedApp, KeyedScreen

APPS: Sequence[type[KeyedApp]] = (ConsoleApp, InspectApp, ResultsApp, SolveApp)
OF_ALL_APPS = (Scope.CONSOLE, Scope.TOOLS)


def screens(of: type[KeyedScreen] = KeyedScreen) -> Iterator[type[KeyedScreen]]:
    """Every kind of screen that hears keys."""
    for kind in of.__subclasses__():
        if "SCOPE" in vars(kind):
            yield kind
        yield from screens(kind)


SCREENS = sorted(set(screens()), key=lambda kind: kind.__name__)


def refusal(owner: type, action: Action) -> str | None:
    """Why an action could not be called on a screen or app; None if it could."""
    method = getattr(owner, f"action_{action.call}", None)
    if method is None:
        return f"{owner.__name__} has no action_{action.call}"
    signature = inspect.signature(method, eval_str=True)
    try:
        given = signature.bind(None, *action.args).arguments
    except TypeError as error:
        return f"{owner.__name__}.action_{action.call}: {error}"
    taken = [signature.parameters[name].annotation for name in list(given)[1:]]
    wrong = [kind for kind, value in zip(taken, action.args, strict=True) if kind is not type(value)]
    return f"{owner.__name__}.action_{action.call} takes no {wrong}" if wrong else None


def owners(action: Action) -> list[type]:
    """Every screen, app and chart that has to do an action."""
    if action.of_app:
        return [app for app in APPS if not set(app.PLACES).isdisjoint(action.places)]
    if action.scope is Scope.CHART:
        return [Chart]
    return [screen for screen in SCREENS if screen.SCOPE in action.places]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_action_is_a_method_of_all_that_hear_it_with_the_arguments_that_it_takes(action: Action):
    assert owners(action)
    assert [problem for owner in owners(action) if (problem := refusal(owner, action))] == []


def test_wrong_calls_would_be_found():
    def calls(name: str, *args: Any) -> str | None:
        return refusal(BaseApp, Action("x", (), "x", "x", None, "x", Scope.TOOLS, name, args, of_app=True))

    assert calls("theme") is None
    assert calls("them") == "BaseApp has no action_them"
    assert "too many positional arguments" in str(calls("theme", 1))
    solve = next(screen for screen in SCREENS if screen.SCOPE is Scope.SOLVE)
    wrong = Action("x", (), "x", "x", None, "x", Scope.SOLVE, "pick", ("1",))  # type: ignore[arg-type]
    assert "takes no" in str(refusal(solve, wrong))


def test_every_place_of_an_app_is_a_screen_and_every_screen_is_a_place_of_an_app():
    places = {place for app in APPS for place in app.PLACES}
    assert {screen.SCOPE for screen in SCREENS} == places - set(OF_ALL_APPS)
    assert {place for action in ACTIONS for place in action.places} == places | {Scope.CHART}


def test_every_screen_beside_the_main_one_says_how_to_leave_it_and_where_the_keys_are():
    here = {action.id: action.places for action in ACTIONS}
    for screen in SCREENS:
        assert [screen.SCOPE in here[name] for name in ENDS[:2]] == [True, True]
