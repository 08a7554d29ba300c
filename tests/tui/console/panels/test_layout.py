"""Where the panels stand: nothing overlaps, nothing is wasted, whatever the size and the board."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from arc_core.run.recipes import declaration_of
from arc_tui.console.panels.board import (
    EVIDENCE,
    GRIDS,
    LOG,
    MACHINE,
    NORMS,
    PARTS,
    PLANS,
    SIGNED,
    Board,
    board_of,
)
from arc_tui.console.panels.places import SIDE, arrange, columns
from arc_tui.ui.actions import PANEL_NAMES

PIPELINE = board_of(declaration_of({}), evidence=7)
BOARDS = st.builds(
    lambda digits, lines: Board(dict.fromkeys(sorted({*digits, MACHINE, LOG}), "x"), lines=lines),
    st.sets(st.sampled_from(list(PANEL_NAMES))),
    st.fixed_dictionaries({d: st.integers(5, 70) for d in (PARTS, SIGNED, PLANS, NORMS)})
    .flatmap(lambda lines: st.integers(5, 14).map(lambda told: lines | {EVIDENCE: told})),
)  # fmt: skip
SIDES = st.sampled_from(SIDE)


@given(BOARDS, st.integers(1, 300), st.integers(1, 120), st.integers(0, 7), SIDES, st.booleans())
def test_panels_tile_the_area(board: Board, width: int, height: int, at: int, side: int, enlarged: bool):
    current = board.digits[at % len(board.digits)]
    places = arrange(board, width, height, current, side, enlarged=enlarged)
    regions = [*places.panels.values(), *([places.strip] if places.strip else [])]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(regions, 2))
    assert sum(region.area for region in regions) == width * height
    assert all(r.x >= 0 and r.y >= 0 and r.right <= width and r.bottom <= height for r in regions)
    assert places.panels.keys() <= set(board.digits)
    if columns(width, height) > 1:
        assert all(region.height >= 5 for region in places.panels.values())


@given(BOARDS, st.integers(160, 300), st.integers(40, 120))
def test_three_columns_show_every_panel_of_a_board(board: Board, width: int, height: int):
    assert set(arrange(board, width, height, LOG).panels) == set(board.digits)


@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 8))
def test_enlarged_panel_has_all_of_it(width: int, height: int, current: int):
    assert list(arrange(PIPELINE, width, height, current, enlarged=True).panels) == [current]


def test_wide_screen_shows_all_eight_in_three_columns():
    assert columns(160, 44) == 3
    assert sorted(arrange(PIPELINE, 160, 44, PARTS).panels) == list(range(1, 9))


def test_four_grids_of_thirty_columns_fit_beside_each_other_at_two_hundred():
    frame, gap = 2, 2
    assert arrange(PIPELINE, 200, 57, PARTS).panels[GRIDS].width >= 4 * 30 + 3 * gap + frame


def test_two_columns_keep_machine_and_log_behind_their_digits():
    at_first = arrange(PIPELINE, 120, 37, PARTS, PLANS).panels
    assert columns(120, 37) == 2
    assert MACHINE not in at_first
    assert LOG not in at_first
    assert arrange(PIPELINE, 120, 37, LOG, LOG).panels[LOG] == at_first[PLANS]


def test_panels_that_a_board_lacks_give_their_place_to_machine_and_log():
    solver = board_of(declaration_of({"config": {"recipe": "solver"}}))
    assert solver.digits == (PARTS, SIGNED, GRIDS, NORMS, MACHINE, LOG)
    assert sorted(arrange(solver, 120, 37, PARTS).panels) == list(solver.digits)


def test_narrow_screen_shows_one_panel_above_the_strip_of_evidence():
    places = arrange(PIPELINE, 80, 21, GRIDS)
    assert list(places.panels) == [GRIDS]
    assert places.strip is not None
    assert places.strip.height == 1


def test_evidence_needs_no_strip_beside_its_own_panel_or_where_there_is_none():
    assert arrange(PIPELINE, 80, 21, EVIDENCE).strip is None
    assert arrange(board_of(declaration_of({"config": {"recipe": "solver"}})), 80, 21, GRIDS).strip is None
