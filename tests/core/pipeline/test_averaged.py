"""Averaged weights: what they are, that they answer and are exported, and that a resume keeps them exact."""

from pathlib import Path
from typing import Any

import pytest
import torch
from raw_events import read_lines
from small_run import measured, new_run, opened, stop_after, train, warned

from arc_core.checkpoints.restoring import read_tensors
from arc_core.evaluation.export import export
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.system import ArcSystem
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.solver.weights import load_weights

CANVAS: dict[str, Any] = {"planner": "canvas", "optimizer": "muon", "agent_lr": 1e-2}


def system(**settings: Any) -> ArcSystem:
    torch.manual_seed(0)
    config = PipelineConfig.from_mapping(
        CANVAS | {"hidden_dim": 16, "prompt_dim": 16, "max_steps": 2, "lm_train": "frozen"} | settings
    )
    return ArcSystem(config, torch.device("cpu"), tasks=["a", "b"])


def test_they_are_the_weighted_mean_of_the_weights_so_far_and_forget_their_start():
    made = system(ema=0.5)
    assert made.mean is not None
    assert made.task_prompts is not None
    start, wanted = made.task_prompts.vectors.detach().clone(), made.task_prompts.vectors.detach().clone()
    for step in range(1, 21):
        with torch.no_grad():
            made.task_prompts.vectors.add_(step)
            next(made.agent.parameters()).add_(1)
        made.move_mean(step)
        past = min(0.5, step / (step + 10))
        wanted = past * wanted + (1 - past) * made.task_prompts.vectors.detach()
    torch.testing.assert_close(made.mean.task_prompts.vectors, wanted)
    assert (made.mean.task_prompts.vectors > start + 100).all()
    own, average = (next(agent.parameters()) for agent in (made.agent, made.mean.agent))
    assert (average < own).all()


def test_they_answer_in_place_of_the_trained_ones_which_stay_as_they_are():
    made = system(ema=0.9)
    assert made.mean is not None
    averaged = made.averaged()
    assert averaged.agent is made.mean.agent
    assert averaged.task_prompts is made.mean.task_prompts
    assert averaged.agent is not made.agent
    assert averaged.memory is made.memory
    plain = system()
    assert plain.mean is None
    assert plain.averaged() is plain


def test_a_seeds_planner_keeps_none():
    assert system(planner="seed", optimizer="adamw", ema=0.9).mean is None


def test_no_optimizer_moves_them():
    made = system(ema=0.9)
    assert made.mean is not None
    groups = [group for one in made.models.optimizers.values() for group in one.param_groups]
    moved = {id(parameter) for group in groups for parameter in group["params"]}
    assert not moved & {id(parameter) for parameter in made.mean.parameters()}


def test_a_run_that_is_stopped_and_resumed_keeps_them_exact(tmp_path: Path):
    settings = CANVAS | {"ema": 0.9}
    whole, parts = (new_run(tmp_path, name, **settings) for name in ("whole", "parts"))
    train(whole)
    train(parts, lambda trainer: stop_after(trainer, 2))
    train(parts)
    assert measured(read_lines(parts.events)) == measured(read_lines(whole.events))
    assert warned(parts, "options_changed") == []
    found = [list_checkpoints(run.checkpoints)[-1] / "mean.safetensors" for run in (whole, parts)]
    assert found[0].read_bytes() == found[1].read_bytes()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_weights_are_exported_from_them_where_there_are_any(tmp_path: Path, ema: float):
    run = new_run(tmp_path, ema=ema, **CANVAS)
    train(run)
    export(run, tmp_path / "w.safetensors")
    kept = load_weights(tmp_path / "w.safetensors").tensors["stem.weight"]
    checkpoint = list_checkpoints(run.checkpoints)[-1]
    own = read_tensors(checkpoint / "agent.safetensors")[0]["forward_planner.stem.weight"]
    if ema:
        mean = read_tensors(checkpoint / "mean.safetensors")[0]["agent.forward_planner.stem.weight"]
        assert not torch.allclose(mean, own, atol=1e-3)
        own = mean
    torch.testing.assert_close(kept, own, atol=1e-3, rtol=1e-3)


def test_validation_asks_them(tmp_path: Path):
    run = new_run(tmp_path, ema=0.9, validate_on="training", **CANVAS)
    with opened(run) as trainer:
        made: ArcSystem = trainer.recipe.models
        assert made.mean is not None
        before = trainer.recipe.validate(lambda: True)
        with torch.no_grad():
            for parameter in made.agent.parameters():
                parameter.fill_(torch.nan)
        assert trainer.recipe.validate(lambda: True) == before
        with torch.no_grad():
            made.mean.agent.canvas_planner.colors.bias[7] = 100.0
        assert trainer.recipe.validate(lambda: True) != before
