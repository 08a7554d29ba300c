"""What the tokens of texts may look at, told to transformers so that a GPU need not be waited for."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel


def attention_mask(backbone: PreTrainedModel, mask_UL: Tensor) -> Tensor | None:
    """The mask for texts that are padded on the right, of which 1 marks what is no padding.

    What stands after a token is not seen by it in a causal model, so padding needs no mask there. Without one
    transformers reads positions, to see whether texts follow each other, and on a GPU that waits for all that
    was begun before; one of four dimensions it takes as it is.

    Args:
        backbone: The model that is asked.
        mask_UL: [U, L].

    Returns:
        None; on a GPU [1, 1, L, L], which token sees which; the same mask for a model that is not causal.
    """
    config, length = backbone.config.get_text_config(), mask_UL.shape[1]
    if {module.is_causal for module in backbone.modules() if hasattr(module, "is_causal")} != {True}:
        return mask_UL
    window = getattr(config, "sliding_window", None) or length
    if not mask_UL.is_cuda or config._attn_implementation != "sdpa" or length > window:
        return None
    return torch.ones(length, length, dtype=torch.bool, device=mask_UL.device).tril()[None, None]
