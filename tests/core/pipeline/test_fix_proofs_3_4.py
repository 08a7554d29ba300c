"""Wrong cells weigh more, and sizes warm up: proved on real training steps.

Every proof is a test; the last test of this file takes each fix out and demands that its proof then fails.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from small_system import real_batch, small_system, stand_still, step_and_flow, trained
from torch import Tensor

from arc_core.pipeline import step as step_module
from arc_core.pipeline.curriculum import SizeWarmupCurriculum
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.system import ArcSystem

Patch = pytest.MonkeyPatch


# Wrong cells weigh more


def share_on_wrong_cells(system: ArcSystem, gain: float) -> tuple[Tensor, float, float]:
    """Of each pair, the share of the gradient on the final logits that falls on wrong cells."""
    system.config = replace(system.config, hard_cell_gain=gain)
    batch = real_batch()
    result, flow = step_and_flow(system, batch)
    assert batch.targets is not None
    assert flow.after.logits.grad is not None
    wrong = (flow.after.logits[:, -1].argmax(dim=-1) != batch.targets.cells).float() * batch.targets.mask
    size = flow.after.logits.grad[:, -1].abs().sum(dim=-1)  # [B, H, W]
    ratio = wrong.sum(dim=(1, 2)) / batch.targets.mask.sum(dim=(1, 2))
    share = (size * wrong).sum(dim=(1, 2)) / size.sum(dim=(1, 2))
    return share[(ratio > 0.01) & (ratio < 1)], result.mask_ratio, ratio.mean().item()


def test_share_of_gradient_on_wrong_cells_rises():
    system = stand_still(trained(12, real_batch(), reward_weight=0.0, memory=False))
    weighted, reported, ratio = share_on_wrong_cells(system, 4.0)
    plain, _, _ = share_on_wrong_cells(system, 0.0)
    assert len(plain) >= 2, "too few pairs are partly wrong"
    assert torch.all(weighted > plain + 0.02), "wrong cells get no larger share of the gradient"
    assert reported == pytest.approx(ratio, abs=1e-6)


def weigh(wrong: int, side: int = 12, gain: float = 4.0) -> tuple[Tensor, Tensor]:
    """Weights and mask ratio of a square grid whose first cells are wrong; padded by three."""
    grid = torch.zeros(1, side + 3, side + 3)
    mask = torch.zeros_like(grid)
    mask[:, :side, :side] = 1.0
    grid[:, :side, :side] = (torch.arange(side * side) < wrong).view(1, side, side).float()
    weights, ratio = step_module.hard_cell_weights(grid, mask, gain)
    return weights[0, :side, :side].flatten(), ratio


@pytest.mark.parametrize("gain", [0.5, 4.0, 100.0])
@pytest.mark.parametrize("wrong", [0, 1, 2, 50, 143, 144])
def test_weights_have_mean_one_in_each_grid(wrong: int, gain: float):
    weights, ratio = weigh(wrong, gain=gain)
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-5), "the mean weight is not 1"
    assert ratio.item() == pytest.approx(wrong / 144)
    if wrong in (2, 50, 143):
        relative = (weights[0] / weights[-1]).item()
        assert relative == pytest.approx(1 + gain), "wrong cells do not weigh more"


def test_fifty_wrong_cells_of_144_print_as_the_seeds_ratio():
    assert f"{weigh(50)[1].item():.3f}" == "0.347", "not the seed's mask ratio"


def test_below_one_percent_of_wrong_cells_all_weigh_alike():
    assert torch.equal(weigh(1)[0], torch.ones(144)), "a last cell dominates"
    assert not torch.equal(weigh(2)[0], torch.ones(144))


def weights_of_one(patch: Patch) -> None:
    weigh_cells = step_module.hard_cell_weights
    patch.setattr(
        step_module, "hard_cell_weights", lambda w, m, g: (torch.ones_like(w), weigh_cells(w, m, g)[1])
    )


def seeds_one_scalar(patch: Patch) -> None:
    def scalar(wrong: Tensor, mask: Tensor, gain: float) -> tuple[Tensor, Tensor]:
        ratio = weigh_cells(wrong, mask, gain)[1]
        factor = torch.where(ratio > 0.01, ratio, 1.0) if gain else torch.ones_like(ratio)
        return factor[:, None, None].expand_as(wrong), ratio

    weigh_cells = step_module.hard_cell_weights
    patch.setattr(step_module, "hard_cell_weights", scalar)


def weights_without_a_floor(patch: Patch) -> None:
    def weights(wrong: Tensor, mask: Tensor, gain: float) -> tuple[Tensor, Tensor]:
        ratio = (wrong * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))
        return (1.0 + gain * wrong) / (1.0 + gain * ratio)[:, None, None], ratio

    patch.setattr(step_module, "hard_cell_weights", weights)


# Sizes warm up


WARM_UP = (1.0, 0.8333, 0.6667, 0.5, 0.5)


def size_warm_up_step(epoch: int) -> tuple[float, float, Tensor, Tensor, Tensor, float]:
    """A step from the same start in any epoch: its weight and terms, and the gradients it brings."""
    system = small_system(reward_weight=0.0)
    head = list(system.agent.size_head.parameters())
    raw: dict[Tensor, Tensor] = {}
    for parameter in head:
        parameter.register_post_accumulate_grad_hook(lambda p: raw.update({p: p.grad.clone()}))
    result, flow = step_and_flow(system, real_batch(), epoch)
    sizes, plan = flow.after.output.size_logits.grad, flow.after.logits.grad
    assert sizes is not None
    assert plan is not None
    flat = torch.cat([raw[parameter].flatten() for parameter in head])
    return result.size_weight, result.loss["size"], flat, sizes, plan, result.loss["consistency"]


def test_size_weight_falls_by_epoch_as_in_the_seed():
    weights = [size_warm_up_step(epoch)[0] for epoch in range(5)]
    assert [round(weight, 4) for weight in weights] == list(WARM_UP), "not the seed's weights"


def test_size_heads_gradient_scales_with_the_weight_and_no_other_terms_does():
    _, term, head, sizes, plan, cells = size_warm_up_step(0)
    assert head.norm() > 0
    for epoch, exact in enumerate((1.0, 5 / 6, 4 / 6, 0.5, 0.5)):
        _, term_now, head_now, sizes_now, plan_now, cells_now = size_warm_up_step(epoch)
        complaint = f"the size head's gradient does not scale in epoch {epoch}"
        assert term_now == pytest.approx(exact * term, rel=1e-5), complaint
        assert torch.allclose(sizes_now, exact * sizes, rtol=1e-5, atol=1e-9), complaint
        assert torch.allclose(head_now, exact * head, rtol=1e-4, atol=1e-7), complaint
        assert torch.equal(plan_now, plan), f"the other terms' gradients change in epoch {epoch}"
        assert cells_now == cells


def constant_size_weight(patch: Patch) -> None:
    patch.setattr(SizeWarmupCurriculum, "get_size_loss_weight", lambda self, epoch: 1.0)


def size_weight_on_the_whole_loss(patch: Patch) -> None:
    def scaled(self: EFELoss, *given, size_weight: float = 1.0, **named) -> dict[str, Tensor]:
        return {name: size_weight * value for name, value in forward(self, *given, **named).items()}

    forward = EFELoss.forward
    patch.setattr(EFELoss, "forward", scaled)


# What the proofs are worth


@pytest.mark.parametrize(
    ("take_out", "proof", "complaint"),
    [
        (weights_of_one, test_share_of_gradient_on_wrong_cells_rises, "no larger share"),
        (seeds_one_scalar, test_share_of_gradient_on_wrong_cells_rises, "no larger share"),
        (seeds_one_scalar, lambda: test_weights_have_mean_one_in_each_grid(50, 4.0), "mean weight is not 1"),
        (weights_of_one, lambda: test_weights_have_mean_one_in_each_grid(50, 4.0), "do not weigh more"),
        (weights_without_a_floor, test_below_one_percent_of_wrong_cells_all_weigh_alike, "dominates"),
        (constant_size_weight, test_size_weight_falls_by_epoch_as_in_the_seed, "not the seed's weights"),
        (
            constant_size_weight,
            test_size_heads_gradient_scales_with_the_weight_and_no_other_terms_does,
            "does not scale in epoch 1",
        ),
        (
            size_weight_on_the_whole_loss,
            test_size_heads_gradient_scales_with_the_weight_and_no_other_terms_does,
            "other terms' gradients change in epoch 1",
        ),
    ],
)
def test_proof_fails_when_the_fix_is_taken_out(
    take_out: Callable[[Patch], None], proof: Callable[[], None], complaint: str, monkeypatch: Patch
):
    take_out(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        proof()
