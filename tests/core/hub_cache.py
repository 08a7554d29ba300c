"""A hub cache that holds a small Qwen2 under the name of the seed's model, for tests without a network.

Import the fixture by name: `from hub_cache import qwen_in_hub_cache`.
"""

from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from arc_core.pipeline.language_model import LanguageModel

QWEN = "Qwen/Qwen2.5-1.5B"
COMMIT = "8faed761d45a263340a0528343f099c05c9a4323"


def place_tiny_model(cache: Path, name: str = QWEN, commit: str = COMMIT) -> Path:
    """Write a small Qwen2 into a hub cache, laid out as a download of `name` would be."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        LanguageModel.load("tiny").save(snapshot)
    return snapshot


def go_offline(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let this process and those it starts see `cache` and no network."""
    # The hub reads its environment once, when it is imported.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def qwen_in_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshot folder to which `Qwen/Qwen2.5-1.5B` resolves, offline."""
    cache = tmp_path / "hub"
    snapshot = place_tiny_model(cache)
    go_offline(monkeypatch, cache)
    return snapshot
