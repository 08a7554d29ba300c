"""The comparison with committed pictures, run by a pytest of its own."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py").read_text()
SCREEN = """
from textual.app import App
from textual.widgets import Static

class Hello(App):
    def compose(self):
        yield Static("hello")

def test_hello(snap_compare):
    assert snap_compare(Hello(), terminal_size=(20, 5), run_before=lambda pilot: pilot.pause())
"""


def test_an_altered_picture_fails_and_names_a_page_that_shows_both(pytester: pytest.Pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_screen=SCREEN)
    committed = pytester.path / "__snapshots__/test_screen/test_hello.svg"
    page = pytester.path / "build/snapshots/test_screen/test_hello.html"

    missing = pytester.runpytest()
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines([f"*The picture {committed} is not there yet: see {page}, or accept *"])
    pytester.runpytest("--snapshot-update").assert_outcomes(passed=1)
    accepted = committed.read_text()
    pytester.runpytest().assert_outcomes(passed=1)
    assert committed.read_text() == accepted

    committed.write_text(accepted.replace("hello", "hallo"))
    altered = pytester.runpytest()
    altered.assert_outcomes(failed=1)
    altered.stdout.fnmatch_lines([f"*The picture {committed} differs: see {page}, or accept *"])
    assert "hallo" in committed.read_text()
    found = page.with_suffix(".svg")
    assert found.read_text() == accepted
    assert found.as_uri() in page.read_text()
    assert committed.as_uri() in page.read_text()
