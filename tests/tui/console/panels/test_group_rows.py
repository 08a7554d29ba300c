"""How groups of any recipe are drawn: by their kind, and by nothing else."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_runs import CROWDED
from raw_events import typed

from arc_core.run.declared import Declared, GroupKind, Number, NumberGroup
from arc_tui.console.panels.board import board_of
from arc_tui.console.panels.drawing import brief, figure
from arc_tui.console.panels.groups import DRAWINGS, group_rows
from arc_tui.console.panels.validation import validation_row
from arc_tui.drawing.rows import plain, width
from arc_tui.runs.history import History
from arc_tui.runs.state import initial, reduce
from arc_tui.runs.view import Facts, RunView

STEP = {"step": 1, "epoch": 0, "batch": 0, "pairs": 1, "pairs_per_second": 1.0, "elapsed_seconds": 1.0}


def view(*groups: NumberGroup, config: dict[str, object] | None = None, **numbers: Any) -> RunView:
    """A run of these groups after one step of these numbers, by group."""
    return view_of(Declared(groups), config, {"type": "step", **STEP, "nonfinite": [], **numbers})


def view_of(declared: Declared, config: dict[str, object] | None, *events: dict[str, Any]) -> RunView:
    read = typed([{"seq": at, "time": 1.0 * at} | event for at, event in enumerate(events, 1)])
    history = History(declared)
    history.add(read)
    facts = Facts("r", config or {}, declared=declared)
    return RunView(reduce(read, initial({})), history, 0.0, True, facts=facts)


def drawn(shown: RunView, cells: int = 60, lines: int = 20) -> list[str]:
    return [plain(row).rstrip() for row in group_rows(shown, shown.declared.groups, cells, lines)]


def test_every_kind_has_a_drawing():
    assert set(DRAWINGS) == set(GroupKind)


def test_parts_without_a_total_have_no_sum():
    group = NumberGroup.of("loss", GroupKind.CONTRIBUTIONS, "one", "two")
    rows = drawn(view(group, loss={"one": 1.0, "two": 3.0}))
    assert [row.split()[:3] for row in rows] == [["one", "1.0000", "25%"], ["two", "3.0000", "75%"]]


def test_numbers_over_time_have_their_unit_behind_them():
    group = NumberGroup.of("speed", GroupKind.SERIES, Number("tokens", whole=True), unit="tok/s")
    (row,) = drawn(view(group, speed={"tokens": 1234}))
    assert row.startswith("tokens       1,234 tok/s ")


def test_count_that_is_bounded_tells_of_how_many():
    group = NumberGroup.of("store", GroupKind.COUNTERS, Number("entries", whole=True, most=4096.0))
    assert drawn(view(group, store={"entries": 7})) == ["entries          7 of 4,096"]


def test_note_stands_in_place_of_the_numbers():
    group = NumberGroup.of("store", GroupKind.COUNTERS, "entries", note="the store is turned off")
    assert drawn(view(group, store={"entries": 7})) == ["the store is turned off"]


def test_lines_that_a_group_asks_for_are_those_that_are_declared():
    group = NumberGroup.of("a", GroupKind.COUNTERS, "x", drawn=("b.y", "no.such", "a.x"))
    other = NumberGroup.of("b", GroupKind.SERIES, "y", quiet=True)
    shown = view(group, other, a={"x": 1.0}, b={"y": 2.0})
    rows = [plain(row).split()[0] for row in group_rows(shown, [group], 60, 9)]
    assert rows == ["y", "x"]


def test_schedule_that_is_not_known_ahead_shows_its_value():
    group = NumberGroup.of("rate", GroupKind.SCHEDULE, "base")
    assert drawn(view(group, rate={"base": 3e-4}))[0].startswith("base       3.0e-04")


def test_norms_have_no_column_for_what_a_run_does_not_do():
    group = NumberGroup.of("norm", GroupKind.NORMS, "head")
    rows = drawn(view(group, norm={"head": 2.0}))
    assert rows[0].split() == ["norm"]
    assert rows[1].split()[:2] == ["head", "2.0e+00"]
    assert "clip" in drawn(view(group, config={"clip_norm": 1.0}, norm={"head": 2.0}))[0]


@pytest.mark.parametrize(("value", "style"), [(0.0, "fix.failing"), (1e-9, ""), (None, "mark.nan")])
def test_norm_of_exactly_nothing_stands_out(value: float | None, style: str):
    group = NumberGroup.of("norm", GroupKind.NORMS, "head")
    shown = view(group, norm={"head": value})
    assert group_rows(shown, [group], 60, 9)[1][1][1] == style


def test_groups_of_one_kind_stand_below_their_titles():
    groups = [NumberGroup.of(name, GroupKind.SERIES, "x", "y") for name in ("one", "two")]
    shown = view(*groups, one={"x": 1.0, "y": 1.0}, two={"x": 2.0, "y": 1.0})
    assert [row.split()[0] if row else "" for row in drawn(shown)] == ["One", "x", "y", "", "Two", "x", "y"]


def test_groups_that_find_no_room_are_counted():
    groups = [NumberGroup.of(f"g{place}", GroupKind.SERIES, "x") for place in range(9)]
    shown = view(*groups, **{group.name: {"x": 1.0} for group in groups})
    rows = drawn(shown, lines=6)
    assert len(rows) == 6
    assert rows[-1] == "… and 6 more groups"


def test_components_that_find_no_room_are_counted():
    group = NumberGroup.of("norm", GroupKind.NORMS, *(f"n{place}" for place in range(9)))
    rows = drawn(view(group, norm={f"n{place}": 1.0 for place in range(9)}), lines=4)
    assert rows[-1] == "… and 6 more"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.5, "0.5000"), (1234.5, "1234.50"), (1e6, "1000000"), (3e-4, "3.0e-04")],
)
def test_figure_is_as_exact_as_its_cells_hold(value: float, text: str):
    assert figure(value, 7) == text.rjust(7)


def test_number_in_short_is_never_zeros_alone():
    assert [brief(value) for value in (0.25, 0.0, 2e-5, 1e300)] == ["0.250", "0.000", "2.0e-05", "1.0e+300"]


def test_validation_tells_what_there_is():
    validation = {"type": "validation", "step": 1, "split": "x", "score": 0.75, "numbers": {"votes": 16}}
    shown = view_of(Declared(), None, validation)
    assert plain(validation_row(shown)) == "validation    score 0.750, best 0.750  votes 16.000"


def test_run_that_says_nothing_of_validation_has_no_row_of_it():
    shown = view(NumberGroup.of("a", GroupKind.SERIES, "x"), a={"x": 1.0})
    assert validation_row(shown) == []
    settings = {"validate_on": "training"}
    asked = dataclasses.replace(shown, facts=dataclasses.replace(shown.facts, config=settings))
    assert "the first one follows epoch 1" in plain(validation_row(asked))


LEAST_USUAL = 38
"""Width of the narrowest panel of three columns."""

_ODD = (1e300, -1e-300, None, 1.0)
CROWD = view_of(
    CROWDED,
    {"clip_norm": 1.0},
    {"type": "step", **STEP, "nonfinite": []}
    | {g.name: dict(zip([n.name for n in g.numbers], _ODD, strict=True)) for g in CROWDED.groups},
)
DRAWN = board_of(CROWDED).groups


@given(digit=st.sampled_from(sorted(DRAWN)), cells=st.integers(1, 220), lines=st.integers(1, 70))
def test_every_size_holds_the_rows_of_a_crowd(digit: int, cells: int, lines: int):
    rows = group_rows(CROWD, DRAWN[digit], cells, lines)
    assert len(rows) <= lines
    if cells >= LEAST_USUAL:
        assert max(map(width, rows)) <= cells
