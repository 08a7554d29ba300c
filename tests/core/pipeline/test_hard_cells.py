"""Wrong cells count more, with mean 1 in each grid."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_calls import Call, only

from arc_core.pipeline.loss_terms import cell_mean, hard_cell_weights


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
