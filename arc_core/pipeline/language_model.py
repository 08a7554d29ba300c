"""Phase 2a: the language model that reads a task's rule sentence, trained with everything else.

A Hugging Face backbone without its LM head, and its tokenizer. A text becomes the mean of its last
hidden states, and the gradient of that mean reaches every layer: nothing but token ids is cached.

Shape legend: B texts, U different texts among them, L tokens of the longest, C hidden size.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2Tokenizer,
)

from arc_core.base.errors import LanguageModelError
from arc_core.base.extras import require
from arc_core.base.paths import bytes_of, entries, matching
from arc_core.base.text import first_line
from arc_core.pipeline.language_model_files import ModelFiles, find_model, quiet
from arc_core.pipeline.moving import to_device
from arc_core.pipeline.seen_tokens import attention_mask

TrainMode = Literal["full", "lora", "frozen"]
Dtype = Literal["float32", "bfloat16"]

TINY = "tiny"
TINY_PAD, TINY_END = "<pad>", "<eos>"
DEFAULT_MAX_TOKENS = 512
CACHED_TEXTS = 8192
NARROW = 256
MOST_PER_BYTE = 8
"""Parameters in a byte of weights: no packing stores more."""
LORA_RANK = 16
LORA_ALPHA = 32


@contextmanager
def transformers_errors(name: str, doing: str, config: PreTrainedConfig | None = None) -> Iterator[None]:
    """Keep transformers quiet, and turn what it raises over bad files into one sentence.

    Args:
        name: The model, as the user gave it.
        doing: What transformers cannot do then, with the file that it is about.
        config: What it does it by, to name the key of a value that it does not know.
    """
    try:
        with quiet():
            yield
    except LanguageModelError:
        raise
    except Exception as error:  # whatever a library stumbles over in files that are not ours
        told = _stumble(error, config) if isinstance(error, KeyError) else first_line(error)
        if "above report" in told:  # which is kept quiet
            told = "its tensors cannot be converted to those that its config.json asks for"
        raise LanguageModelError(f"{name}: transformers cannot {doing} ({told})") from error


def _stumble(error: KeyError, config: PreTrainedConfig | None) -> str:
    """Say what a look-up has failed for, with the key of config.json that has this value."""
    values = config.to_dict() if config is not None else {}
    values |= values.get("rope_parameters") or {}
    key = next((key for key, value in values.items() if error.args and value == error.args[0]), None)
    return f"it stumbles over {error}" if key is None else f"it knows no {key} {error}"


class LanguageModel(nn.Module):
    """A backbone and its tokenizer: texts in, one vector a text out.

    What is trained is settled by `train`:

    - `full`: every parameter. With `bfloat16` the weights themselves are bfloat16, half the memory of
      float32, and an update below about 1/256 of a weight is rounded away; so float32 stays the
      default and bfloat16 is for models that would not fit otherwise.
    - `lora`: low-rank adapters on every linear layer, in float32 even over a bfloat16 base, which
      stays as it is.
    - `frozen`: none; the forward pass records no graph.

    Attributes:
        name: As the user gave it.
        train_mode: What of it is trained.
        hidden_size: Length of a text's vector.
        max_tokens: Where a longer text is cut.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        train: TrainMode = "full",
        max_tokens: int = DEFAULT_MAX_TOKENS,
        commit: str | None = None,
    ) -> None:
        super().__init__()
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        config = backbone.config.get_text_config()
        self.name = name
        self.commit = commit
        self.train_mode: TrainMode = train
        self.hidden_size: int = config.hidden_size
        self.max_tokens = min(max_tokens, getattr(config, "max_position_embeddings", None) or max_tokens)
        self.tokenizer = tokenizer
        # Padding is masked, so any id does for a tokenizer that knows neither padding nor end.
        pad_id = tokenizer.pad_token_id
        self._pad_id = pad_id if isinstance(pad_id, int) else 0
        self._token_ids = _cached_encoder(tokenizer, self.max_tokens, self._pad_id)
        backbone.requires_grad_(train == "full")
        if train == "lora":
            _inject_adapters(backbone)
        self.backbone = backbone
        self.train()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        train: TrainMode = "full",
        dtype: Dtype = "float32",
        max_tokens: int = DEFAULT_MAX_TOKENS,
    ) -> Self:
        """Make or load a model; only safetensors are read, and no code that a model brings is run.

        Args:
            name: `tiny`, `smollm2`, a folder in Hugging Face layout, or a hub name such as
                `Qwen/Qwen2.5-1.5B`.
            train: What of it is trained.
            dtype: What the weights are kept in.
            max_tokens: Where a longer text is cut; at most what the model was made for.

        Returns:
            The model, on the CPU, in training mode. `tiny`, and `lora`'s adapters, draw their start
            from torch's global generator.

        Raises:
            LanguageModelError: If it cannot be found, reached, read or trained as asked.
        """
        torch_dtype = getattr(torch, dtype)
        if name == TINY:
            backbone = AutoModel.from_config(_tiny_config(), dtype=torch_dtype)
            return cls(backbone, _tiny_tokenizer(), name=name, train=train, max_tokens=max_tokens)
        files = find_model(name)
        backbone, tokenizer = _read(name, files, torch_dtype)
        return cls(backbone, tokenizer, name=name, train=train, max_tokens=max_tokens, commit=files.commit)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as the mean of their last hidden states, padding left out.

        A text that occurs more than once is computed once. An empty text counts as one padding token.

        Args:
            texts: B texts, at least one.

        Returns:
            [B, C] float32, with gradient into whatever is trained.
        """
        ids_UL, mask_UL, rows_B = to_device(self._tokenize(texts), self.backbone.device)
        seen = attention_mask(self.backbone, mask_UL)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.train_mode != "frozen"):
            with self._own_precision():
                output = self.backbone(input_ids=ids_UL, attention_mask=seen, use_cache=False)
            kept_UL1 = mask_UL.unsqueeze(-1)
            total_UC = output.last_hidden_state.float().masked_fill(kept_UL1 == 0, 0.0).sum(dim=1)
            mean_UC = total_UC / kept_UL1.sum(dim=1)
            return mean_UC if len(ids_UL) == len(texts) else mean_UC[rows_B]

    def _own_precision(self) -> AbstractContextManager[object]:
        """Leave a narrow model on the CPU out of autocast: its casts cost more than they save.

        Measured for `tiny`, two threads, 8 texts, forward and backward: 7.5 ms without, 20 ms and more with.
        """
        if self.backbone.device.type == "cpu" and self.hidden_size < NARROW:
            return torch.autocast("cpu", enabled=False)
        return nullcontext()

    def _tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Encode B texts, U of them different: ids and mask [U, L], padded on the right, and rows [B]."""
        place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        rows = [self._token_ids(text) for text in place]
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self._pad_id] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids, mask, torch.tensor([place[text] for text in texts])

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; a frozen backbone keeps its dropout off."""
        super().train(mode)
        if self.train_mode == "frozen":
            self.backbone.eval()
        return self

    def weights(self) -> dict[str, Tensor]:
        """Return the backbone's live tensors by the names that transformers reads; LoRA's are left out.

        Of the names that share a tensor (tied weights) it is the one that transformers ties the others to.
        """
        tied = getattr(self.backbone, "all_tied_weights_keys", None) or {}
        named = self.backbone.state_dict(keep_vars=True)
        return {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in named.items()
            if ".lora_" not in name and not (name in tied and tensor is named.get(tied[name]))
        }

    def layout_files(self) -> dict[str, bytes]:
        """Return what stands beside the weights in Hugging Face layout: configuration and tokenizer."""
        with tempfile.TemporaryDirectory() as folder, quiet():
            self.backbone.save_pretrained(folder, state_dict={})
            self.tokenizer.save_pretrained(folder, save_jinja_files=False)
            return {
                path.name: path.read_bytes()
                for path in entries(Path(folder))
                if path.suffix != ".safetensors"
            }

    def save(self, directory: Path) -> None:
        """Write weights, configuration and tokenizer so that transformers' Auto classes read them.

        With LoRA these are the base's weights, under the base's names; see `adapter_state`.

        Args:
            directory: Made where it is missing. Only safetensors and JSON are written.

        Raises:
            OSError: If it cannot be written.
        """
        with quiet():
            self.backbone.save_pretrained(directory, state_dict=self.weights())
            self.tokenizer.save_pretrained(directory, save_jinja_files=False)

    def _adapters(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self.backbone.named_parameters() if ".lora_" in name}

    def adapter_state(self) -> dict[str, Tensor]:
        """Return LoRA's tensors by name, sharing memory with the model; empty without LoRA."""
        return {name: value.detach() for name, value in self._adapters().items()}

    @property
    def identity(self) -> dict[str, Any]:
        """What run.json says of the model; `parameters` and the hash leave LoRA's adapters out."""
        base = [value for name, value in self.backbone.named_parameters() if ".lora_" not in name]
        config = self.backbone.config.to_dict()
        # These say where and by what it was saved, not what it is.
        for key in ("transformers_version", "architectures", "dtype", "_name_or_path"):
            config.pop(key, None)
        return {
            "name": self.name,
            "train": self.train_mode,
            "parameters": sum(value.numel() for value in base),
            "dtype": str(self.backbone.dtype).removeprefix("torch."),
            "config_sha256": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
            "commit": self.commit,
        }


def config_of(name: str) -> PreTrainedConfig:
    """Read a model's configuration, without its weights.

    Args:
        name: As for `LanguageModel.load`.

    Raises:
        LanguageModelError: If it cannot be found, reached or read.
    """
    return _tiny_config() if name == TINY else _read_config(name, find_model(name, weights=False).folder)


def estimate_parameters(name: str, config: PreTrainedConfig | None = None) -> int:
    """Count the parameters of a model's backbone, of which none is made.

    Args:
        name: As for `LanguageModel.load`.
        config: Its configuration; None reads it.

    Raises:
        LanguageModelError: As `config_of`, and if there is no such backbone.
    """
    config = config or config_of(name)
    with transformers_errors(name, "build the model of its config.json", config), torch.device("meta"):
        backbone = AutoModel.from_config(config, trust_remote_code=False)
    return sum(value.numel() for value in backbone.parameters())


def _tiny_config() -> Qwen2Config:
    return Qwen2Config(
        vocab_size=258,  # 256 bytes, padding, end
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=257,
        pad_token_id=256,
    )


def _tiny_tokenizer() -> PreTrainedTokenizerBase:
    """One token a byte. Qwen's own class, since that is what AutoTokenizer makes of the saved files."""
    symbols = [*sorted(ByteLevel.alphabet()), TINY_PAD, TINY_END]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    return Qwen2Tokenizer(
        vocab=vocabulary, merges=[], pad_token=TINY_PAD, eos_token=TINY_END, unk_token=TINY_END
    )


def _cached_encoder(
    tokenizer: PreTrainedTokenizerBase, max_tokens: int, empty_id: int
) -> Callable[[str], tuple[int, ...]]:
    """Remember texts' ids. A text at a time: batches would start tokenizers' threads before an exec."""

    @lru_cache(maxsize=CACHED_TEXTS)
    def encode(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, truncation=True, max_length=max_tokens).input_ids) or (empty_id,)

    return encode


def _read_config(name: str, folder: Path) -> PreTrainedConfig:
    with transformers_errors(name, "use its config.json"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        hidden_size = getattr(config.get_text_config(), "hidden_size", None)
    if config.is_encoder_decoder or not isinstance(hidden_size, int):
        raise LanguageModelError(f"{name} is no plain text model: choose a decoder such as Qwen2 or Llama")
    return config


def _require_room(name: str, folder: Path, config: PreTrainedConfig) -> None:
    """Refuse a configuration far beyond the weights, before memory is taken for it."""
    parameters = estimate_parameters(name, config)
    stored = sum(bytes_of(file) or 0 for file in matching(folder, "*.safetensors"))
    if parameters > MOST_PER_BYTE * stored:
        raise LanguageModelError(
            f"{name}: config.json describes {parameters:,} parameters, and its weights have {stored:,} bytes"
        )


def _read(
    name: str, files: ModelFiles, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read a checked folder; what transformers would quietly start at random is an error here."""
    config = _read_config(name, files.folder)
    _require_room(name, files.folder, config)
    refusals = {"trust_remote_code": False, "local_files_only": True}
    with transformers_errors(name, "make a tokenizer of its tokenizer.json and tokenizer_config.json"):
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **refusals)
    with transformers_errors(name, "load its weights by its config.json"):
        backbone, found = AutoModel.from_pretrained(
            files.folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, each by its name
            output_loading_info=True,
            **refusals,
        )
    if unequal := sorted(found["mismatched_keys"]):
        key, stored, asked = unequal[0]
        raise LanguageModelError(
            f"{name}: {len(unequal)} tensors of its weights have other shapes than its config.json asks for, "
            f"{key} the first: {list(stored)}, not {list(asked)}"
        )
    # A pooler is not used here, and many encoders come without one.
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing:
        raise LanguageModelError(
            f"{name}: its weights lack {len(missing)} tensors that its config.json asks for, "
            f"{missing[0]} the first"
        )
    if len(tokenizer) > backbone.get_input_embeddings().num_embeddings:
        raise LanguageModelError(f"{name}: its tokenizer has more tokens than its weights have embeddings")
    if not tokenizer.is_fast:
        raise LanguageModelError(
            f"{name}: its tokenizer cannot be saved as JSON: choose one with a fast form"
        )
    return backbone, tokenizer


def _inject_adapters(backbone: PreTrainedModel) -> None:
    """Put trainable low-rank adapters beside every linear layer; they start as the identity."""
    require("LoRA", "lora", ["peft"])
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules="all-linear")
    inject_adapter_in_model(config, backbone)
    for name, value in backbone.named_parameters():
        if ".lora_" in name:
            value.data = value.data.float()  # peft makes them in the base's dtype
