"""Which values of a language model's config.json are believed.

transformers stumbles over many bad ones without saying which it was, or takes them and fails in training.
"""

from __future__ import annotations

import json
from typing import Any

from arc_core.base.errors import LanguageModelError
from arc_core.base.text import printable

SIZES = {
    "hidden_size": 1_000_000,
    "num_hidden_layers": 10_000,
    "num_attention_heads": 100_000,
    "num_key_value_heads": 100_000,
    "intermediate_size": 10_000_000,
    "vocab_size": 10_000_000,
    "max_position_embeddings": 1_000_000_000,
    "head_dim": 100_000,
}
"""Whole numbers of config.json, and the most that is believed of each: far above any model that there is."""
OBJECTS = ("quantization_config", "id2label", "label2id", "rope_parameters", "rope_scaling")
POSITIVE = (
    "rope_theta",
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "initializer_range",
    "factor",
)
MAY_BE_NULL = frozenset(
    {"num_key_value_heads", "head_dim", "max_position_embeddings", "intermediate_size", "num_attention_heads"}
)
MAY_VARY = frozenset({"intermediate_size", "num_attention_heads", "num_key_value_heads"})
"""Sizes that a few models list for each layer."""
DTYPES = ("float32", "float16", "bfloat16", "float64", "float", "half", "double", "auto")


def check_values(name: str, config: dict[str, Any]) -> None:
    """Refuse values of config.json over which transformers stumbles without naming them.

    Args:
        name: The model, as the user gave it.
        config: The file's content.

    Raises:
        LanguageModelError: If a value is refused; names it and says what is allowed.
    """
    for key, most in SIZES.items():
        value = config.get(key, 1)
        values = value if isinstance(value, list) and value and key in MAY_VARY else [value]
        fits = all(type(one) is int and 1 <= one <= most for one in values)
        if not fits and not (value is None and key in MAY_BE_NULL):
            raise LanguageModelError(
                f"{name}: config.json has {key} {shown(value)}; it must be a whole number from 1 to {most:,}"
            )
    for key in ("dtype", "torch_dtype"):
        value = config.get(key)
        named = value.removeprefix("torch.") if isinstance(value, str) else value
        if value is not None and named not in DTYPES:
            raise LanguageModelError(
                f"{name}: config.json has {key} {shown(value)}; known are {', '.join(DTYPES)}"
            )
    for key in OBJECTS:
        if not isinstance(value := config.get(key, {}), dict | None):
            raise LanguageModelError(f"{name}: config.json has {key} {shown(value)}; it must be an object")
    inner = [(f"{key}.", config.get(key) or {}) for key in ("rope_parameters", "rope_scaling")]
    for before, part in [("", config), *inner]:
        for key, value in part.items():
            _check_number(name, f"{before}{key}", value)
    pad, words = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(pad, int) and words and pad >= words:
        raise LanguageModelError(
            f"{name}: config.json has pad_token_id {pad}, which is not below its vocab_size {words}"
        )
    width, heads = config.get("hidden_size"), config.get("num_attention_heads")
    if isinstance(width, int) and isinstance(heads, int) and "head_dim" not in config and width % heads:
        raise LanguageModelError(
            f"{name}: config.json has hidden_size {width}, which is no multiple of its num_attention_heads "
            f"{heads}"
        )


def _check_number(name: str, key: str, value: object) -> None:
    """Refuse a dropout outside 0 to 1, and a number that is none."""
    last = key.rpartition(".")[2]
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if last in POSITIVE and value is not None and not (number is not None and number > 0):
        raise LanguageModelError(f"{name}: config.json has {key} {shown(value)}; it must be a number above 0")
    if "drop" in last and number is not None and not 0 <= number <= 1:
        raise LanguageModelError(f"{name}: config.json has {key} {shown(value)}; it must be from 0 to 1")


def shown(value: object) -> str:
    """Write a value of a JSON file, for a sentence."""
    return printable(json.dumps(value), 60)
