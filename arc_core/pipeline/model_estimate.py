"""What a language model will take, told from its configuration: no weights are read or made."""

from __future__ import annotations

import torch
from transformers import AutoModel

from arc_core.pipeline.language_model import config_of, transformers_errors

RULE_TOKENS = 40
"""Tokens of a rule sentence: 23 on average and 38 at most in 400 of ARC-AGI-2's, by SmolLM2's tokenizer."""


def estimate_parameters(name: str) -> int:
    """Count a model's parameters.

    Args:
        name: As for `LanguageModel.load`.

    Returns:
        The number of parameters of the backbone.

    Raises:
        LanguageModelError: If the configuration cannot be found, reached or read.
    """
    config = config_of(name)
    with transformers_errors(name, "build the model of its config.json", config), torch.device("meta"):
        backbone = AutoModel.from_config(config, trust_remote_code=False)
    return sum(value.numel() for value in backbone.parameters())


def estimate_hidden_size(name: str) -> int:
    """Read a model's width; arguments and errors as of `estimate_parameters`."""
    return config_of(name).get_text_config().hidden_size


def estimate_activation_bytes(name: str, texts: int) -> int:
    """Estimate what the backward pass keeps of a forward pass over rule sentences, in float32.

    Args:
        name: As for `LanguageModel.load`.
        texts: Sentences in a batch.

    Returns:
        Bytes.

    Raises:
        LanguageModelError: As `estimate_parameters`.
    """
    config = config_of(name).get_text_config()
    layers: int = getattr(config, "num_hidden_layers", 1)
    inner: int = getattr(config, "intermediate_size", 4 * config.hidden_size)
    # Of each layer and token: norms, queries, keys, values, attention and sums, about twelve times the
    # width; and four times the width inside.
    return texts * RULE_TOKENS * layers * 4 * (12 * config.hidden_size + 4 * inner)
