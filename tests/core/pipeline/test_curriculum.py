"""Both schedules, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.pipeline.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum


@pytest.mark.parametrize(
    ("epoch", "weight"), [(0, 1.0), (1, 5 / 6), (2, 2 / 3), (3, 0.5), (4, 0.5), (99, 0.5)]
)
def test_the_size_weight_falls_over_three_epochs(epoch: int, weight: float) -> None:
    assert SizeWarmupCurriculum().get_size_loss_weight(epoch) == pytest.approx(weight)


def test_the_size_weights_course_can_be_chosen() -> None:
    course = SizeWarmupCurriculum(warmup_epochs=2, start=2.0, end=1.0)
    assert [course.get_size_loss_weight(epoch) for epoch in range(4)] == [2.0, 1.5, 1.0, 1.0]


def test_without_the_warm_up_the_weight_is_the_one_that_it_ends_at() -> None:
    course = SizeWarmupCurriculum.skipped()
    assert [course.get_size_loss_weight(epoch) for epoch in range(4)] == [0.5] * 4


def test_the_threshold_starts_a_tenth_above_the_initial_mean() -> None:
    assert DynamicMemoryThreshold().get_threshold() == pytest.approx(0.22)


def test_an_update_moves_the_mean_by_a_tenth_of_the_way() -> None:
    threshold = DynamicMemoryThreshold()
    assert threshold.update(0.5) == pytest.approx(1.1 * (0.9 * 0.2 + 0.1 * 0.5))
    assert threshold.ema == pytest.approx(0.23)
    assert threshold.update(0.0) == pytest.approx(1.1 * 0.9 * 0.23)
    assert threshold.get_threshold() == pytest.approx(1.1 * 0.207)


def test_an_exact_pair_can_always_be_stored() -> None:
    threshold = DynamicMemoryThreshold()
    for _ in range(200):
        threshold.update(1.0)
    assert threshold.ema > 0.95
    assert threshold.get_threshold() == 1.0


@given(st.lists(st.floats(0, 1), max_size=50))
def test_the_threshold_stays_between_zero_and_one_and_the_mean_among_what_it_saw(seen: list[float]) -> None:
    threshold = DynamicMemoryThreshold()
    for accuracy in seen:
        assert threshold.update(accuracy) == threshold.get_threshold()
    assert 0 <= threshold.get_threshold() <= 1
    assert min([0.2, *seen]) - 1e-12 <= threshold.ema <= max([0.2, *seen]) + 1e-12
