"""A call of the loss, and a loss with every term."""

import numpy as np
import pytest
import torch
from loss_calls import PAIRS, PROMPT, SIZES, STEPS, Call, DrawGrids

from arc_core.pipeline.batch import GridBatch
from arc_core.pipeline.loss import EFELoss
from arc_core.pipeline.loss_terms import hard_cell_weights


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


@pytest.fixture
def full_loss() -> EFELoss:
    """Every term switched on, and preferences that are not uniform."""
    loss = EFELoss(lambda_amb=0.4, prompt_dim=PROMPT)
    torch.nn.init.normal_(loss.preference)
    loss.set_anchor(torch.rand(10))
    return loss
