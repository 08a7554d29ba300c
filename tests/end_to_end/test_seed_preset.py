"""The seed's own preset, from a hub cache that holds a small Qwen2 under the seed's name."""

from __future__ import annotations

from pathlib import Path

from command import train
from hub_cache import qwen_in_hub_cache

__all__ = ["qwen_in_hub_cache"]


def test_seed_preset_trains_the_hubs_model_one_pair_at_a_time_with_adam(
    tmp_path: Path, qwen_in_hub_cache: Path
) -> None:
    done = train(
        tmp_path,
        "seed",
        *("--preset", "seed", "--headless", "--device", "cpu", "--max_batches", "4", "--epochs", "1"),
        *("--set", "validation_inputs=2", "--agent_lr", "1e-4", "--qwen_lr", "1e-4"),
    )
    assert done.code == 0, done.err
    steps = done.of("step")
    assert [step["pairs"] for step in steps] == [1, 1, 1, 1]
    assert all(step["grad_norm"]["lm"] > 0 for step in steps)
    stored = done.run.read()
    assert stored["config"]["optimizer"] == "adam"
    assert stored["language_model"]["name"] == "Qwen/Qwen2.5-1.5B"
    assert stored["language_model"]["commit"] == qwen_in_hub_cache.name
