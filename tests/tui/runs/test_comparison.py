"""Runs compared: which are put together, and mean and range of them held against plain arithmetic."""

import json
import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_events import typed

from arc_core.run.event_forms import ValidationEvent
from arc_tui.runs.comparison import (
    NOT_COMPARED,
    ComparedRun,
    GroupHistory,
    RunGroup,
    by_seeds,
    capacity_of,
    differing,
    letter_of,
    mean_text,
    spread,
)
from arc_tui.runs.history import History
from arc_tui.runs.series import CAPACITY, FACTOR
from arc_tui.runs.state import RunState, ValidationResult

LOSS = "loss.combined"


def history(values: dict[int, float | None]) -> History:
    """A run's loss by its steps; None is a number that was not finite."""
    found = History(capacity=512)
    found.add(
        typed(
            {"type": "step", "seq": step, "time": 1.0, "step": step, "loss": {"combined": value}}
            | {"nonfinite": [LOSS] if value is None else []}
            for step, value in values.items()
        )
    )
    return found


def compared(run: str, best: ValidationResult | None = None, **config: Any) -> ComparedRun:
    state = RunState(validations=(best,)) if best is not None else None
    return ComparedRun(run, config, History(capacity=64), state)


def names(groups: list[RunGroup]) -> list[str]:
    return ["".join(run.name for run in group.runs) for group in groups]


# Which runs are one line


def test_runs_that_differ_in_their_seed_alone_are_together_wherever_they_stand():
    runs = [
        compared(n, seed=seed, lr=lr) for n, seed, lr in [("a", 1, 1), ("b", 1, 2), ("c", 2, 1), ("d", 3, 1)]
    ]
    assert names(by_seeds(runs)) == ["acd", "b"]


@pytest.mark.parametrize("option", NOT_COMPARED)
def test_how_a_run_was_started_parts_no_runs(option: str):
    runs = [compared("a", seed=1, lr=1, **{option: "x"}), compared("b", seed=2, lr=1, **{option: "y"})]
    assert names(by_seeds(runs)) == ["ab"]
    assert differing([RunGroup([run]) for run in runs]) == ["seed"]


def test_runs_without_a_seed_or_without_options_stay_by_themselves():
    runs = [
        compared("a", lr=1),
        compared("b", lr=1),
        compared("c"),
        compared("d"),
        compared("e", lr=1, seed=1),
    ]
    assert names(by_seeds(runs)) == ["a", "b", "c", "d", "e"]


OPTIONS = st.fixed_dictionaries(
    {"seed": st.integers(0, 3)},
    optional={"lr": st.sampled_from([1e-4, 3e-4]), "deep": st.booleans(), "text": st.none() | st.just("x")},
)


@given(st.lists(OPTIONS, min_size=1, max_size=12))
def test_groups_are_those_of_equal_options_in_the_order_of_the_first(configs: list[dict]):
    expected: dict[str, list[int]] = {}
    for at, config in enumerate(configs):
        rest = {key: value for key, value in config.items() if key != "seed"}
        expected.setdefault(json.dumps(rest, sort_keys=True), []).append(at)
    found = by_seeds([compared(str(at), **config) for at, config in enumerate(configs)])
    assert [[int(run.name) for run in group.runs] for group in found] == list(expected.values())


@pytest.mark.parametrize(
    ("seeds", "told"), [([1], ""), ([1, 2], "2 seeds"), ([3, 1, 2], "3 seeds"), ([1, 2, 1], "3 runs")]
)
def test_members_are_seeds_until_one_stands_twice(seeds: list[int], told: str):
    group = RunGroup([compared(f"r{at}", seed=seed) for at, seed in enumerate(seeds)])
    assert group.members == told
    assert group.label == ("r0" if len(seeds) == 1 else f"r0 +{len(seeds) - 1}")


def test_options_that_differ_are_told_and_seeds_of_groups_only_where_they_are_others():
    runs = [
        compared("a", seed=1, lr=1, dim=8),
        compared("b", seed=2, lr=1, dim=8),
        compared("c", seed=1, lr=2),
    ]
    groups = by_seeds(runs)
    assert differing(groups) == ["seed", "lr", "dim"]
    assert [group.option("seed") for group in groups] == ["1, 2", 1]
    pairs = [*runs[:2], compared("c", seed=1, lr=2, dim=8), compared("d", seed=2, lr=2, dim=8)]
    assert differing(by_seeds(pairs)) == ["lr"]


# Mean and range


def test_mean_and_range_of_runs_are_those_of_their_numbers_at_each_step():
    values = [{n: float((7 * n + 3 * run) % 11) for n in range(1, 41)} for run in range(3)]
    window, mean = GroupHistory([history(each) for each in values]).curve(LOSS, 1, 40, 40, None)
    for step in range(1, 41):
        at = [each[step] for each in values]
        assert mean[step - 1] == pytest.approx(statistics.fmean(at))
        assert (window.low[step - 1], window.high[step - 1]) == (min(at), max(at))
    assert window.count.tolist() == [3] * 40


def test_range_is_that_of_the_lines_as_they_are_drawn_of_each_run():
    runs = [history({n: math.sin(n * (run + 1)) for n in range(1, 301)}) for run in range(3)]
    window, mean = GroupHistory(runs).curve(LOSS, 1, 300, 80, 9.0)
    lines = []
    for run in runs:  # the average as it is defined, weight by weight
        of_run = run.window(LOSS, 1, 300, 80)
        decay = 0.5 ** ((299 / 79) / 9.0)
        total = weight = 0.0
        line = []
        for sum_, count in zip(of_run.total, of_run.count, strict=True):
            total, weight = total * decay + sum_, weight * decay + count
            line.append(total / weight)
        lines.append(line)
    np.testing.assert_allclose(mean, np.mean(lines, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(window.low, np.min(lines, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(window.high, np.max(lines, axis=0), rtol=1e-3, atol=1e-4)


def test_a_run_that_tells_a_number_less_often_counts_between_too():
    often = history(dict.fromkeys(range(1, 22), 1.0))
    seldom = history({n: float(n) for n in range(1, 22, 5)})
    window, mean = GroupHistory([often, seldom]).curve(LOSS, 1, 21, 21, None)
    np.testing.assert_allclose(mean, [(1 + step) / 2 for step in range(1, 22)])
    assert window.count.tolist() == [2] * 21


def test_a_run_that_has_not_come_as_far_leaves_the_mean_to_the_others():
    window, mean = GroupHistory([history({1: 1.0, 2: 1.0}), history({1: 3.0, 2: 3.0, 3: 3.0, 4: 3.0})]).curve(
        LOSS, 1, 4, 4, None
    )
    assert mean.tolist() == [2, 2, 3, 3]
    assert window.count.tolist() == [2, 2, 1, 1]


def test_numbers_that_were_not_finite_are_left_out_and_told():
    group = GroupHistory([history({1: 1.0, 2: None, 3: 1.0}), history({1: 3.0, 2: 3.0, 3: 3.0})])
    window, mean = group.curve(LOSS, 1, 3, 3, None)
    assert mean.tolist() == [2, 3, 2]
    assert window.bad.tolist() == [0, 1, 0]
    at = group.at(LOSS, 2)
    assert (at.mean[0], at.count[0], at.bad[0]) == (3, 1, 1)


def test_a_group_spans_all_of_its_runs_and_changes_with_each():
    late, early, empty = history({5: 1.0, 9: 1.0}), history({2: 1.0, 4: 1.0}), History()
    group = GroupHistory([late, early, empty])
    assert (group.first_step, group.last_step) == (2, 9)
    before = group.revision
    empty.add([])
    assert group.revision > before
    assert (GroupHistory([empty]).first_step, GroupHistory([empty]).last_step) == (0, 0)


NUMBERS = st.floats(-1e300, 1e300) | st.just(math.nan)


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=6)
    )
)
def test_every_line_lies_in_the_range_and_so_does_the_mean(lines: list[list[float]]):
    found = spread(np.array(lines))
    for at, column in enumerate(zip(*lines, strict=True)):
        known = [value for value in column if math.isfinite(value)]
        assert found.count[at] == len(known)
        if not known:
            assert math.isnan(found.mean[at])
            assert math.isnan(found.low[at])
            continue
        assert (found.low[at], found.high[at]) == (min(known), max(known))
        assert found.low[at] <= found.mean[at] <= found.high[at]
        scale = max(map(abs, known))
        assert found.mean[at] == pytest.approx(statistics.fmean(known), rel=1e-9, abs=1e-12 * scale)


# What is written


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "-"),
        ([math.nan, math.inf], "-"),
        ([1.25], "1.25"),
        ([1.5, 1.5], "1.5"),
        ([1.0, 2.0, 6.0], "3 (1 – 6)"),
        ([1.0, math.nan, 2.0], "1.5 (1 – 2) of 2"),
    ],
)
def test_mean_is_written_with_its_range_and_how_many_it_is_of(values: list[float], told: str):
    assert mean_text(values) == told
    assert mean_text(values, ranged=False) == told.replace(" (1 – 6)", "").replace(" (1 – 2)", "")


def counted(exact: int, cells: float) -> ValidationResult:
    line = {"type": "validation", "seq": 1, "time": 1.0, "step": 1, "split": "training"}
    [event] = typed([line | {"exact": exact, "inputs": 12, "cell_accuracy": cells}])
    assert isinstance(event, ValidationEvent)
    return ValidationResult(1, exact, 12, cells, event)


def test_best_validations_of_a_group_are_told_with_mean_and_range():
    group = RunGroup([compared("a", counted(2, 0.5)), compared("b", counted(4, 0.6)), compared("c")])
    assert group.best() == "3 (2 – 4) of 12 exact, 0.5500 (0.5000 – 0.6000) of cells; 2 of 3 runs"
    assert group.best(words=False) == "0.5500 (0.5000 – 0.6000) of 2"
    assert group.best(words=False, ranged=False) == "0.5500 of 2"


def test_best_validations_that_are_scores_are_told_as_scores():
    scores = [ValidationResult(1, 0, 0, math.nan, score=score) for score in (0.25, 0.75)]
    group = RunGroup([compared("a", scores[0]), compared("b", scores[1])])
    assert group.best() == "score 0.5000 (0.2500 – 0.7500)"
    assert group.best(words=False, ranged=False) == "0.5000"
    assert RunGroup([compared("a", scores[0])]).best() == "score 0.2500"
    assert RunGroup([compared("a"), compared("b")]).best() == "-"


def test_letters_begin_anew_after_the_last():
    assert [letter_of(0), letter_of(25), letter_of(26), letter_of(51), letter_of(52)] == [
        "A",
        "Z",
        "a",
        "z",
        "A",
    ]


@pytest.mark.parametrize("runs", [1, 2, 3, 7, 50, 1000])
def test_many_runs_share_the_memory_of_two(runs: int):
    capacity = capacity_of(runs)
    assert capacity % FACTOR == 0
    assert capacity <= CAPACITY
    assert capacity * runs <= 2 * CAPACITY or capacity == 1024
    History(capacity=capacity).add(typed([{"type": "step", "seq": 1, "time": 1.0, "step": 5000}]))
