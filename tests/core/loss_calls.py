"""Calls of the loss and what its terms are held against, for the tests of the loss."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arc_core.pipeline.batch import GridBatch
from arc_core.pipeline.loss import EFELoss

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
