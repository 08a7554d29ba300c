"""The table of keys: what the user may rebind, and what is refused."""

import pytest
from textual.keys import _character_to_key

from arc_core.base.errors import ConfigError
from arc_tui.ui.actions import ACTIONS, CONSOLE, INSPECT, RESULTS, SOLVE, Scope
from arc_tui.ui.keys import BY_ID, by_key, key_name, keymap, shown


def test_ids_are_unique_and_every_action_says_what_it_does():
    assert len(BY_ID) == len(ACTIONS)
    assert all(action.help.endswith(".") and action.label for action in ACTIONS)


def test_default_keys_do_one_thing_each_where_they_are_heard():
    keys = keymap({})
    for screen in {*CONSOLE, *INSPECT, *RESULTS, *SOLVE, Scope.CHART}:
        heard = [key for a in ACTIONS if screen in a.places for key in keys[a.id]]
        assert len(heard) == len(set(heard))


def test_one_key_may_do_different_things_on_different_screens():
    keys = keymap({"browser_statistics": ("c",), "solve_live": ("p",)})
    assert by_key(Scope.BROWSER, keys)["c"].id == "browser_statistics"
    assert (by_key(Scope.MAIN, keys)["p"].id, by_key(Scope.SOLVE, keys)["p"].id) == ("pause", "solve_live")


def test_keys_of_the_issue_are_the_defaults():
    keys = keymap({})
    wanted = {"pause": "p", "checkpoint": "c", "validate": "v", "edit": "e", "stop": "s", "enlarge": "+"}
    wanted |= {"log_scale": "y", "theme": "t", "help": "?", "palette": "ctrl+p", "filter": "/"}
    wanted |= {"older_sample": "[", "newer_sample": "]", "back": "escape"}
    assert {name: keys[name][0] for name in wanted} == wanted
    assert {"q", "d"} <= set(keys["detach"])
    assert [keys[f"panel_{digit}"] for digit in range(1, 9)] == [(str(digit),) for digit in range(1, 9)]


@pytest.mark.parametrize("key", list("+-/\\[],.?<>=_!@#$%^&*(){}|;:'\"`~ aZ5é§"))
def test_key_has_the_name_that_textual_hears(key: str):
    assert key_name(key) == _character_to_key(key)


def test_rebound_key_takes_the_place_of_the_default():
    keys = keymap({"pause": ("P", "space"), "seen": ()})
    heard = by_key(Scope.MAIN, keys)
    assert heard["P"].id == heard["space"].id == "pause"
    assert "p" not in heard
    assert "w" not in heard


def test_two_actions_may_swap_their_keys():
    heard = by_key(Scope.MAIN, keymap({"pause": ("c",), "checkpoint": ("p",)}))
    assert (heard["c"].id, heard["p"].id) == ("pause", "checkpoint")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"pouse": ("x",)}, "There is no action pouse; did you mean pause?"),
        ({"pause": ("c",)}, "The key c is given to pause and to checkpoint"),
        ({"pause": ("q",)}, "The key q is given to pause and to detach"),
        ({"tensor_page_dwn": ("x",)}, "There is no action tensor_page_dwn; did you mean tensor_page_down?"),
        ({"theme": ("z",)}, "The key z is given to theme and to tasks_size"),
        ({"zoom_in": ("b",)}, "The key b is given to zoom_in and to timeline_branch"),
        ({"pause": ("",)}, 'keys.pause has "", which is no key'),
        ({"pause": ("a,b",)}, 'keys.pause has "a,b", which is no key'),
    ],
)
def test_wrong_keys_are_refused_by_name(overrides: dict[str, tuple[str, ...]], sentence: str):
    with pytest.raises(ConfigError) as refusal:
        keymap(overrides)
    assert sentence in str(refusal.value)


def test_keys_are_written_for_the_reader():
    assert shown(("q", "ctrl+q", "escape", "left", "+", "shift+f5")) == "q, Ctrl+Q, Esc, ←, +, Shift+F5"
    assert shown(("pagedown", ",", "space")) == "PgDn, ,, Space"
