"""The optimizers of a planner on canvases: which weights Muon moves, how fast, and each by one alone."""

import pytest
import torch

from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.muon import MUON_RATE, PROMPT_RATE
from arc_core.pipeline.system import ArcSystem
from arc_core.run.config import TrainConfig
from arc_core.training.models import TrainedModels
from arc_core.training.optimizer import set_rates


def made(kind: str) -> ArcSystem:
    config = PipelineConfig(
        planner="canvas",
        optimizer=kind,
        agent_lr=1e-3,
        hidden_dim=16,
        prompt_dim=12,
        max_steps=2,
        memory_capacity=8,
    )
    return ArcSystem(config, torch.device("cpu"), tasks=["a", "b"])


def groups(system: ArcSystem):
    return [group for optimizer in system.optimizers for group in optimizer.param_groups]


@pytest.mark.parametrize("kind", ["adamw", "adam", "muon"])
def test_every_weight_is_moved_by_one_group(kind: str):
    system = made(kind)
    moved = [id(p) for group in groups(system) for p in group["params"]]
    apart = {id(p) for p in system.policy.parameters()}
    every = [p for name, part in system.modules.items() if name != "policy" for p in part.parameters()]
    assert sorted(moved) == sorted({id(p) for p in every if p.requires_grad} - apart)


def test_muon_moves_the_matrices_between_layers_and_nothing_else():
    system = made("muon")
    assert system.muon is not None
    names = {id(p): name for name, p in system.agent.canvas_planner.named_parameters()}
    muon = {names[id(p)] for p in system.muon.param_groups[0]["params"]}
    for name in (
        "planner.0.conv.weight",
        "planner.1.film.weight",
        "encoder.0.out.weight",
        "transfer.ways.weight",
    ):
        assert name in muon
    for name in ("stem.weight", "colors.weight", "planner.0.conv.bias", "planner.0.norm.weight"):
        assert name not in muon
    assert made("adamw").muon is None


def test_groups_keep_their_multiples_of_the_rate_and_follow_the_schedule():
    system = made("muon")
    system.set_base_rate("agent_lr", 2e-3)
    assert system.base_rates()["agent_lr"] == pytest.approx(2e-3)
    set_rates(system.optimizers, 0.5)
    found = {group["name"]: group["lr"] for group in groups(system)}
    for name, factor in (("agent", 1.0), ("vectors", PROMPT_RATE), ("turns", 1.0), ("hidden", MUON_RATE)):
        assert found[name] == pytest.approx(1e-3 * factor)


def test_the_groups_of_a_recipe_of_others_may_have_multiples_of_the_rate():
    net = torch.nn.Linear(2, 2)
    given = [{"params": [net.weight], "lr": 1e-3}, {"params": [net.bias], "lr": 3e-3, "factor": 3.0}]
    optimizer = torch.optim.SGD(given)
    models = TrainedModels(TrainConfig(), torch.device("cpu"), {"agent": net}, {"main": optimizer})
    models.set_base_rate("agent_lr", 2e-3)
    assert models.base_rates() == {"agent_lr": pytest.approx(2e-3)}
    set_rates([optimizer], 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 3e-3])


def test_prompts_of_tasks_do_not_decay():
    decay = {group["name"]: group["weight_decay"] for group in groups(made("adamw"))}
    assert (decay["vectors"], decay["turns"]) == (0.0, 0.0)
    assert decay["agent"] == PipelineConfig().weight_decay > 0


def test_a_step_of_muon_is_orthogonal_in_a_matrix_of_a_convolution():
    system = made("muon")
    assert system.muon is not None
    weight = system.agent.canvas_planner.get_parameter("planner.0.conv.weight")
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    system.muon.step()
    lr = MUON_RATE * 1e-3
    step = (before * (1 - 0.01 * lr) - weight.detach()) / lr
    singular = torch.linalg.svdvals(step)
    assert float(singular.min()) > 0.6
    assert float(singular.max()) < 1.3
