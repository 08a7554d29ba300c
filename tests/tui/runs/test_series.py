"""The curves of a run in bounded memory."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_events import PIPELINE, typed
from recordings import events_until_step

from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_tui.runs.columns import Columns
from arc_tui.runs.digest import StepTable, step_table
from arc_tui.runs.series import SeriesStore, columns_of

LOSS = "loss.combined"
COLUMNS = Columns.of(PIPELINE)
NUMBERS = COLUMNS.names


def _event(step: int, value: object, **extra: object) -> dict:
    return {
        "type": "step",
        "seq": step,
        "time": 1.0 * step,
        "step": step,
        "loss": {"combined": value},
    } | extra


def steps_of(events: list[dict]) -> StepTable:
    return step_table(typed(events), COLUMNS)


def _store(values: list, capacity: int = 8192, first: int = 1) -> SeriesStore:
    store = SeriesStore(COLUMNS, capacity)
    store.add(steps_of([_event(first + n, value) for n, value in enumerate(values)]))
    return store


def test_every_number_of_a_recorded_step_is_known_by_its_dotted_name():
    steps = [event for event in events_until_step(20) if event["type"] == "step"]
    table = steps_of(steps)
    assert table.steps.tolist() == [event["step"] for event in steps]
    assert table.seqs.tolist() == [event["seq"] for event in steps]
    for row, name in enumerate(NUMBERS):
        group, _, part = name.rpartition(".")
        expected = [(event[group] if group else event)[part] for event in steps]
        assert table.values[row].tolist() == expected, name


@pytest.mark.parametrize("value", [None, math.inf, -math.inf])
def test_null_and_what_json_reads_as_infinity_count_as_not_finite(value: float | None):
    table = steps_of([_event(1, value)])
    row = NUMBERS.index(LOSS)
    assert math.isnan(table.values[row, 0])
    assert table.bad[row, 0]


def test_a_number_that_a_run_lacks_is_told_from_one_that_was_not_finite():
    lost = {"loss": {"combined": None, "risk": None}, "nonfinite": [LOSS]}
    table = steps_of([_event(1, None, **lost)])
    named, unnamed = NUMBERS.index(LOSS), NUMBERS.index("loss.risk")
    assert math.isnan(table.values[named, 0])
    assert math.isnan(table.values[unnamed, 0])
    assert table.bad[:, 0].nonzero()[0].tolist() == [named]


@pytest.mark.parametrize("value", ["much", [1], {"a": 1}, 10**400])
def test_what_is_no_number_is_missing_and_spoils_no_other(value: object):
    table = steps_of([_event(1, value), _event(2, 2.5)])
    row = NUMBERS.index(LOSS)
    assert math.isnan(table.values[row, 0])
    assert not table.bad[:, 0].any()
    assert table.values[row, 1] == 2.5


@pytest.mark.parametrize("step", [0, -3, 1.5, True, None, 1 << 40])
def test_event_without_a_usable_step_is_left_out(step: object):
    assert len(steps_of([_event(1, 1.0) | {"step": step}])) == 0


def test_window_agrees_with_plain_arithmetic_over_its_columns():
    rng = np.random.default_rng(1)
    values = rng.normal(size=500)
    values[[3, 120, 121]] = np.nan
    window = _store([None if math.isnan(v) else float(v) for v in values]).window(LOSS, 101, 400, 60)
    column = columns_of(np.arange(101, 401), 101, 400, 60)
    for at in range(60):
        here = values[100:400][column == at]
        known = here[np.isfinite(here)]
        assert window.count[at] == len(known)
        assert window.bad[at] == len(here) - len(known)
        assert window.low[at] == pytest.approx(known.min(), rel=1e-6)
        assert window.high[at] == pytest.approx(known.max(), rel=1e-6)
        assert window.mean[at] == pytest.approx(known.mean(), abs=1e-12)
    assert (column[0], column[-1]) == (0, 59)


def test_spike_and_gap_of_one_step_survive_a_million_steps():
    store = SeriesStore(COLUMNS)
    row = NUMBERS.index(LOSS)
    template = steps_of([_event(1, 1.0)] * 50_000)
    for start in range(1, 1_000_001, 50_000):
        table = template.select(slice(None))
        table.steps[:] = np.arange(start, start + 50_000)
        table.values[row] = 1.0
        if start == 300_001:
            table.values[row, 777] = 99.0
            table.values[row, 40_000] = np.nan
            table.bad[row, 40_000] = True
        store.add(table)
    window = store.window(LOSS, 1, 1_000_000, 320)
    assert window.high[columns_of(300_778, 1, 1_000_000, 320)] == 99.0
    assert np.nansum(window.high > 1) == 1
    assert window.bad[columns_of(340_001, 1, 1_000_000, 320)] == 1
    assert window.count.sum() == 999_999
    assert store.bytes < 64e6
    newest = store.window(LOSS, 999_001, 1_000_000, 1000)
    assert newest.count.tolist() == [1] * 1000


def test_smoothed_line_is_the_weighted_mean_of_all_before_it():
    rng = np.random.default_rng(2)
    values = rng.normal(size=300)
    store = _store(values.tolist())
    window = store.window(LOSS, 201, 300, 100)
    smooth = store.smoothed(LOSS, window, half_life=8)
    weights = 0.5 ** (np.arange(300)[::-1] / 8)
    for at in (0, 50, 99):
        weight = weights[99 - at :]
        expected = (weight * values[: 201 + at]).sum() / weight.sum()
        assert smooth[at] == pytest.approx(expected, abs=2e-3)


def test_smoothed_line_stands_still_while_the_window_moves():
    values = np.random.default_rng(3).normal(size=400).tolist()
    store = _store(values)
    early = store.smoothed(LOSS, store.window(LOSS, 201, 300, 100), 10)
    late = store.smoothed(LOSS, store.window(LOSS, 251, 350, 100), 10)
    np.testing.assert_allclose(early[50:], late[:50], atol=2e-3)


@settings(deadline=None)
@given(
    count=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 299), max_size=8),
    data=st.data(),
)
def test_stretches_added_from_any_middle_outwards_give_the_same_store(
    count: int, seed: int, cuts: list[int], data: st.DataObject
):
    rng = np.random.default_rng(seed)
    values = [None if rng.random() < 0.1 else float(value) for value in rng.normal(size=count)]
    whole = _store(values, capacity=16)  # so that rings of several widths are filled and give up their oldest
    bounds = sorted({0, count, *(cut for cut in cuts if cut < count)})
    stretches = list(itertools.pairwise(bounds))
    low = high = data.draw(st.integers(0, len(stretches) - 1))
    order = [low]
    while len(order) < len(stretches):
        if high + 1 < len(stretches) and (low == 0 or data.draw(st.booleans())):
            high += 1
            order.append(high)
        else:
            low -= 1
            order.append(low)
    store = SeriesStore(COLUMNS, 16)
    for first, last in (stretches[place] for place in order):
        store.add(steps_of([_event(n + 1, values[n]) for n in range(first, last)]))
    assert (store.first_step, store.last_step) == (whole.first_step, whole.last_step) == (1, count)
    for first, last in ((1, count), (max(1, count - 10), count), (min(3, count), min(40, count))):
        one, other = (found.window(LOSS, first, last, 30) for found in (whole, store))
        for part in ("low", "high", "final", "count", "bad"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part), part)
        np.testing.assert_allclose(one.total, other.total, rtol=1e-9, atol=1e-9)
    assert whole.window(LOSS, 1, count, 30).bad.sum() == values.count(None)
    known = np.array([value for value in values if value is not None])
    window = whole.window(LOSS, 1, count, 30)
    if len(known):
        assert (np.nanmin(window.low), np.nanmax(window.high)) == pytest.approx((known.min(), known.max()))


def test_truncated_store_equals_one_that_never_went_further():
    values = np.random.default_rng(4).normal(size=60).tolist()
    store, short = _store(values, 64), _store(values[:37], 64)
    store.truncate(37)
    assert store.last_step == 37
    for width in (5, 40):
        one, other = (found.window(LOSS, 1, 60, width) for found in (store, short))
        np.testing.assert_array_equal(one.low, other.low)
        np.testing.assert_array_equal(one.count, other.count)
    everything_gone = _store(values)
    everything_gone.truncate(0)
    assert (everything_gone.first_step, everything_gone.last_step) == (0, 0)


def test_bucket_cut_by_a_resume_is_made_anew_from_the_steps_kept_one_by_one():
    store = _store([float(n) for n in range(1, 101)], capacity=32)  # wide buckets hold 4 steps
    store.truncate(90)
    wide = store.window(LOSS, 1, 100, 25)
    assert wide.count.sum() == 90
    assert np.nanmax(wide.high) == 90.0


def test_step_that_is_told_twice_counts_as_told_last():
    store = SeriesStore(COLUMNS)
    store.add(steps_of([_event(1, 1.0), _event(2, 2.0), _event(2, 5.0)]))
    assert store.window(LOSS, 1, 2, 2).mean.tolist() == [1.0, 5.0]


def test_latest_numbers_are_those_of_the_last_step():
    store = _store([1.0, 2.0, 3.5])
    assert store.latest(LOSS) == 3.5
    assert math.isnan(store.latest("reward.total"))
    assert math.isnan(SeriesStore(COLUMNS).latest(LOSS))
    assert store.steps(LOSS, 2).tolist() == [2.0, 3.5]


def test_a_number_that_the_steps_do_not_have_has_no_values():
    store = _store([1.0, 2.0])
    window = store.window("loss.imaginary", 1, 2, 2)
    assert (len(window), window.count.sum(), np.isfinite(window.mean).sum()) == (2, 0, 0)
    assert math.isnan(store.latest("loss.imaginary"))
    assert len(store.steps("loss.imaginary", 2)) == 0


def test_a_store_learns_the_numbers_that_later_tables_have():
    few, more = Columns.of(Declared(FEW)), Columns.of(Declared(MORE))
    store = SeriesStore(few, 16)
    store.add(step_table(typed([_event(n, 1.0 * n) for n in range(1, 41)]), few))
    store.add(step_table(typed([_event(n, 1.0 * n, eval={"f1": n / 100}) for n in range(41, 61)]), more))
    store.add(step_table(typed([_event(n, 1.0 * n) for n in range(61, 71)]), few))
    assert store.window(LOSS, 1, 70, 1).count.tolist() == [70]
    found = store.window("eval.f1", 1, 70, 1)
    assert (found.count[0], found.high[0]) == (20, pytest.approx(0.6))
    assert store.latest(LOSS) == 70.0
    assert math.isnan(store.latest("eval.f1"))


FEW = (NumberGroup.of("loss", GroupKind.SERIES, "combined"),)
MORE = (*FEW, NumberGroup.of("eval", GroupKind.SERIES, "f1"))
