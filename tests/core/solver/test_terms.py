"""The terms of the solver's adaptation, each against an independent computation, and where gradients go."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from arc_core.data.sizes import Placement
from arc_core.pipeline.canvas import Item, pack
from arc_core.pipeline.canvas_planner import SIZE_WEIGHT, Planned, planning_loss
from arc_core.pipeline.loss import step_weights
from arc_core.solver.adaptation import CLIP_NORM, Adaptation, TaskPrompt, rate_factor
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import fresh_net
from arc_core.solver.terms import (
    SolverTerms,
    cell_weights,
    input_under_output,
    reconstruction_loss,
    size_factor,
)

SMALL = {"width": 16, "prompt_dim": 12, "steps": 3, "context_dim": 4, "color_maps": 1, "amp": "off"}
OUT_SIZES = [(3, 5), (4, 2), (1, 1), (2, 2)]
KNOWN = 3
CPU = torch.device("cpu")

ON = {
    "risk": {"lambda_risk": 0.7},
    "ambiguity": {"lambda_amb": 0.7},
    "step": {"lambda_step": 0.7},
    "bidirectional": {"bidirectional": "flip", "lambda_bi": 0.7},
    "z_anchor": {"lambda_z": 0.7},
    "prompt": {"prompt_consistency": "outcome", "lambda_prompt": 0.7},
}


def config(**settings):
    return SolverConfig.from_mapping(SMALL | settings)


def grid(rng, size):
    return rng.integers(0, 10, size).astype(np.int8)


@pytest.fixture
def batch():
    """Three demonstrations of unequal sizes, the first two of one group, and a query of that group."""
    rng = np.random.default_rng(0)
    items = [
        Item(grid(rng, (3, 4)), grid(rng, size) if i < KNOWN else None, Placement(size), i == 2, copies=i % 3)
        for i, size in enumerate(OUT_SIZES)
    ]
    return pack(items)


@pytest.fixture
def planned(batch):
    torch.manual_seed(1)
    logits = torch.randn(len(batch), 3, *batch.out_mask.shape[1:], 10, requires_grad=True)
    prompts = torch.randn(len(batch), 12, requires_grad=True)
    return Planned(logits, torch.randn(len(batch), 2, 30), prompts)


@pytest.fixture
def shift(batch):
    return torch.randn(len(batch), 12, requires_grad=True)


def terms_of(batch, **settings):
    torch.manual_seed(2)
    made = SolverTerms(config(**settings))
    made.start(batch)
    return made


def values(terms, planned, batch, shift, weights=None):
    backward = terms.plan_backward(planned, batch)
    return terms(planned, batch, shift, backward, batch.out_mask if weights is None else weights)


def shares(planned, number):
    """[T, cells, C] in float64, of a grid's own cells."""
    height, width = OUT_SIZES[number]
    logits = planned.logits[number, :, :height, :width].detach().double().numpy().reshape(3, -1, 10)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def target(batch, number):
    height, width = OUT_SIZES[number]
    return batch.targets[number, :height, :width].numpy().ravel()


def mean_of_known(one):
    return np.mean([one(number) for number in range(KNOWN)])


def histogram(batch, number):
    return np.bincount(target(batch, number), minlength=10) / len(target(batch, number))


def preferred(terms, prompt):
    scores = (terms.preferences.base + terms.preferences.of_prompt.weight @ prompt).detach().double().numpy()
    return np.exp(scores) / np.exp(scores).sum()


def test_risk_is_the_kl_from_predicted_to_preferred_colours(batch, planned, shift):
    terms = terms_of(batch, lambda_risk=0.7)
    nn.init.normal_(terms.preferences.of_prompt.weight)

    def risk(number):
        preference = preferred(terms, planned.prompts[number])
        predicted = shares(planned, number).mean(axis=1)
        return (predicted * np.log(predicted / preference)).sum(axis=-1).mean()

    found = values(terms, planned, batch, shift)
    assert found["risk"].item() == pytest.approx(0.7 * mean_of_known(risk), rel=1e-4)
    assert set(found) == {"risk", "preferences"}


def test_preferences_are_fitted_to_the_outputs_colours_and_begin_there(batch, planned, shift):
    terms = terms_of(batch, lambda_risk=0.7)
    start = terms.preferences.base.exp().detach().numpy()
    together = np.mean([histogram(batch, number) for number in range(KNOWN)], axis=0)
    np.testing.assert_allclose(start, together, atol=5e-3)

    def fit(number):
        truth, preference = histogram(batch, number), preferred(terms, planned.prompts[number])
        return sum(p * np.log(p / q) for p, q in zip(truth, preference, strict=True) if p)

    found = values(terms, planned, batch, shift)["preferences"]
    assert found.item() == pytest.approx(mean_of_known(fit), rel=1e-4)
    changed = replace(batch, targets=(batch.targets + 1) % 10)
    terms.start(changed)
    np.testing.assert_array_equal(terms.preferences.base.exp().detach().numpy(), start)


def test_risk_moves_predictions_and_the_fit_moves_preferences_never_each_others(batch, planned, shift):
    terms = terms_of(batch, lambda_risk=1.0)
    found = values(terms, planned, batch, shift)
    own = list(terms.preferences.parameters())
    given = [planned.logits, planned.prompts]
    of_risk = torch.autograd.grad(found["risk"], [*given, *own], retain_graph=True, allow_unused=True)
    of_fit = torch.autograd.grad(found["preferences"], [*given, *own], allow_unused=True)
    assert [gradient is not None for gradient in of_risk] == [True, False, False, False]
    assert [gradient is not None for gradient in of_fit] == [False, False, True, True]


def test_ambiguity_is_the_plans_mean_entropy(batch, planned, shift):
    found = values(terms_of(batch, lambda_amb=0.7), planned, batch, shift)["ambiguity"]
    expected = mean_of_known(lambda n: -(shares(planned, n) * np.log(shares(planned, n))).sum(-1).mean())
    assert found.item() == pytest.approx(0.7 * expected, rel=1e-4)


def test_steps_are_paid_for_until_the_plan_is_right(batch, planned, shift):
    terms = terms_of(batch, lambda_step=0.7)

    def price(number):
        of_target = shares(planned, number)[:, np.arange(len(target(batch, number))), target(batch, number)]
        return (1 - of_target).sum(axis=0).mean()

    found = values(terms, planned, batch, shift)["step"]
    assert found.item() == pytest.approx(0.7 * mean_of_known(price), rel=1e-4)
    right = 50.0 * F.one_hot(batch.targets, 10).float()[:, None]
    late = torch.cat([-right, -right, right], dim=1)
    never, last, always = (
        values(terms, replace(planned, logits=logits), batch, shift)["step"].item() / 0.7
        for logits in (-right.expand(-1, 3, -1, -1, -1), late, right.expand(-1, 3, -1, -1, -1))
    )
    assert (never, last, always) == pytest.approx((3, 2, 0), abs=1e-4)


def test_flip_is_the_jensen_shannon_divergence_from_the_plan_in_reversed_time(batch, planned, shift):
    found = values(terms_of(batch, bidirectional="flip", lambda_bi=0.7), planned, batch, shift)

    def divergence(number):
        p, q = shares(planned, number), shares(planned, number)[::-1]
        middle = (p + q) / 2
        return 0.5 * ((p * np.log(p / middle)).sum(-1) + (q * np.log(q / middle)).sum(-1)).mean()

    assert found["bidirectional"].item() == pytest.approx(0.7 * mean_of_known(divergence), rel=1e-4)


def test_the_backward_planner_reads_outputs_agrees_step_by_step_and_finds_the_input(batch, planned, shift):
    terms = terms_of(batch, bidirectional="planner", lambda_bi=0.7)
    backward = terms.plan_backward(planned, batch)
    other = replace(batch, targets=(batch.targets + 1) % 10)
    assert not torch.equal(backward, terms.plan_backward(planned, other))
    p = planned.logits.softmax(-1).detach().double()
    q = backward.flip(1).softmax(-1).detach().double()
    middle = (p + q) / 2
    cells = 0.5 * (p * (p / middle).log() + q * (q / middle).log()).sum(-1).mean(1)

    def expected(number):
        height, width = OUT_SIZES[number]
        agreement = cells[number, :height, :width].mean().item()
        return agreement + reconstruction_loss(backward[:, -1], batch)[number].item()

    found = values(terms, planned, batch, shift)["bidirectional"]
    assert found.item() == pytest.approx(0.7 * mean_of_known(expected), rel=1e-4)
    found.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in terms.planner.parameters())
    assert planned.logits.grad[:KNOWN].abs().sum() > 0
    assert planned.prompts.grad[:KNOWN].abs().sum() > 0


def test_a_backward_plan_is_held_against_the_input_that_lies_under_the_output():
    source = np.arange(6, dtype=np.int8).reshape(2, 3)
    whole = np.zeros((4, 6), np.int8)
    batch = pack(
        [
            Item(source, whole, Placement((4, 6)), 0, copies=1),
            Item(source, whole, Placement((4, 6)), 0, copies=2),
            Item(source, whole[:1, :2], Placement((1, 2), (1, 1)), 0, copies=0),
            Item(source, whole, Placement((4, 6)), 0, copies=0),
        ]
    )
    under = input_under_output(batch)
    assert under[0].argmax(-1).tolist() == source.repeat(2, 0).repeat(2, 1).tolist()
    assert under[1].argmax(-1).tolist() == np.tile(source, (2, 2)).tolist()
    assert under[2, :1, :2].argmax(-1).tolist() == [[4, 5]]
    assert under[3].sum() == 6
    logits = torch.randn(4, 4, 6, 10)
    height, width = source.shape
    expected = F.cross_entropy(logits[3, :height, :width].reshape(-1, 10), torch.arange(6))
    torch.testing.assert_close(reconstruction_loss(logits, batch)[3], expected)


def test_a_backward_planner_tells_how_much_of_the_input_it_expects_to_find(batch, planned):
    terms = terms_of(batch, bidirectional="planner")
    colors = planned.logits[:, -1].argmax(-1)
    again = terms.found_again(batch, colors, planned.prompts)
    logits = terms.planner(
        F.one_hot(colors, 10) * batch.out_mask[..., None], planned.prompts, batch.out_mask
    )[:, -1]
    under = input_under_output(batch)
    for number in range(len(batch)):
        where = under[number].sum(-1) > 0
        right = logits[number][where].softmax(-1).gather(-1, under[number][where].argmax(-1)[:, None])
        assert again[number].item() == pytest.approx(right.mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match="backward planner"):
        terms_of(batch).found_again(batch, colors, planned.prompts)


def test_z_anchor_grows_with_the_square_of_what_the_prompt_strayed(batch, planned, shift):
    found = values(terms_of(batch, lambda_z=0.7), planned, batch, shift)["z_anchor"]
    expected = mean_of_known(lambda n: (shift[n].detach().numpy() ** 2).mean())
    assert found.item() == pytest.approx(0.7 * expected, rel=1e-4)
    (gradient,) = torch.autograd.grad(found, shift)
    assert (gradient[:KNOWN] * shift[:KNOWN] > 0).all()
    both = terms_of(batch, lambda_z=0.7, lambda_risk=1.0)
    assert values(both, planned, batch, shift)["z_anchor"].item() == pytest.approx(found.item(), rel=1e-4)
    with torch.no_grad():
        both.preferences.base += torch.randn(10)
    base = both.preferences.base.softmax(-1).detach().double().numpy()
    strayed = (base * np.log(base / both.preferences.anchor.double().numpy())).sum()
    moved = values(both, planned, batch, shift)["z_anchor"].item()
    assert moved == pytest.approx(0.7 * (expected + strayed), rel=1e-4)


def test_a_step_down_the_outcomes_term_brings_prompts_nearer_their_own_outcomes(batch, planned, shift):
    terms = terms_of(batch, prompt_consistency="outcome", lambda_prompt=0.7)
    before = values(terms, planned, batch, shift)["prompt"]
    before.backward()
    assert all(p.grad.abs().sum() > 0 for p in terms.outcome.parameters())
    moved = replace(planned, prompts=planned.prompts - 0.1 * planned.prompts.grad)
    assert values(terms, moved, batch, shift)["prompt"] < before


@pytest.mark.parametrize("name", ["risk", "ambiguity", "step", "bidirectional"])
def test_a_step_down_a_terms_gradient_lowers_it(name, batch, planned, shift):
    terms = terms_of(batch, **ON[name])
    before = values(terms, planned, batch, shift)[name]
    (gradient,) = torch.autograd.grad(before, planned.logits)
    moved = replace(planned, logits=planned.logits - gradient / gradient.norm())
    assert values(terms, moved, batch, shift)[name] < before


@pytest.mark.parametrize("name", ON)
def test_padding_and_queries_count_for_nothing_in_a_term(name, batch, planned, shift):
    terms = terms_of(batch, **ON[name])
    noise = 3 * torch.randn_like(planned.logits)
    counted = batch.out_mask * batch.known[:, None, None]
    other = replace(planned, logits=planned.logits + noise * (1 - counted)[:, None, :, :, None])
    moved = torch.cat([shift[:KNOWN], shift[KNOWN:] + 1])
    prompts = torch.cat([planned.prompts[:KNOWN], planned.prompts[KNOWN:] + 1])
    before = values(terms, planned, batch, shift)[name]
    after = values(terms, replace(other, prompts=prompts), batch, moved)[name]
    torch.testing.assert_close(after, before)


def test_hard_cells_weigh_wrong_ones_up_within_each_grid(batch, planned):
    weights = cell_weights(planned, batch, 4.0)
    for number in range(KNOWN):
        height, width = OUT_SIZES[number]
        wrong = (shares(planned, number)[-1].argmax(-1) != target(batch, number)).astype(float)
        expected = (1 + 4 * wrong) / (1 + 4 * wrong.mean())
        found = weights[number, :height, :width].numpy().ravel()
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert found.mean() == pytest.approx(1)
    right = replace(planned, logits=50.0 * F.one_hot(batch.targets, 10).float()[:, None])
    assert (cell_weights(right, batch, 4.0) == 1).all()
    assert not weights.requires_grad


def test_the_plans_loss_takes_each_cell_by_its_weight(batch, planned):
    weights = torch.rand_like(batch.out_mask)

    def loss(number):
        height, width = OUT_SIZES[number]
        own = weights[number, :height, :width].double().numpy().ravel()
        of_target = shares(planned, number)[:, np.arange(height * width), target(batch, number)]
        return sum(
            w * -(own * np.log(step)).mean() for w, step in zip(step_weights(3), of_target, strict=True)
        )

    found, sizes = planning_loss(planned, batch, weights)
    assert found.item() == pytest.approx(mean_of_known(loss), rel=1e-4)
    assert torch.equal(sizes, planning_loss(planned, batch)[1])


def test_sizes_warm_up_as_in_the_seeds_first_epochs():
    factors = [size_factor("size", step, 40) for step in (0, 1, 2, 4, 6, 39)]
    assert factors == pytest.approx([2, 2, 5 / 3, 4 / 3, 1, 1])
    assert {size_factor("off", step, 40) for step in range(40)} == {1.0}


def demonstrations():
    rng = np.random.default_rng(3)
    return pack([Item(grid(rng, (3, 4)), grid(rng, (3, 4)), Placement((3, 4)), 0) for _ in range(3)])


def trained(**settings):
    """All that an adaptation has learned and averaged after three steps, as bytes."""
    adaptation = Adaptation(fresh_net(config(), 5), config(**settings), CPU, seed=7)
    for _ in range(3):
        adaptation.train(demonstrations(), 6)
    return [p.detach().numpy().tobytes() for p in (*adaptation._parameters, *adaptation._means)]


def test_with_every_term_off_a_step_is_that_of_the_plain_loss_to_the_bit():
    net = fresh_net(config(), 5)
    prompt = TaskPrompt(12, 1, torch.zeros(8, 12))
    parameters = [*net.parameters(), *prompt.parameters()]
    means = copy.deepcopy(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=1, weight_decay=config().weight_decay, fused=True)
    batch = demonstrations()
    for step in range(3):
        optimizer.param_groups[0]["lr"] = config().adapt_lr * rate_factor(step, 6)
        loss, sizes = planning_loss(net(batch, prompt(batch.views)), batch)
        optimizer.zero_grad()
        (loss + SIZE_WEIGHT * sizes).backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        with torch.no_grad():
            for mean, value in zip(means, parameters, strict=True):
                mean.lerp_(value, 1 - min(config().ema, (step + 1) / (step + 11)))
    plain = [p.detach().numpy().tobytes() for p in (*parameters, *means)]
    assert trained() == plain
    # Weights of what is off, and what is on with a weight of nothing, change nothing either.
    assert trained(lambda_bi=3.0, lambda_prompt=3.0) == plain
    assert trained(bidirectional="planner", lambda_bi=0.0) == plain
    assert trained(prompt_consistency="outcome", lambda_prompt=0.0) == plain
    assert list(SolverTerms(config()).parameters()) == []


@pytest.mark.parametrize(
    "settings",
    [
        *ON.values(),
        {"bidirectional": "planner"},
        {"hard_cell_gain": 4.0},
        {"warm_up": "size"},
    ],
)
def test_what_is_on_changes_what_is_learned_the_same_way_each_time(settings):
    first = trained(**settings)
    torch.rand(3)
    assert trained(**settings) == first
    assert first != trained()


def test_weights_of_the_terms_are_trained_beside_the_net():
    settings = {"lambda_risk": 1.0, "bidirectional": "planner", "prompt_consistency": "outcome"}
    adaptation = Adaptation(fresh_net(config(), 5), config(**settings), CPU, seed=7)
    before = copy.deepcopy(list(adaptation._terms.parameters()))
    for _ in range(2):
        adaptation.train(demonstrations(), 6)
    same = [torch.equal(a, b) for a, b in zip(before, adaptation._terms.parameters(), strict=True)]
    assert not any(same)


def test_the_anchor_holds_a_prompt_where_it_started_not_at_zero():
    start = torch.randn(8, 12)
    strayed = []
    for weight in (0.0, 1000.0):
        settings = config(lambda_z=weight, weight_decay=0.0)
        adaptation = Adaptation(fresh_net(settings, 5), settings, CPU, start, seed=7)
        for _ in range(12):
            adaptation.train(demonstrations(), 12)
        now = adaptation._prompt(torch.zeros(1, 2, dtype=torch.int64))
        strayed.append((now - start[:1]).norm().item())
    assert strayed[1] < 0.5 * strayed[0] < 0.5 * start[0].norm()
