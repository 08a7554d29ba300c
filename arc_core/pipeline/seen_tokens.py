"""What the tokens of texts may look at, told to transformers so that a GPU need not be waited for."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel


def attention_mask(backbone: PreTrainedModel, mask_UL: Tensor) -> Tensor:
    """The mask for texts that are padded on the right, of which 1 marks what is no padding.

    Of such a mask transformers reads whether it masks anything, and on a GPU that waits for all that was
    begun before; one of four dimensions it takes as it is. There a causal model is given one that knows no
    padding: that comes after the text, and no token sees what comes after it.

    Args:
        backbone: The model that is asked.
        mask_UL: [U, L].

    Returns:
        The same, or [1, 1, L, L].
    """
    config, length = backbone.config.get_text_config(), mask_UL.shape[1]
    window = getattr(config, "sliding_window", None) or length
    causal = {module.is_causal for module in backbone.modules() if hasattr(module, "is_causal")} == {True}
    if not (mask_UL.is_cuda and causal and config._attn_implementation == "sdpa" and length <= window):
        return mask_UL
    return torch.ones(length, length, dtype=torch.bool, device=mask_UL.device).tril()[None, None]
