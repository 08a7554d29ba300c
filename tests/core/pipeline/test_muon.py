"""A run's optimizers: which weights Muon moves, how fast, and that every weight is moved once."""

from typing import Any

import pytest
import torch

from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.muon import MUON_RATE, PROMPT_RATE
from arc_core.pipeline.system import ArcSystem
from arc_core.training.optimizer import set_rates


def made(kind: str, **settings: Any) -> ArcSystem:
    small = {
        "planner": "canvas",
        "hidden_dim": 16,
        "prompt_dim": 12,
        "max_steps": 2,
        "amp": "off",
        "ema": 0.0,
    }
    config = PipelineConfig.from_mapping({**small, "optimizer": kind, "agent_lr": 1e-3, **settings})
    return ArcSystem(config, torch.device("cpu"), tasks=["a", "b"])


def groups(system: ArcSystem) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for optimizer in system.optimizers for group in optimizer.param_groups}


@pytest.mark.parametrize("kind", ["adamw", "adam", "muon"])
def test_every_weight_is_moved_by_one_group(kind: str):
    system = made(kind)
    moved = [id(p) for group in groups(system).values() for p in group["params"]]
    parts = [
        part for name, part in system.modules.items() if name != "policy"
    ]  # it has an optimizer of its own
    assert sorted(moved) == sorted({id(p) for part in parts for p in part.parameters()})
    assert ("hidden" in groups(system)) == (kind == "muon")


def test_muon_moves_the_matrices_between_layers_and_nothing_else():
    system = made("muon")
    names = {id(p): name for name, p in system.agent.canvas_planner.named_parameters()}
    moved = {names[id(p)] for p in groups(system)["hidden"]["params"]}
    between = {
        "planner.0.conv.weight",
        "planner.1.film.weight",
        "encoder.0.out.weight",
        "transfer.ways.weight",
    }
    others = {"stem.weight", "colors.weight", "planner.0.conv.bias", "planner.0.norm.weight", "step_vectors"}
    assert between <= moved
    assert not others & moved
    assert between | others <= set(names.values())


def test_groups_keep_their_multiples_of_the_rate_and_follow_the_schedule():
    system = made("muon")
    system.set_base_rate("agent_lr", 2e-3)
    assert system.base_rates()["agent_lr"] == pytest.approx(2e-3)
    set_rates(system.optimizers, 0.5)
    found = {name: group["lr"] for name, group in groups(system).items() if name not in ("lm", "prompt")}
    factors = {
        "agent": 1,
        "hidden": MUON_RATE,
        "vectors": PROMPT_RATE,
        "turns": 1,
        "memory": 2,
        "efe_loss": 0.5,
    }
    assert found == pytest.approx({name: 1e-3 * factor for name, factor in factors.items()})


def test_prompts_of_tasks_do_not_decay():
    found = groups(made("adamw", weight_decay=0.1))
    assert (found["vectors"]["weight_decay"], found["agent"]["weight_decay"]) == (0.0, 0.1)


def test_a_step_of_muon_is_orthogonal_in_a_matrix_of_a_convolution():
    system = made("muon")
    weight = system.agent.canvas_planner.planner[0].conv.weight
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    assert system.muon is not None
    system.muon.step()
    lr = MUON_RATE * 1e-3
    step = (before * (1 - 0.01 * lr) - weight.detach()) / lr
    singular = torch.linalg.svdvals(step)
    assert float(singular.min()) > 0.6
    assert float(singular.max()) < 1.3
