"""docs/console.md tells the keys, panels and states as they are."""

import re
from pathlib import Path

import pytest

from arc_tui.commands.key_table import tables
from arc_tui.commands.report import PANELS
from arc_tui.drawing.signs import PHASE_SIGNS
from arc_tui.looks.themes import theme_folder, theme_paths
from arc_tui.runs.marks import GLYPHS as MARK_GLYPHS
from arc_tui.ui.actions import ACTIONS, PANEL_NAMES

DOCS = Path(__file__).parents[3] / "docs"
DOC, BROWSERS = ((DOCS / name).read_text(encoding="utf-8") for name in ("console.md", "inspect.md"))


def test_tables_of_keys_are_those_of_console_and_browsers():
    wrong = [table for table in tables() if table not in DOC + BROWSERS]
    assert wrong == [], "python -m arc_tui.commands.key_table prints the tables as they should be"
    assert all(f"`{action.id}`" in DOC + BROWSERS for action in ACTIONS)


@pytest.mark.parametrize(("digit", "name"), PANEL_NAMES.items())
def test_every_panel_is_told_under_its_digit(digit: int, name: str):
    assert f"\n{digit}. **{name}.**" in DOC


@pytest.mark.parametrize(("phase", "glyph"), PHASE_SIGNS.items())
def test_every_state_is_told_with_its_sign(phase: str, glyph: str):
    assert re.search(rf"\| `{re.escape(glyph)}` \| {phase.upper()} \|", DOC)


def test_every_mark_and_theme_is_told():
    assert [glyph for glyph in MARK_GLYPHS.values() if f"`{glyph}`" not in DOC] == []
    assert [name for name in theme_paths([theme_folder()]) if f"`{name}`" not in DOC] == []


def test_panels_of_the_examples_can_be_drawn():
    named = re.findall(r"--(?:svg|png) (\w+)", DOC)
    assert named
    assert set(named) <= set(PANELS.split(", "))
