"""The way the gradient of each term of the loss points, and what it leaves alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_calls import PAIRS, PROMPT, Call, descend, only
from torch import Tensor

from arc_core.pipeline.agent import one_hot
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.loss_terms import ambiguity_term, centred_outcomes, prompt_term, risk_term


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
    loss.move_anchor(new[None])
    moved = 0.75 * started + 0.25 * new.numpy()
    np.testing.assert_allclose(loss.anchor.numpy(), moved, rtol=1e-5)
    other = torch.full((10,), 0.1)
    loss.move_anchor(torch.stack([new, other]))  # one after the other
    after = 0.75 * (0.75 * moved + 0.25 * new.numpy()) + 0.25 * other.numpy()
    np.testing.assert_allclose(loss.anchor.numpy(), after, rtol=1e-5)
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
