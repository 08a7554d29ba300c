"""Each term of the loss, held against torch.distributions or numpy, and the way its gradient points."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from arc_core.data.dataset import Example
from arc_core.pipeline.agent import one_hot
from arc_core.pipeline.batch import GridBatch, collate
from arc_core.pipeline.loss import (
    TERMS,
    EFELoss,
    ambiguity_term,
    cell_mean,
    centred_outcomes,
    consistency_term,
    hard_cell_weights,
    jensen_shannon_term,
    kl_term,
    prompt_term,
    risk_term,
    size_term,
)
from arc_core.pipeline.resize import resize_logits
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem

Call = dict[str, Any]
DrawGrids = Callable[..., list[np.ndarray]]
LAMBDAS = {
    "risk": "lambda_risk",
    "ambiguity": "lambda_amb",
    "step": "lambda_step",
    "consistency": "lambda_cons",
    "bidirectional": "lambda_bi",
    "z_anchor": "lambda_z",
    "prompt": "lambda_prompt",
    "size": "lambda_size",
}
SIZES = [(3, 5), (6, 2), (1, 1)]
PAIRS, STEPS, PROMPT = len(SIZES), 4, 16


def only(term: str, weight: float = 1.0) -> EFELoss:
    """The loss with a single term switched on."""
    return EFELoss(prompt_dim=PROMPT, **{name: weight * (term == each) for each, name in LAMBDAS.items()})


def descend(parameter: Tensor, loss: Callable[[], Tensor], rate: float = 0.05) -> tuple[float, float]:
    """The loss before and after a small step of `parameter` down its gradient."""
    before = loss()
    (gradient,) = torch.autograd.grad(before, parameter)
    assert gradient.norm() > 0
    with torch.no_grad():
        parameter -= rate * gradient / gradient.norm()
    return before.item(), loss().item()


def softmax(logits: Tensor) -> np.ndarray:
    """In numpy and float64, so that nothing is shared with what is tested."""
    values = logits.detach().double().numpy()
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def js_by_numpy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    middle = (p + q) / 2
    return ((p * np.log(p / middle)).sum(-1) + (q * np.log(q / middle)).sum(-1)) / 2


@pytest.fixture
def call(draw_grids: DrawGrids) -> Call:
    """Arguments of a padded batch of three pairs; what stands in the padding is noise."""
    rng = np.random.default_rng(3)
    target = GridBatch.pad([rng.integers(0, 10, size) for size in SIZES])
    inputs = GridBatch.pad(draw_grids(PAIRS, seed=5))
    wrong = (torch.rand(target.mask.shape) < 0.5).float() * target.mask
    return {
        "forward_preds": torch.randn(PAIRS, STEPS, *target.canvas, 10),
        "backward_preds": torch.randn(PAIRS, STEPS, *target.canvas, 10),
        "state_preds": torch.randn(PAIRS, STEPS, *target.canvas, 10),
        "obs_probs": torch.randn(PAIRS, STEPS, *target.canvas, 10).softmax(dim=-1),
        "final_pred": torch.randn(PAIRS, *target.canvas, 10),
        "target": target.cells,
        "prompt_embedding": torch.randn(PAIRS, PROMPT),
        "grid_mask": target.mask,
        "cell_weights": hard_cell_weights(wrong, target.mask, 4.0)[0],
        "reconstruction": torch.randn(PAIRS, *inputs.canvas, 10),
        "inputs": inputs,
        "size_logits": torch.randn(PAIRS, 2, 30),
        "target_sizes": target.sizes,
        "size_weight": 0.7,
    }


def single(call: Call, index: int) -> Call:
    """The call of one pair of the batch, cut to its own size: with a leading axis of one."""
    height, width = SIZES[index]
    alone = dict(call)
    for name in ("forward_preds", "backward_preds", "state_preds", "obs_probs"):
        alone[name] = call[name][index : index + 1, :, :height, :width]
    for name in ("final_pred", "target", "grid_mask", "cell_weights"):
        alone[name] = call[name][index : index + 1, :height, :width]
    for name in ("prompt_embedding", "size_logits", "target_sizes"):
        alone[name] = call[name][index : index + 1]
    rows, columns = call["inputs"].sizes[index].tolist()
    alone["reconstruction"] = call["reconstruction"][index : index + 1, :rows, :columns]
    alone["inputs"] = GridBatch.pad([call["inputs"].cells[index, :rows, :columns].numpy()])
    return alone


@pytest.fixture
def full_loss() -> EFELoss:
    """Every term switched on, and preferences that are not uniform."""
    loss = EFELoss(lambda_amb=0.4, prompt_dim=PROMPT)
    torch.nn.init.normal_(loss.preference)
    loss.set_anchor(torch.rand(10))
    return loss


# Each term against an independent computation


def test_risk_is_the_categorical_kl_of_the_averaged_colours_to_the_preference(call: Call) -> None:
    loss = only("risk", 2.0)
    torch.nn.init.normal_(loss.preference)
    prompt = call["prompt_embedding"]
    expected = []
    for index, (height, width) in enumerate(SIZES):
        cells = call["forward_preds"][index, :, :height, :width].softmax(dim=-1)
        preferred = Categorical(logits=loss.preference + loss.preference_of_prompt.weight @ prompt[index])
        expected.append(kl_divergence(Categorical(probs=cells.mean(dim=(1, 2))), preferred).mean())
    found = loss(**call)["risk"]
    torch.testing.assert_close(found, 2.0 * torch.stack(expected).mean(), rtol=1e-5, atol=1e-6)


def test_ambiguity_is_the_mean_categorical_entropy_of_the_cells(call: Call) -> None:
    expected = [
        Categorical(probs=call["obs_probs"][index, :, :height, :width]).entropy().mean()
        for index, (height, width) in enumerate(SIZES)
    ]
    found = only("ambiguity", 3.0)(**call)["ambiguity"]
    torch.testing.assert_close(found, 3.0 * torch.stack(expected).mean())


def test_ambiguity_falls_back_to_the_state_belief_and_then_to_the_plan(call: Call) -> None:
    loss = only("ambiguity")
    for name in ("state_preds", "forward_preds"):
        expected = ambiguity_term(call[name].softmax(dim=-1), call["grid_mask"]).mean()
        assert torch.equal(loss(**(call | {"obs_probs": None}))["ambiguity"], expected)
        call = call | {"state_preds": None}


def test_ambiguity_at_weight_zero_is_zero_and_silent(call: Call) -> None:
    probabilities = call["obs_probs"].requires_grad_()
    losses = EFELoss(prompt_dim=PROMPT)(**call)
    assert losses["ambiguity"] == 0.0
    losses["total"].backward()
    assert probabilities.grad is None


@pytest.mark.parametrize(("length", "paid"), [(None, STEPS), (2, 2)])
def test_step_is_the_price_of_the_episodes_length(call: Call, length: int | None, paid: int) -> None:
    found = EFELoss(lambda_step=0.1, prompt_dim=PROMPT)(**call, episode_length=length)["step"]
    assert found.item() == pytest.approx(0.1 * paid)


def test_consistency_is_the_weighted_negative_log_probability_of_the_target(call: Call) -> None:
    expected = []
    for index, (height, width) in enumerate(SIZES):
        target = call["target"][index, :height, :width]
        surprise = -Categorical(logits=call["final_pred"][index, :height, :width]).log_prob(target)
        expected.append((surprise * call["cell_weights"][index, :height, :width]).mean())
    torch.testing.assert_close(only("consistency")(**call)["consistency"], torch.stack(expected).mean())


def test_bidirectional_is_jensen_shannon_by_numpy_plus_the_reconstructions_cross_entropy(call: Call) -> None:
    expected = []
    for index, (height, width) in enumerate(SIZES):
        p, q = (
            softmax(call[name][index, :, :height, :width]) for name in ("forward_preds", "backward_preds")
        )
        divergence = js_by_numpy(p, q).mean(axis=0) * call["cell_weights"][index, :height, :width].numpy()
        rows, columns = call["inputs"].sizes[index].tolist()
        back = softmax(call["reconstruction"][index, :rows, :columns])
        truth = call["inputs"].cells[index, :rows, :columns].numpy()
        right = np.take_along_axis(back, truth[..., None], axis=-1)
        expected.append(divergence.mean() - np.log(right).mean())
    found = only("bidirectional")(**call)["bidirectional"].item()
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
    without = only("bidirectional")(**(call | {"reconstruction": None}))["bidirectional"].item()
    assert 0 < without < found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1.0, 10.0, 300.0]))
def test_jensen_shannon_is_symmetric_and_between_zero_and_log_two(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    p, q = (scale * torch.randn(2, 3, 2, 2, 10, generator=generator) for _ in range(2))
    p, q, mask = p.log_softmax(dim=-1), q.log_softmax(dim=-1), torch.ones(2, 2, 2)
    found = jensen_shannon_term(p, q, mask, mask)
    torch.testing.assert_close(found, jensen_shannon_term(q, p, mask, mask))
    assert (found >= 0).all()
    assert (found <= np.log(2.0) + 1e-6).all()
    torch.testing.assert_close(jensen_shannon_term(p, p, mask, mask), torch.zeros(2), atol=1e-6, rtol=0)


def test_anchor_and_fit_are_categorical_kl_divergences(call: Call, full_loss: EFELoss) -> None:
    anchored = kl_divergence(Categorical(logits=full_loss.preference), Categorical(probs=full_loss.anchor))
    log_c = full_loss.log_preferences(call["prompt_embedding"], PAIRS)
    fits = [
        F.kl_div(
            log_c[index], torch.bincount(target.flatten(), minlength=10) / target.numel(), reduction="sum"
        )
        for index, (height, width) in enumerate(SIZES)
        for target in [call["target"][index, :height, :width]]
    ]
    expected = 0.2 * (anchored + torch.stack(fits).mean())
    torch.testing.assert_close(full_loss(**call)["z_anchor"], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_kl_term_matches_torch_kl_div(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.randn(3, 10, generator=generator).log_softmax(dim=-1) for _ in range(2))
    expected = F.kl_div(q, p, log_target=True, reduction="none").sum(dim=-1)
    torch.testing.assert_close(kl_term(p, q), expected)


def test_prompt_is_one_minus_the_cosine_plus_info_nce_by_numpy(call: Call) -> None:
    loss = only("prompt")
    with torch.no_grad():
        outcomes = loss.outcome(one_hot(call["target"], call["grid_mask"]), call["grid_mask"])
    a, b = (x.double().numpy() for x in (call["prompt_embedding"], outcomes))
    b = b - b.mean(axis=0)
    cosine = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    scores = np.exp(cosine / 0.1)
    expected = 1 - np.diag(cosine) - np.log(np.diag(scores) / scores.sum(axis=1))
    assert loss(**call)["prompt"].item() == pytest.approx(expected.mean(), rel=1e-4)


def test_size_is_the_cross_entropy_of_both_sides_times_the_curriculums_weight(call: Call) -> None:
    sides = Categorical(logits=call["size_logits"])
    expected = -0.7 * sides.log_prob(call["target_sizes"] - 1).sum(dim=1).mean()
    torch.testing.assert_close(only("size")(**call)["size"], expected)


# The way each gradient points


def test_risks_gradient_moves_the_prediction_and_not_the_preference(call: Call) -> None:
    loss = only("risk")
    logits = call["forward_preds"].requires_grad_()
    torch.nn.init.normal_(loss.preference)
    loss(**call)["total"].backward()
    for parameter in (loss.preference, loss.preference_of_prompt.weight):
        assert parameter.grad is None or (parameter.grad == 0).all()
    before, after = descend(logits, lambda: loss(**call)["risk"], 1.0)
    assert after < before


def test_risks_gradient_raises_the_preferred_colour() -> None:
    logits = torch.zeros(1, 1, 2, 2, 10, requires_grad=True)
    preferred = torch.full((1, 10), 0.01)
    preferred[0, 4] = 0.91
    risk_term(logits.log_softmax(dim=-1), preferred.log(), torch.ones(1, 2, 2)).sum().backward()
    assert (logits.grad[..., 4] < 0).all()
    assert (logits.grad[..., :4] > 0).all()


@pytest.mark.parametrize(
    ("term", "moved"),
    [
        ("risk", "forward_preds"),
        ("consistency", "final_pred"),
        ("bidirectional", "forward_preds"),
        ("bidirectional", "backward_preds"),
        ("bidirectional", "reconstruction"),
        ("prompt", "prompt_embedding"),
        ("z_anchor", "prompt_embedding"),
        ("size", "size_logits"),
    ],
)
def test_a_small_step_down_a_terms_gradient_lowers_the_term(call: Call, term: str, moved: str) -> None:
    loss = only(term)
    call[moved].requires_grad_()
    before, after = descend(call[moved], lambda: loss(**call)[term])
    assert after < before


def test_ambiguitys_gradient_sharpens_the_observation(call: Call) -> None:
    logits = torch.randn(call["obs_probs"].shape, requires_grad=True)
    before, after = descend(logits, lambda: ambiguity_term(logits.softmax(dim=-1), call["grid_mask"]).sum())
    assert after < before


def test_ambiguitys_gradient_is_finite_where_a_probability_is_exactly_zero() -> None:
    logits = torch.zeros(1, 1, 2, 2, 10)
    logits[..., 0] = 200.0
    logits.requires_grad_()
    probabilities = logits.softmax(dim=-1)
    assert (probabilities == 0).any()
    entropy = ambiguity_term(probabilities, torch.ones(1, 2, 2)).sum()
    assert entropy == 0.0
    entropy.backward()
    assert torch.isfinite(logits.grad).all()


def test_no_term_moves_what_stands_in_the_padding(call: Call, full_loss: EFELoss) -> None:
    names = ("forward_preds", "backward_preds", "obs_probs", "final_pred")
    for name in names:
        call[name].requires_grad_()
    full_loss(**call)["total"].backward()
    outside = call["grid_mask"] == 0
    for name in names:
        gradient = call[name].grad.abs().sum(dim=-1)
        by_cell = gradient if gradient.dim() == 3 else gradient.sum(dim=1)
        assert (by_cell[outside] == 0).all()
        assert (by_cell[~outside] > 0).all()


def test_the_fit_moves_the_preference_towards_the_targets_colours(call: Call) -> None:
    loss = only("z_anchor")
    truth = one_hot(call["target"], call["grid_mask"]).sum(dim=(1, 2))
    shares = truth / truth.sum(dim=1, keepdim=True)

    def distance() -> Tensor:
        log_c = loss.log_preferences(call["prompt_embedding"], PAIRS)
        return F.kl_div(log_c, shares, reduction="batchmean")

    for parameter in (loss.preference, loss.preference_of_prompt.weight):
        before = distance()
        descend(parameter, lambda: loss(**call)["z_anchor"])
        assert distance() < before


def test_the_anchor_pulls_the_preference_to_itself() -> None:
    loss = only("z_anchor")
    shares = torch.full((10,), 0.02)
    shares[6] = 0.82
    loss.set_anchor(shares)
    plan, target = torch.zeros(1, 1, 2, 5, 10), torch.arange(10).view(1, 2, 5)  # the fit is at its best
    descend(loss.preference, lambda: loss(plan, plan, None, None, plan[:, 0], target)["z_anchor"])
    preferred = loss.log_preferences(None, 1)[0]
    assert preferred.argmax() == 6


def test_the_anchor_starts_off_zero_and_moves_by_its_momentum() -> None:
    loss = EFELoss(prompt_dim=PROMPT, anchor_momentum=0.25)
    torch.testing.assert_close(loss.anchor, torch.full((10,), 0.1))
    shares = torch.zeros(10)
    shares[0] = 1.0
    loss.set_anchor(shares)
    started = np.full(10, 0.001) / 1.01
    started[0] = 1.001 / 1.01
    np.testing.assert_allclose(loss.anchor.numpy(), started, rtol=1e-6)
    new = torch.zeros(10)
    new[3] = 1.0
    loss.move_anchor(new)
    np.testing.assert_allclose(loss.anchor.numpy(), 0.75 * started + 0.25 * new.numpy(), rtol=1e-5)
    assert loss.anchor.sum().item() == pytest.approx(1.0)
    assert "anchor" in loss.state_dict()
    assert not loss.anchor.requires_grad


def test_a_step_on_the_prompt_term_raises_each_cosine_with_its_own_outcome() -> None:
    prompt, outcome = torch.randn(4, PROMPT, requires_grad=True), torch.randn(4, PROMPT)
    none = outcome[:0]
    own = centred_outcomes(outcome, none)[0]
    before = F.cosine_similarity(prompt, own).detach()
    descend(prompt, lambda: prompt_term(prompt, outcome, none).sum())
    assert (F.cosine_similarity(prompt, own) > before).all()


def test_past_outcomes_give_a_single_pair_something_to_be_told_apart_from() -> None:
    prompt, outcome, past = torch.randn(1, PROMPT), torch.randn(1, PROMPT), torch.randn(5, PROMPT)
    alone = prompt_term(prompt, outcome, past[:0])
    torch.testing.assert_close(alone, 1.0 - F.cosine_similarity(prompt, outcome))
    every = torch.cat([outcome, past])
    cosine = F.cosine_similarity(prompt, every - every.mean(dim=0))
    expected = 1.0 - cosine[0] - (cosine / 0.1).log_softmax(dim=0)[0]
    torch.testing.assert_close(prompt_term(prompt, outcome, past)[0], expected)


def test_an_outcome_that_is_the_same_again_is_no_negative() -> None:
    prompt, outcome, past = torch.randn(1, PROMPT), torch.randn(1, PROMPT), torch.randn(5, PROMPT)
    again = torch.cat([past, outcome])
    every = torch.cat([outcome, again])
    cosine = F.cosine_similarity(prompt, every - every.mean(dim=0))[:-1]
    expected = 1.0 - cosine[0] - (cosine / 0.1).log_softmax(dim=0)[0]
    torch.testing.assert_close(prompt_term(prompt, outcome, again)[0], expected)


def test_outcomes_that_are_all_the_same_leave_the_gradient_small() -> None:
    outcome = torch.randn(1, PROMPT).repeat(3, 1).requires_grad_()
    prompt = torch.randn(3, PROMPT)
    prompt_term(prompt, outcome, outcome[:1].detach()).sum().backward()
    assert outcome.grad is not None
    assert outcome.grad.norm() < 10.0


def test_the_last_outcomes_are_remembered_and_the_oldest_forgotten() -> None:
    loss = EFELoss(prompt_dim=PROMPT, past_outcomes=4)
    grids = torch.randint(0, 10, (6, 5, 5))
    mask = torch.ones(6, 5, 5)
    with torch.no_grad():
        embedded = loss.outcome(one_hot(grids, mask), mask)
    for first in (0, 3):
        loss.remember_outcomes(grids[first : first + 3], mask[first : first + 3])
    torch.testing.assert_close(loss.past, embedded[[4, 5, 2, 3]])
    assert loss.past_seen == 6
    assert {"past", "past_seen"} <= loss.state_dict().keys()


# Sums, weights and batches


def test_contributions_add_up_to_the_total(call: Call, full_loss: EFELoss) -> None:
    losses = full_loss(**call)
    assert set(losses) == {*TERMS, "total"}
    torch.testing.assert_close(losses["total"], sum(losses[name] for name in TERMS))
    assert all(losses[name] > 0 for name in TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_a_weight_scales_its_own_term_alone(call: Call, term: str) -> None:
    one, three = only(term), only(term, 3.0)
    three.load_state_dict(one.state_dict())
    losses, scaled = one(**call), three(**call)
    torch.testing.assert_close(scaled[term], 3.0 * losses[term])
    torch.testing.assert_close(scaled["total"], 3.0 * losses[term])
    assert losses[term] > 0


def test_a_padded_batch_equals_the_mean_of_its_singles(call: Call, full_loss: EFELoss) -> None:
    with torch.no_grad():
        batch = full_loss(**call)
        singles = [full_loss(**single(call, index)) for index in range(PAIRS)]
        for name in TERMS:
            mean = torch.stack([losses[name] for losses in singles]).mean()
            if name == "prompt":  # a batch has negatives that a single pair lacks
                outcomes = full_loss.outcome(one_hot(call["target"], call["grid_mask"]), call["grid_mask"])
                own = 1.0 - F.cosine_similarity(call["prompt_embedding"], outcomes)
                torch.testing.assert_close(0.3 * own.mean(), mean, rtol=1e-5, atol=1e-5)
                assert batch[name] > mean
            else:
                torch.testing.assert_close(batch[name], mean, rtol=1e-5, atol=1e-5)


def test_a_padded_batchs_gradient_equals_the_mean_of_its_singles(call: Call, full_loss: EFELoss) -> None:
    full_loss.weights["prompt"] = 0.0  # whose negatives a single pair lacks
    logits = call["forward_preds"].requires_grad_()
    (batch,) = torch.autograd.grad(full_loss(**call)["total"], logits)
    mean = sum(full_loss(**single(call, index))["total"] for index in range(PAIRS)) / PAIRS
    (expected,) = torch.autograd.grad(mean, logits)
    torch.testing.assert_close(batch, expected, rtol=1e-4, atol=1e-6)


def test_the_seeds_single_call_equals_a_batch_of_one(call: Call, full_loss: EFELoss) -> None:
    alone = single(call, 0)
    names = ("forward_preds", "backward_preds", "state_preds", "obs_probs", "final_pred", "target")
    seeds = [alone[name][0] for name in names]
    prompt, mask = alone["prompt_embedding"][0], alone["grid_mask"][0]
    found = full_loss(*seeds, STEPS, prompt, mask)
    expected = full_loss(
        *(alone[name] for name in names), STEPS, alone["prompt_embedding"], alone["grid_mask"]
    )
    for name in (*TERMS, "total"):
        assert torch.equal(found[name], expected[name])
    # Without a mask all cells count; targets may be of any numeric type.
    seeds[-1] = seeds[-1].float()
    torch.testing.assert_close(full_loss(*seeds, STEPS, prompt), found)


def test_without_prompt_and_sizes_their_terms_are_zero(call: Call, full_loss: EFELoss) -> None:
    losses = full_loss(**(call | {"prompt_embedding": None, "size_logits": None}))
    assert losses["prompt"] == losses["size"] == 0.0
    base = full_loss.log_preferences(None, 1)[0]
    torch.testing.assert_close(base, full_loss.preference.log_softmax(dim=-1))


def test_plans_of_unequal_shape_are_refused(call: Call, full_loss: EFELoss) -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        full_loss(**(call | {"backward_preds": call["backward_preds"][:, :-1]}))


# Hard cells


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), gain=st.floats(0, 20))
def test_hard_cell_weights_have_mean_one_in_every_grid(seed: int, share: float, gain: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(3, 6, 7)
    for row, (height, width) in zip(mask, [(6, 7), (2, 3), (1, 1)], strict=True):
        row[:height, :width] = 1.0
    wrong = (torch.rand(mask.shape, generator=generator) < share).float() * mask
    weights, ratio = hard_cell_weights(wrong, mask, gain)
    torch.testing.assert_close(cell_mean(weights, mask), torch.ones(3), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ratio.numpy(), (wrong.sum((1, 2)) / mask.sum((1, 2))).numpy(), rtol=1e-6)


def test_a_wrong_cell_counts_gain_times_more_than_a_right_one() -> None:
    wrong = torch.zeros(1, 12, 12)
    wrong.view(-1)[:50] = 1.0
    weights, ratio = hard_cell_weights(wrong, torch.ones(1, 12, 12), 4.0)
    assert ratio.item() == pytest.approx(50 / 144)  # the seed's 0.347
    assert (weights[wrong == 1] / weights[wrong == 0][0]).tolist() == pytest.approx([5.0] * 50)


@pytest.mark.parametrize(("wrong_cells", "weighed"), [(0, False), (3, False), (4, True), (400, False)])
def test_below_one_percent_wrong_all_cells_count_alike(wrong_cells: int, weighed: bool) -> None:
    wrong = torch.zeros(1, 20, 20)
    wrong.view(-1)[:wrong_cells] = 1.0
    weights, _ = hard_cell_weights(wrong, torch.ones(1, 20, 20), 4.0)
    assert (weights.unique().numel() > 1) == weighed
    assert weighed or torch.allclose(weights, torch.ones(1, 20, 20))


@pytest.mark.parametrize("term", ["consistency", "bidirectional"])
def test_cell_weights_raise_the_share_of_gradient_on_wrong_cells(call: Call, term: str) -> None:
    moved = call["final_pred" if term == "consistency" else "forward_preds"].requires_grad_()
    call |= {"reconstruction": None}
    wrong = torch.zeros_like(call["grid_mask"])
    wrong[:2, 0, :] = call["grid_mask"][:2, 0, :]
    shares = []
    for weights in (None, hard_cell_weights(wrong, call["grid_mask"], 4.0)[0]):
        loss = only(term)(**(call | {"cell_weights": weights}))["total"]
        (gradient,) = torch.autograd.grad(loss, moved)
        by_cell = gradient.abs().sum(dim=-1)
        by_cell = (by_cell if by_cell.dim() == 3 else by_cell.sum(dim=1))[:2]
        shares.append((by_cell * wrong[:2]).sum() / by_cell.sum())
    assert shares[1] > 1.3 * shares[0]


# In the training step


@pytest.mark.parametrize("backward", ["planner", "flip"])
def test_the_backward_plan_stands_beside_the_forward_one_in_reversed_time(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]], backward: str
) -> None:
    system = make_system(refine=False, hard_cell_gain=0.0, backward=backward)
    batch = collate(make_examples(1, seed=4))
    assert batch.targets is not None
    size = tuple(batch.targets.sizes[0].tolist())
    with torch.no_grad():
        flow = system.flow(batch, explore=False)
        forward = F.interpolate(
            flow.after.logits[0].permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False
        ).permute(0, 2, 3, 1)
        truth = one_hot(batch.targets.cells, batch.targets.mask)
        plan = system.agent.reconstruct(truth, flow.prompt, batch.targets.mask)
        back = resize_logits(plan[:, -1:], batch.targets.sizes, batch.inputs.sizes, batch.inputs.canvas)
        surprise = consistency_term(back[:, 0], batch.inputs.cells, batch.inputs.mask, batch.inputs.mask)
    expected = 0.0 if backward == "flip" else surprise.item()
    other = forward if backward == "flip" else plan[0]
    steps = len(forward)
    for step in range(steps):  # forward step t beside backward step T + 1 - t
        expected += js_by_numpy(softmax(forward[step]), softmax(other[steps - 1 - step])).mean() / steps
    found = training_step(system, batch, epoch=0, step=1).loss["bidirectional"]
    assert found == pytest.approx(0.5 * expected, rel=1e-4)


def test_with_the_flipped_plan_there_is_no_judge_of_reversibility(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    batch = collate(make_examples(4))
    reward = {}
    for backward in ("flip", "planner"):
        system = make_system(backward=backward, agent_lr=1e-3)
        planner = [weight.detach().clone() for weight in system.agent.backward_planner.parameters()]
        reward[backward] = training_step(system, batch, epoch=0, step=1).reward["d_rev"]
        moved = [
            not torch.equal(a, b)
            for a, b in zip(planner, system.agent.backward_planner.parameters(), strict=True)
        ]
        assert all(moved) if backward == "planner" else not any(moved)
    assert reward["flip"] == 0.0, "an untrained planner judges"
    assert reward["planner"] != 0.0


def test_every_weight_of_the_agent_and_the_loss_is_trained(
    make_system: Callable[..., ArcSystem], make_examples: Callable[..., list[Example]]
) -> None:
    system = make_system(optimizer="adamw", weight_decay=0.0)
    kept = {
        name: parameter.detach().clone()
        for module in (system.agent, system.efe_loss, system.qwen)
        for name, parameter in module.named_parameters()
    }
    training_step(system, collate(make_examples(4)), epoch=0, step=1)
    still = [
        name
        for module in (system.agent, system.efe_loss, system.qwen)
        for name, parameter in module.named_parameters()
        if torch.equal(parameter, kept[name])
    ]
    assert still == ["demonstrations.nothing"]  # all pairs had demonstrations


def test_size_term_is_the_sum_of_both_sides() -> None:
    logits, sizes = torch.randn(2, 2, 30), torch.tensor([[1, 30], [7, 2]])
    expected = [
        sum(F.cross_entropy(logits[i, axis], sizes[i, axis] - 1) for axis in (0, 1)) for i in range(2)
    ]
    torch.testing.assert_close(size_term(logits, sizes), torch.stack(expected))
