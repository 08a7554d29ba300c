"""The numbers that the seed document prints, from the code that trains."""

from dataclasses import replace

import pytest
import torch
from small_system import real_batch, small_system, step_and_flow

from arc_core.pipeline.curriculum import DynamicMemoryThreshold, SizeWarmupCurriculum
from arc_core.pipeline.loss_terms import hard_cell_weights
from arc_core.pipeline.reward import Scores, combine

BREAKDOWN = {"d_acc": 0.05, "d_size": 0.10, "d_color": 0.02, "d_rev": 0.01}


def test_reward_of_the_seeds_breakdown_is_0115():
    assert combine(BREAKDOWN) == pytest.approx(0.115)
    gains = {name: torch.tensor([value]) for name, value in BREAKDOWN.items()}
    before = Scores(*(torch.tensor([0.4]) for _ in gains))
    after = Scores(*(torch.tensor([0.4]) + gain for gain in gains.values()))
    assert after.gain_over(before)["total"].item() == pytest.approx(0.115, abs=1e-6)


def test_combined_of_the_seeds_example_is_23847(monkeypatch: pytest.MonkeyPatch):
    system = small_system()

    def efe(*_: object, **__: object) -> dict[str, torch.Tensor]:
        terms = dict.fromkeys(system.efe_loss.weights, torch.tensor(0.0))
        return {**terms, "total": torch.tensor(3.456, requires_grad=True)}

    monkeypatch.setattr(type(system.efe_loss), "forward", efe)
    monkeypatch.setattr(
        Scores,
        "gain_over",
        lambda *_: {name: torch.full((4,), value) for name, value in [("total", 0.115), *BREAKDOWN.items()]},
    )
    result, _ = step_and_flow(system, real_batch())
    assert result.loss["combined"] == pytest.approx(2.3847, abs=1e-6)
    assert f"{result.loss['combined']:.3f}" == "2.385"


def test_size_weights_print_as_in_the_seed():
    weight = SizeWarmupCurriculum().get_size_loss_weight
    assert [f"{weight(epoch):.3f}" for epoch in range(6)] == [
        "1.000", "0.833", "0.667", "0.500", "0.500", "0.500",
    ]  # fmt: skip
    assert [weight(epoch) for epoch in range(3)] == [1.0 - (epoch / 3) * 0.5 for epoch in range(3)]


def test_threshold_prints_as_in_the_seed_and_takes_a_tenth_of_each_new_accuracy():
    threshold = DynamicMemoryThreshold()
    assert f"{threshold.get_threshold():.4f}" == "0.2200"
    assert threshold.update(0.7) == pytest.approx(1.10 * (0.9 * 0.2 + 0.1 * 0.7))
    for _ in range(200):
        threshold.update(1.0)
    assert threshold.get_threshold() == 1.0, "an exact pair could not be stored"


def test_mask_ratio_of_fifty_wrong_cells_in_twelve_by_twelve_prints_as_0347():
    wrong = (torch.arange(144) < 50).float().view(1, 12, 12)
    _, ratio = hard_cell_weights(wrong, torch.ones(1, 12, 12), gain=4.0)
    assert f"{ratio.item():.3f}" == "0.347"


def test_rates_are_the_seeds_for_every_group():
    system = small_system(agent_lr=1e-4, qwen_lr=1e-4)
    result, _ = step_and_flow(system, real_batch())
    assert result.learning_rate == pytest.approx(
        {"agent": 1e-4, "memory": 2e-4, "efe_loss": 5e-5, "lm": 1e-4, "policy": 5e-5}
    )
    assert replace(system.config, optimizer="adam").weight_decay == 0.0
