"""Where the panels stand: nothing overlaps, nothing is wasted, whatever the size."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from arc_tui.console.panels.layout import (
    CURRICULUM,
    FIXES,
    GRIDS,
    LOG,
    LOSS,
    MACHINE,
    SIDE,
    arrange,
    columns,
)

SIDES = st.sampled_from(SIDE)


@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 8), SIDES, st.booleans())
def test_panels_tile_the_area(width: int, height: int, current: int, side: int, enlarged: bool):
    places = arrange(width, height, current, side, enlarged=enlarged)
    regions = [*places.panels.values(), *([places.strip] if places.strip else [])]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(regions, 2))
    assert sum(region.area for region in regions) == width * height
    assert all(r.x >= 0 and r.y >= 0 and r.right <= width and r.bottom <= height for r in regions)


@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 8))
def test_enlarged_panel_has_all_of_it(width: int, height: int, current: int):
    assert list(arrange(width, height, current, enlarged=True).panels) == [current]


def test_wide_screen_shows_all_eight_in_three_columns():
    assert columns(160, 44) == 3
    assert sorted(arrange(160, 44, LOSS).panels) == list(range(1, 9))


def test_four_grids_of_thirty_columns_fit_beside_each_other_at_two_hundred():
    frame, gap = 2, 2
    assert arrange(200, 57, LOSS).panels[GRIDS].width >= 4 * 30 + 3 * gap + frame


def test_two_columns_keep_machine_and_log_behind_their_digits():
    at_first = arrange(120, 37, LOSS, CURRICULUM).panels
    assert columns(120, 37) == 2
    assert MACHINE not in at_first
    assert LOG not in at_first
    assert arrange(120, 37, LOG, LOG).panels[LOG] == at_first[CURRICULUM]


def test_narrow_screen_shows_one_panel_above_the_strip_of_fixes():
    places = arrange(80, 21, GRIDS)
    assert list(places.panels) == [GRIDS]
    assert places.strip is not None
    assert places.strip.height == 1


def test_fixes_need_no_strip_beside_their_own_panel():
    assert arrange(80, 21, FIXES).strip is None
