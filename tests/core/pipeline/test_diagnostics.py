"""Each warning comes at its threshold, not before, once, and with advice."""

import math
from typing import Any, cast

import pytest

from arc_core.pipeline.diagnostics import (
    FLAT_DELTA,
    LOW_REWARD,
    LOW_REWARD_STEPS,
    SILENT_LM_STEPS,
    Diagnostics,
)
from arc_core.pipeline.step import StepResult
from arc_core.pipeline.validation import Validation
from arc_core.training.diagnostics import Finding, skipped_step


def step_with(lm_norm: float = 0.1, reward: float = 0.0, applied: bool = True, **loss: float) -> StepResult:
    none = cast(Any, None)
    return StepResult(
        loss={"risk": 1.0, "combined": 2.0} | loss,
        reward={"total": reward, "d_acc": reward / 2},
        mask_ratio=0.5,
        size_weight=1.0,
        memory={},
        grad_norm={"agent": 1.0, "lm": lm_norm},
        learning_rate={},
        cell_accuracy=[],
        exact=[],
        applied=applied,
        before=none,
        after=none,
    )


def validation_with(delta: float) -> Validation:
    return Validation(
        inputs=10,
        cell_accuracy=0.5,
        exact=0,
        tasks=5,
        tasks_solved=0,
        accuracy_delta=delta,
        size_accuracy=0.5,
        copy_cell_accuracy=0.5,
        black_cell_accuracy=0.3,
    )


def watch(steps: list[StepResult], lm_trains: bool = True) -> list[list[str]]:
    """The codes that each step brought."""
    diagnostics = Diagnostics(lm_trains=lm_trains, refines=True)
    found = [diagnostics.after_step(step) for step in steps]
    for finding in (each for findings in found for each in findings):
        assert_speaks(finding)
    return [[finding.code for finding in findings] for findings in found]


def assert_speaks(finding: Finding) -> None:
    assert finding.message.endswith(".")
    assert any(character.isdigit() for character in finding.message)  # figures, not adjectives
    assert finding.advice.endswith((".", ")."))
    assert len(finding.advice) > 20


def test_healthy_steps_bring_no_warning() -> None:
    assert watch([step_with()] * 50) == [[]] * 50


def test_a_language_model_without_gradient_is_told_once() -> None:
    found = watch([step_with(lm_norm=0.0)] * (SILENT_LM_STEPS + 10))
    expected = [[]] * (SILENT_LM_STEPS - 1) + [["lm_gradient_zero"]] + [[]] * 10
    assert found == expected


def test_a_single_gradient_starts_the_count_anew_and_the_warning_can_come_back() -> None:
    silent, loud = step_with(lm_norm=0.0), step_with()
    almost = [silent] * (SILENT_LM_STEPS - 1)
    assert watch([*almost, loud, *almost]) == [[]] * (2 * SILENT_LM_STEPS - 1)
    codes = watch([*almost, silent, loud, *almost, silent])
    assert [bool(code) for code in codes].count(True) == 2


def test_a_frozen_language_model_is_meant_to_have_no_gradient() -> None:
    assert watch([step_with(lm_norm=0.0)] * 10, lm_trains=False) == [[]] * 10


def test_a_persistently_low_reward_is_told_once() -> None:
    found = watch([step_with(reward=LOW_REWARD - 0.01)] * (LOW_REWARD_STEPS + 10))
    assert found == [[]] * (LOW_REWARD_STEPS - 1) + [["reward_low"]] + [[]] * 10


def test_a_reward_at_the_threshold_is_not_low() -> None:
    assert watch([step_with(reward=LOW_REWARD)] * 50) == [[]] * 50


def test_one_better_step_starts_the_count_of_low_rewards_anew() -> None:
    low, better = step_with(reward=-0.9), step_with(reward=0.1)
    steps = [*[low] * (LOW_REWARD_STEPS - 1), better] * 3
    assert watch(steps) == [[]] * len(steps)


def test_a_skipped_step_names_what_was_not_finite() -> None:
    loss = {"risk": math.nan, "size": 0.5, "combined": math.nan}
    finding = skipped_step(
        12, {"loss": loss, "grad_norm": {"agent": 1.0, "lm": math.inf}, "amp": {"dtype": ""}}
    )
    assert_speaks(finding)
    assert finding.code == "nonfinite"
    assert "Step 12" in finding.message
    assert "risk, combined, lm" in finding.message
    assert "lower the learning rate" in finding.advice
    again = skipped_step(13, {"loss": {"risk": 1.0}})
    assert "the gradient" in again.message


def test_a_skipped_step_is_no_evidence_about_the_language_model() -> None:
    steps = [step_with(lm_norm=0.0, applied=False)] * 10
    assert watch(steps) == [[]] * 10


@pytest.mark.parametrize(
    ("delta", "flat"),
    [(0.0, True), (0.9 * FLAT_DELTA, True), (-0.9 * FLAT_DELTA, True), (FLAT_DELTA, False), (-0.02, False)],
)
def test_a_flat_accuracy_delta_is_told_with_what_to_check(delta: float, flat: bool) -> None:
    found = Diagnostics(lm_trains=True, refines=True).after_validation(0, 1.0, 0.347, validation_with(delta))
    assert [finding.code for finding in found] == ["accuracy_delta_flat"] * flat
    for finding in found:
        assert_speaks(finding)
        assert "size weight (1.000; 1.0 in epoch 0)" in finding.advice
        assert "mask ratio (0.347; above 0)" in finding.advice


def test_without_a_policy_the_delta_says_nothing() -> None:
    assert (
        Diagnostics(lm_trains=True, refines=False).after_validation(0, 1.0, 0.3, validation_with(0.0)) == []
    )
