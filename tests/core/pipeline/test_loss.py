"""Each term of the loss, held against torch.distributions or numpy; sums, weights and batches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_calls import PAIRS, PROMPT, SIZES, STEPS, Call, js_by_numpy, only, single, softmax
from torch.distributions import Categorical, kl_divergence

from arc_core.pipeline.agent import one_hot
from arc_core.pipeline.loss import TERMS, EFELoss
from arc_core.pipeline.loss_terms import ambiguity_term, jensen_shannon_term, kl_term, size_term

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


def test_size_term_is_the_sum_of_both_sides() -> None:
    logits, sizes = torch.randn(2, 2, 30), torch.tensor([[1, 30], [7, 2]])
    expected = [
        sum(F.cross_entropy(logits[i, axis], sizes[i, axis] - 1) for axis in (0, 1)) for i in range(2)
    ]
    torch.testing.assert_close(size_term(logits, sizes), torch.stack(expected))


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
