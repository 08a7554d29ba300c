"""Where a language model's files are: the user's cache, a folder, the hub's cache or the hub itself.

Importing this module imports neither torch nor transformers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from arc_core.base.errors import CheckpointError, LanguageModelError, RunError
from arc_core.base.file_formats import LOOKED_AT, foreign_format, kind_of, leads_outside, read_weight_map
from arc_core.base.files import PICKLED, read_limited
from arc_core.base.paths import entries, exists, expanded, is_dir, is_file, matching, own_folder, refusal
from arc_core.base.text import first_line, printable

SMOLLM2 = "smollm2"

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
LARGEST_JSON_FILE = 256 << 20
"""Of a model's folder; tokenizers of 10 to 30 MB are usual."""
HUB_TIMEOUT_SECONDS = 10.0
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

CONVERSION = (
    "where you trust it, convert it with transformers' "
    "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
)


class ModelFiles(NamedTuple):
    """A folder in Hugging Face layout, and the hub's commit where it came from the hub."""

    folder: Path
    commit: str | None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and advice of transformers and the hub off the output, for a while."""
    import huggingface_hub.utils.logging as hub_logging
    from transformers.utils import logging

    verbosity, hub_verbosity = logging.get_verbosity(), hub_logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    if bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()


def cached_model(name: str = SMOLLM2) -> Path:
    """Return the folder in the user's cache where a fetched model lies, whether or not it is there."""
    return own_folder("XDG_CACHE_HOME", "~/.cache") / "arc-tui" / "lm" / name


def find_model(name: str, *, weights: bool = True) -> ModelFiles:
    """Find a model's folder and check that what is in it can be read without running its code.

    Args:
        name: `smollm2`, a folder, or a hub name such as `Qwen/Qwen2.5-1.5B`. A hub model that is in
            the local cache is used as it is; otherwise it is downloaded.
        weights: False asks for the configuration alone.

    Returns:
        The folder, with a hub model's commit.

    Raises:
        LanguageModelError: If it cannot be found, reached or read; one sentence that says what to do.
    """
    if name == SMOLLM2:
        files = ModelFiles(cached_model(), None)
        if not is_dir(files.folder):
            raise LanguageModelError(f"{name} is not fetched yet: run `arc-tui fetch-lm {name}`")
    elif is_dir(expanded(name)):
        files = ModelFiles(expanded(name), None)
    elif Path(name).suffix in PICKLED and exists(expanded(name)):
        raise LanguageModelError(f"{name} holds pickled weights, which are never read: {CONVERSION}")
    elif exists(expanded(name)):
        raise LanguageModelError(f"{name} is a file: name the folder that holds config.json and the weights")
    elif HUB_NAME.fullmatch(name) and not name.startswith("."):
        files = _hub_snapshot(name, weights=weights)
    elif reason := refusal(expanded(name)):
        raise LanguageModelError(f"{name} cannot be looked at: {reason}")
    else:
        raise LanguageModelError(
            f"there is no language model {name!r}: give tiny, smollm2, an existing folder "
            "or a hub name such as Qwen/Qwen2.5-1.5B"
        )
    _check_config(name, files.folder)
    if weights:
        _check_weights(name, files.folder)
    return files


def _hub_snapshot(name: str, *, weights: bool) -> ModelFiles:
    """Take a hub model from the local cache, or download it when the cache lacks a part of it."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # httpx's or httpx2's, by the hub's version
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"] if weights else [CONFIG]
    # Some repositories carry the same weights again, in subfolders or as consolidated.safetensors.
    skipped = ["*/*", "consolidated*"]

    def snapshot(*, local: bool) -> Path:
        found = snapshot_download(
            name, allow_patterns=patterns, ignore_patterns=skipped, local_files_only=local
        )
        return Path(found)

    # The cache first: the model does not change under the user, and no network is needed.
    try:
        folder = snapshot(local=True)
        if is_file(folder / CONFIG) and (not weights or not _missing_weights(folder)):
            return ModelFiles(folder, folder.name)
    except (LocalEntryNotFoundError, CheckpointError):
        pass
    try:
        with quiet():
            # A download has no time limit of its own, so a network that swallows packets shows here.
            HfApi().model_info(name, timeout=HUB_TIMEOUT_SECONDS)
            folder = snapshot(local=False)
    except (OSError, HTTPError, ValueError, RuntimeError) as error:
        reason = (isinstance(error, LocalEntryNotFoundError) and error.__cause__) or error
        if isinstance(reason, GatedRepoError):
            what = "the hub wants its terms accepted first: do that on its page, then `hf auth login`"
        elif isinstance(reason, RepositoryNotFoundError):
            what = "the hub knows no such model, or it is private"
        else:
            what = f"it is not in the local cache and the hub cannot be reached ({first_line(reason)})"
        raise LanguageModelError(f"{name}: no folder has this name, and {what}") from error
    return ModelFiles(folder, folder.name)


def _read_json(name: str, file: Path) -> dict[str, Any]:
    """Read a JSON object or say which file is damaged."""
    try:
        # Links are followed, as the hub's cache is made of them; pipes are not waited for.
        value = json.loads(read_limited(Path(os.path.realpath(file)), LARGEST_JSON_FILE))
    except RunError as error:
        raise LanguageModelError(f"{name}: {file.name} cannot be read ({first_line(error)})") from None
    except (ValueError, RecursionError) as error:
        raise LanguageModelError(f"{name}: {file.name} cannot be read ({first_line(error)})") from error
    if not isinstance(value, dict):
        raise LanguageModelError(f"{name}: {file.name} must hold a JSON object, not {kind_of(value)}")
    return value


def _check_config(name: str, folder: Path) -> None:
    """Refuse a folder without a configuration, and one whose model is code that it brings along."""
    if reason := refusal(folder) or refusal(folder / CONFIG):
        raise LanguageModelError(f"{name} cannot be looked at: {reason}")
    if not is_file(folder / CONFIG):
        raise LanguageModelError(f"{name} is not a model folder: there is no config.json in {folder}")
    config = _read_json(name, folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise LanguageModelError(f"{name}: config.json names no model_type")
    check_values(name, config)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if config["model_type"] not in CONFIG_MAPPING:
        if "auto_map" in config:
            raise LanguageModelError(
                f"{name} needs Python code of its own (auto_map in config.json), which is never run: "
                "choose a model type that transformers knows"
            )
        raise LanguageModelError(
            f"{name}: config.json has model_type {shown(config['model_type'])}, which the installed "
            "transformers does not know"
        )


def _check_weights(name: str, folder: Path) -> None:
    """Refuse pickled, missing and damaged weights, and a folder without a tokenizer."""
    from safetensors import SafetensorError, safe_open

    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        if is_file(folder / file):
            _read_json(name, folder / file)
    try:
        missing = _missing_weights(folder)
    except CheckpointError as error:
        raise LanguageModelError(f"{name}: {str(error).rstrip('.')}") from None
    if missing:
        if any(file.suffix in PICKLED for file in entries(folder)):
            raise LanguageModelError(f"{name} holds only pickled weights, which are never read: {CONVERSION}")
        raise LanguageModelError(f"{name}: there is no {missing} in {folder}")
    for file in matching(folder, "*.safetensors"):
        try:
            with safe_open(file, "numpy"):
                pass
        except (OSError, SafetensorError) as error:
            if foreign := _foreign(file):
                raise LanguageModelError(f"{name}: {file.name} {foreign.rstrip('.')}") from error
            raise LanguageModelError(f"{name}: {file.name} is damaged ({first_line(error)})") from error
    # Without it transformers may make up an empty tokenizer, to which every text is the same.
    if not is_file(folder / "tokenizer.json"):
        raise LanguageModelError(
            f"{name}: there is no tokenizer.json in {folder}: save the model's fast tokenizer there"
        )


def _foreign(file: Path) -> str | None:
    """Say what a file is that safetensors cannot read; None where that is not known."""
    try:
        with file.open("rb") as opened:
            found = foreign_format(opened.read(LOOKED_AT))
    except OSError:
        return None
    return None if found is None else found.told


def _missing_weights(folder: Path) -> str | None:
    """Return the first weight file that the folder should have and has not, or None.

    Raises:
        CheckpointError: If the folder's index is damaged.
    """
    if is_file(folder / INDEX):
        shards = sorted(set(read_weight_map(folder / INDEX).values()))
        if outside := next((shard for shard in shards if leads_outside(shard)), None):
            raise CheckpointError(
                f"The index {printable(str(folder / INDEX), 500)} is damaged: its weight_map points outside "
                f"its folder, to {shown(outside)}"
            )
        return next((shard for shard in shards if not is_file(folder / shard)), None)
    return None if is_file(folder / "model.safetensors") else "model.safetensors"


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
