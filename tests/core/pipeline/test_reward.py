"""The reward's metrics: by hand, batched against single, and the way their gradients point."""

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from arc_core.pipeline.batch import GridBatch
from arc_core.pipeline.policy import PolicyRefinedAgent, PolicyRefinedConfig
from arc_core.pipeline.resize import size_mask
from arc_core.pipeline.reward import (
    WEIGHTS,
    Scores,
    color_similarity,
    combine,
    expected_accuracy,
    expected_size_similarity,
    per_cell_accuracy,
    score_batch,
    size_similarity,
    straight_through,
)

DrawGrids = Callable[..., list[np.ndarray]]
METRICS = ("accuracy", "size", "color", "reversibility")


def grid(*rows: str) -> Tensor:
    return torch.tensor([[int(digit) for digit in row] for row in rows])


def size_logits_of(sizes: Tensor, certainty: float = 4.0) -> Tensor:
    return certainty * F.one_hot(sizes - 1, 30).float() + 0.1 * torch.rand(len(sizes), 2, 30)


def arguments_of(
    predictions: list[np.ndarray],
    targets: list[np.ndarray],
    inputs: list[np.ndarray],
    reconstructions: list[np.ndarray] | None = None,
    certainty: float = 2.0,
) -> dict[str, Any]:
    """A padded batch whose logits choose the given colours, with noise in and around the grids."""
    predicted = GridBatch.pad(predictions)
    height, width = predicted.canvas
    wide = F.pad(predicted.cells, (0, 1, 0, 2))  # the canvas may be larger than any grid on it
    arguments = {
        "logits": certainty * F.one_hot(wide, 10).float() + torch.rand(*wide.shape, 10),
        "mask": size_mask(predicted.sizes, height + 2, width + 1),
        "sizes": predicted.sizes,
        "size_logits": size_logits_of(predicted.sizes),
        "target": GridBatch.pad(targets),
        "inputs": GridBatch.pad(inputs),
        "reconstruction": None,
    }
    if reconstructions is not None:
        found = GridBatch.pad(reconstructions)
        arguments["reconstruction"] = certainty * F.one_hot(found.cells, 10).float() + torch.rand(
            *found.cells.shape, 10
        )
    return arguments


def recoloured(grids: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """The grids with some cells changed."""
    rng = np.random.default_rng(seed)
    return [np.where(rng.random(g.shape) < 0.4, rng.integers(0, 10, g.shape), g) for g in grids]


# By hand


@pytest.mark.parametrize(
    ("prediction", "target", "expected"),
    [
        (grid("12", "34"), grid("12", "34"), 1.0),
        (grid("12", "34"), grid("12", "30"), 3 / 4),
        (grid("1"), grid("1234"), 1 / 4),  # three of the target's cells are outside the prediction
        (grid("1234"), grid("1"), 1 / 4),  # three of the prediction's cells are outside the target
        (grid("11"), grid("1", "1"), 1 / 3),  # one shared cell, one outside either grid on each side
        (grid("222", "222"), grid("22", "22", "22"), 4 / 8),
        (grid("5"), grid("6"), 0.0),
    ],
)
def test_accuracy_counts_cells_outside_either_grid_as_wrong(
    prediction: Tensor, target: Tensor, expected: float
) -> None:
    assert per_cell_accuracy(prediction, target) == expected
    assert per_cell_accuracy(target, prediction) == expected


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [((3, 4), (3, 4), 1.0), ((3, 4), (6, 4), 0.5), ((6, 2), (3, 4), 0.25), ((30, 1), (1, 30), 1 / 900)],
)
def test_size_similarity_falls_with_the_error_of_either_side(
    size: tuple[int, int], target: tuple[int, int], expected: float
) -> None:
    assert size_similarity(size, target) == pytest.approx(expected)
    assert size_similarity(target, size) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "target", "expected"),
    [
        (grid("12", "34"), grid("43", "21"), 1.0),
        (grid("1"), grid("11", "11"), 1.0),  # shares of the cells, whatever the size
        (grid("12"), grid("13"), 0.5),
        (grid("0"), grid("9"), 0.0),
        (grid("1112"), grid("1222"), 0.5),
    ],
)
def test_colour_similarity_compares_shares_of_colours(
    prediction: Tensor, target: Tensor, expected: float
) -> None:
    assert color_similarity(prediction, target) == pytest.approx(expected)


def test_the_reward_weighs_its_gains_as_the_seed_does() -> None:
    assert combine({"d_acc": 0.1, "d_size": 0.2, "d_color": 0.4, "d_rev": -0.2}) == pytest.approx(0.3)
    after, before = (Scores(*torch.rand(4, 3)) for _ in range(2))
    gains = after.gain_over(before)
    assert set(gains) == {"total", *WEIGHTS}
    d_acc, d_size, d_color, d_rev = (a - b for a, b in zip(astuple(after), astuple(before), strict=True))
    torch.testing.assert_close(gains["total"], d_acc + 0.5 * (d_size + d_color + d_rev))


# Batched and single


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5))
def test_a_padded_batch_scores_as_the_single_grids_do(draw_grids: DrawGrids, seed: int, count: int) -> None:
    grids = draw_grids(4 * count, seed, high=9)
    predictions, inputs = grids[:count], grids[count : 2 * count]
    # Half of the targets have the prediction's size.
    targets = [*recoloured(predictions, seed)[: count // 2], *grids[2 * count : 3 * count]][:count]
    found_again = recoloured(inputs, seed)
    arguments = arguments_of(predictions, targets, inputs, found_again)
    scores = score_batch(**arguments)
    as_tensors = [[torch.from_numpy(g).long() for g in each] for each in (predictions, targets)]
    for index, (prediction, target) in enumerate(zip(*as_tensors, strict=True)):
        accuracy = per_cell_accuracy(prediction, target)
        assert scores.accuracy[index] == torch.tensor(accuracy)
        size = size_similarity(tuple(prediction.shape), tuple(target.shape))
        assert scores.size[index].item() == pytest.approx(size, rel=1e-6)
        color = color_similarity(prediction, target)
        assert scores.color[index].item() == pytest.approx(color, abs=1e-6)
        height, width = inputs[index].shape
        found = arguments["reconstruction"][index, :height, :width].softmax(dim=-1)
        again = expected_accuracy(found, torch.from_numpy(inputs[index]))
        assert scores.reversibility[index].item() == pytest.approx(again, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), high=st.sampled_from([1, 3, 10, 30]))
def test_a_perfect_prediction_scores_exactly_one(
    draw_grids: DrawGrids, seed: int, count: int, high: int
) -> None:
    targets, inputs = draw_grids(count, seed, high=high), draw_grids(count, seed + 1, high=high)
    scores = score_batch(**arguments_of(targets, targets, inputs, inputs, certainty=200.0))
    for name in METRICS:
        assert (getattr(scores, name) == 1.0).all(), name


def test_expected_accuracy_is_the_mean_probability_of_the_right_colours() -> None:
    probabilities = torch.zeros(1, 3, 10)
    probabilities[0, :, 4] = torch.tensor([1.0, 0.5, 0.0])
    assert expected_accuracy(probabilities, grid("444")) == pytest.approx(0.5)


def test_without_a_reconstruction_reversibility_is_zero(draw_grids: DrawGrids) -> None:
    grids = draw_grids(3)
    assert (score_batch(**arguments_of(grids, grids, grids)).reversibility == 0).all()


def test_compute_reward_is_the_gain_of_every_metric_and_agrees_with_the_batch(draw_grids: DrawGrids) -> None:
    policy = PolicyRefinedAgent(PolicyRefinedConfig(rl_prompt_dim=8, rl_ctrl_dim=8))
    before, after, target, query = (torch.from_numpy(g).long() for g in draw_grids(4, seed=9))

    def found(output: Tensor) -> Tensor:
        return torch.full_like(query, int(output[0, 0]))

    def reconstruct(output: Tensor) -> Tensor:
        return F.one_hot(found(output), 10).float()

    total, breakdown = policy.compute_reward(before, after, target, query, reconstruct)
    arrays = [[g.numpy()] for g in (target, query)]
    batched = [
        score_batch(**arguments_of([g.numpy()], *arrays, [found(g).numpy()], certainty=200.0))
        for g in (after, before)
    ]
    gains = batched[0].gain_over(batched[1])
    for name, value in ({"total": total} | breakdown).items():
        assert gains[name].item() == pytest.approx(value, abs=1e-6)
    without, parts = policy.compute_reward(before, after, target, query)
    assert parts["d_rev"] == 0.0
    assert without == pytest.approx(total - 0.5 * breakdown["d_rev"])


def test_refining_a_miss_into_the_target_is_rewarded() -> None:
    policy = PolicyRefinedAgent(PolicyRefinedConfig(rl_prompt_dim=8, rl_ctrl_dim=8))
    total, parts = policy.compute_reward(grid("1"), grid("22", "22"), grid("22", "22"), grid("0"))
    assert parts == {"d_acc": 1.0, "d_size": 0.75, "d_color": 1.0, "d_rev": 0.0}
    assert total == 1.0 + 0.5 * 1.75


# Gradients


def test_straight_through_has_the_number_of_one_and_the_gradient_of_the_other() -> None:
    hard, soft = torch.rand(100), torch.rand(100, requires_grad=True)
    through = straight_through(hard, soft)
    assert torch.equal(through, hard)
    through.sum().backward()
    assert torch.equal(soft.grad, torch.ones(100))


def test_raising_the_right_colours_probability_raises_accuracy(draw_grids: DrawGrids) -> None:
    targets = draw_grids(3, seed=2)
    arguments = arguments_of(recoloured(targets, 0), targets, targets)
    logits = arguments["logits"].requires_grad_()
    score_batch(**arguments).accuracy.sum().backward()
    right = F.one_hot(F.pad(arguments["target"].cells, (0, 1, 0, 2)), 10).bool()
    inside = arguments["mask"][..., None].expand_as(right).bool()
    assert (logits.grad[right & inside] > 0).all()
    assert (logits.grad[~right & inside] < 0).all()
    assert (logits.grad[~inside] == 0).all()


def test_the_gradient_is_that_of_the_metrics_under_probabilities() -> None:
    target, query = [np.array([[1, 2, 3]])], [np.array([[1]])]
    arguments = arguments_of([np.array([[1, 1], [3, 2]])], target, query)
    logits = arguments["logits"].requires_grad_()
    scores = score_batch(**arguments)
    (accuracy,) = torch.autograd.grad(scores.accuracy.sum(), logits, retain_graph=True)
    (color,) = torch.autograd.grad(scores.color.sum(), logits)
    soft = logits.detach().clone().requires_grad_()
    probabilities = soft[0, :2, :2].softmax(dim=-1)
    # Cells (0, 0) and (0, 1) overlap; the union has five.
    expected = (probabilities[0, 0, 1] + probabilities[0, 1, 2]) / 5
    torch.testing.assert_close(accuracy, torch.autograd.grad(expected, soft, retain_graph=True)[0])
    wanted = torch.tensor([0, 1, 1, 1, 0, 0, 0, 0, 0, 0]) / 3
    expected = 1 - 0.5 * (probabilities.mean(dim=(0, 1)) - wanted).abs().sum()
    torch.testing.assert_close(color, torch.autograd.grad(expected, soft)[0])


@pytest.mark.parametrize("metric", METRICS)
def test_a_climb_up_a_metrics_gradient_brings_its_number_up(draw_grids: DrawGrids, metric: str) -> None:
    targets, inputs = draw_grids(3, seed=3, low=3), draw_grids(3, seed=4)
    shown = targets if metric == "accuracy" else draw_grids(3, seed=5)
    arguments = arguments_of(recoloured(shown, 1), targets, inputs, recoloured(inputs, 1))
    name = {"size": "size_logits", "reversibility": "reconstruction"}.get(metric, "logits")
    climbed = arguments[name].requires_grad_()

    def number() -> Tensor:
        sizes = climbed.argmax(dim=-1) + 1 if metric == "size" else arguments["sizes"]
        return getattr(score_batch(**(arguments | {"sizes": sizes})), metric).sum()

    before = number()
    optimizer = torch.optim.Adam([climbed], 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (-number()).backward()
        optimizer.step()
    assert number() > before + 0.2


def test_raising_the_targets_size_raises_the_size_score() -> None:
    sizes = torch.tensor([[4, 9]])
    logits = torch.zeros(1, 2, 30, requires_grad=True)
    expected_size_similarity(logits, sizes).sum().backward()
    for axis, side in enumerate((3, 8)):
        assert logits.grad[0, axis].argmax() == side
        assert logits.grad[0, axis, side] > 0
        assert logits.grad[0, axis, 29] < 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), certainty=st.sampled_from([0.0, 1.0, 50.0]))
def test_expected_size_similarity_is_the_mean_over_the_size_heads_draws(seed: int, certainty: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = certainty * torch.randn(3, 2, 30, generator=generator)
    target = torch.randint(1, 31, (3, 2), generator=generator)
    found = expected_size_similarity(logits, target)
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()
    probabilities = logits.double().softmax(dim=-1).numpy()
    for index, (height, width) in enumerate(target.tolist()):
        mean = sum(
            probabilities[index, 0, h - 1]
            * probabilities[index, 1, w - 1]
            * size_similarity((h, w), (height, width))
            for h in range(1, 31)
            for w in range(1, 31)
        )
        assert found[index].item() == pytest.approx(mean, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), certainty=st.sampled_from([0.0, 1.0, 50.0]))
@example(seed=633, certainty=1.0)  # no colour in common: 1 - 0.5 * (1 + 1.0000002)
def test_every_score_is_between_zero_and_one(draw_grids: DrawGrids, seed: int, certainty: float) -> None:
    grids = draw_grids(9, seed)
    arguments = arguments_of(grids[:3], grids[3:6], grids[6:], recoloured(grids[6:], seed), certainty)
    for values in astuple(score_batch(**arguments)):
        assert ((values >= 0) & (values <= 1)).all()
