"""The loss of plans on the outputs' canvas, against independent computations pair by pair."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_calls import LAMBDAS, js_by_numpy, softmax

from arc_core.data.sizes import Placement
from arc_core.pipeline.canvas import CanvasBatch, Item, pack
from arc_core.pipeline.canvas_loss import canvas_losses
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.loss import TERMS, EFELoss
from arc_core.pipeline.loss_terms import step_weights
from arc_core.pipeline.planner import Planner
from arc_core.training.optimizer import MixedPrecision

OUT_SIZES = [(3, 5), (4, 2), (1, 1)]
PROMPT, STEPS, GAIN = 12, 3, 4.0
PRECISION = MixedPrecision(torch.device("cpu"), "off")


def grid(rng, size):
    return rng.integers(0, 10, size).astype(np.int8)


@pytest.fixture
def canvas() -> CanvasBatch:
    """Three pairs of unequal sizes, each laid over its input in another way."""
    rng = np.random.default_rng(0)
    return pack(
        [
            Item(grid(rng, (3, 4)), grid(rng, size), Placement(size), copies=way)
            for way, size in enumerate(OUT_SIZES)
        ]
    )


@pytest.fixture
def planned(canvas) -> Planned:
    torch.manual_seed(1)
    logits = torch.randn(len(canvas), STEPS, *canvas.out_mask.shape[1:], 10, requires_grad=True)
    sizes = torch.randn(len(canvas), 2, 30, requires_grad=True)
    return Planned(logits, sizes, torch.randn(len(canvas), PROMPT, requires_grad=True))


@pytest.fixture
def backward() -> Planner:
    torch.manual_seed(2)
    return Planner(10, 8, PROMPT, STEPS)


def loss_of(**weights):
    torch.manual_seed(3)
    off = dict.fromkeys(LAMBDAS.values(), 0.0)
    return EFELoss(**{**off, **weights}, prompt_dim=PROMPT, every_step=True)


def losses(planned, canvas, backward=None, gain=GAIN, **weights):
    loss, prompts = loss_of(**weights), planned.prompts
    return canvas_losses(loss, planned, prompts, canvas, backward, PRECISION, hard_cell_gain=gain)


def own(values, number):
    """[T, cells, C] a pair's own cells, or [cells, C] of a single step."""
    height, width = OUT_SIZES[number]
    cut = values[..., :height, :width, :]
    return cut.reshape(*cut.shape[:-3], -1, cut.shape[-1])


def target(canvas, number):
    height, width = OUT_SIZES[number]
    return canvas.targets[number, :height, :width].numpy().ravel()


def wrong_cells(planned, canvas, number):
    return own(softmax(planned.logits[number]), number)[-1].argmax(-1) != target(canvas, number)


def weights_of(planned, canvas, number, gain=GAIN):
    """Of a pair's cells: a wrong one counts so much more, and their mean is one."""
    wrong = wrong_cells(planned, canvas, number)
    return (1 + gain * wrong) / (1 + gain * wrong.mean())


@pytest.mark.parametrize("gain", [0.0, GAIN])
def test_every_step_is_held_against_the_target_the_later_ones_and_wrong_cells_weighing_more(
    gain, planned, canvas
):
    expected = []
    for number in range(len(canvas)):
        shares = own(softmax(planned.logits[number]), number)
        cells = -np.log(shares[:, np.arange(shares.shape[1]), target(canvas, number)])
        of_steps = (cells * weights_of(planned, canvas, number, gain)).mean(axis=1)
        expected.append(np.dot(step_weights(STEPS), of_steps))
    found, ratio = losses(planned, canvas, gain=gain, lambda_cons=0.7)
    assert found["consistency"].item() == pytest.approx(0.7 * np.mean(expected), rel=1e-5)
    assert found["total"].item() == found["consistency"].item()
    wrong = [wrong_cells(planned, canvas, number).mean() for number in range(len(canvas))]
    assert ratio.item() == pytest.approx(np.mean(wrong))
    assert sum(step_weights(STEPS)) == pytest.approx(1)


def test_without_a_backward_planner_the_plan_is_to_agree_with_itself_in_reversed_time(planned, canvas):
    expected = []
    for number in range(len(canvas)):
        shares = own(softmax(planned.logits[number]), number)
        divergence = js_by_numpy(shares, shares[::-1]).mean(axis=0)
        expected.append((divergence * weights_of(planned, canvas, number)).mean())
    found, _ = losses(planned, canvas, lambda_bi=0.7)
    assert found["bidirectional"].item() == pytest.approx(0.7 * np.mean(expected), rel=1e-5)


def test_the_backward_planner_reads_outputs_agrees_step_by_step_and_finds_the_input(
    planned, canvas, backward
):
    outputs = F.one_hot(canvas.targets, 10).float() * canvas.out_mask[..., None]
    plan = softmax(backward(outputs, planned.prompts, canvas.out_mask))
    under = input_under_output(canvas).numpy()
    expected = []
    for number in range(len(canvas)):
        forward, back = own(softmax(planned.logits[number]), number), own(plan[number], number)
        divergence = js_by_numpy(forward, back[::-1]).mean(axis=0)
        truth = own(under[number], number)
        reconstruction = -(truth * np.log(back[-1])).sum() / truth.sum()
        expected.append((divergence * weights_of(planned, canvas, number)).mean() + reconstruction)
    found, _ = losses(planned, canvas, backward, lambda_bi=0.7)
    assert found["bidirectional"].item() == pytest.approx(0.7 * np.mean(expected), rel=1e-4)
    found["total"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in backward.parameters())
    assert planned.logits.grad.abs().sum() > 0 < planned.prompts.grad.abs().sum()


def test_sizes_count_by_their_weight_and_the_curriculums(planned, canvas):
    expected = F.cross_entropy(planned.size_logits.flatten(0, 1), canvas.out_sizes.flatten() - 1)
    found = canvas_losses(
        *(loss_of(lambda_size=0.1), planned, planned.prompts, canvas, None, PRECISION),
        hard_cell_gain=0.0,
        size_weight=0.5,
    )[0]
    torch.testing.assert_close(found["size"], 0.05 * 2 * expected)


def test_the_total_is_the_sum_of_all_terms_and_those_without_a_weight_are_nothing(planned, canvas, backward):
    found, _ = losses(planned, canvas, backward, **dict.fromkeys(LAMBDAS.values(), 0.7))
    assert set(found) == {*TERMS, "total"}
    assert all(found[name] > 0 for name in TERMS)
    torch.testing.assert_close(found["total"], sum(found[name] for name in TERMS))
    off, _ = losses(planned, canvas, backward)
    assert not any(off.values())


@pytest.mark.parametrize("name", [name for name in TERMS if name != "size"])
def test_padding_counts_for_nothing_in_a_term(name, planned, canvas, backward):
    noise = torch.randn_like(planned.logits) * (1 - canvas.out_mask)[:, None, :, :, None]
    noisy = replace(planned, logits=planned.logits + 3 * noise)
    before, after = (losses(p, canvas, backward, **{LAMBDAS[name]: 0.7})[0] for p in (planned, noisy))
    torch.testing.assert_close(after[name], before[name])
