"""The solver's optimizers: which weights Muon moves, how fast, and that every weight is moved once."""

import pytest
import torch

from arc_core.pipeline.muon import (
    MUON_RATE,
    PROMPT_RATE,
    TASK_PROMPTS,
    agent_optimizers,
)
from arc_core.run.config import TrainConfig
from arc_core.solver.config import SolverConfig
from arc_core.solver.start import fresh_net
from arc_core.training.models import TrainedModels
from arc_core.training.optimizer import set_rates

CONFIG = SolverConfig.from_mapping({"width": 16, "prompt_dim": 12, "steps": 2, "context_dim": 4})


def made(kind, others=(), config=CONFIG):
    net = fresh_net(config, 0, (3, 8))
    return net, agent_optimizers(net, others, kind=kind, rate=1e-3, weight_decay=0.1)


def groups(optimizers):
    return [group for optimizer in optimizers.values() for group in optimizer.param_groups]


@pytest.mark.parametrize("kind", ["adamw", "adam", "muon"])
def test_every_weight_is_moved_by_one_group(kind):
    extra = torch.nn.Parameter(torch.zeros(3))
    net, optimizers = made(kind, [extra])
    moved = [id(p) for group in groups(optimizers) for p in group["params"]]
    assert sorted(moved) == sorted(id(p) for p in (*net.parameters(), extra))


def test_muon_moves_the_matrices_between_layers_and_nothing_else():
    net, optimizers = made("muon")
    names = {id(p): name for name, p in net.named_parameters()}
    muon = {names[id(p)] for p in optimizers["muon"].param_groups[0]["params"]}
    for name in (
        "planner.0.conv.weight",
        "planner.1.film.weight",
        "encoder.0.out.weight",
        "transfer.ways.weight",
    ):
        assert name in muon
    for name in (
        "stem.weight",
        "colors.weight",
        "planner.0.conv.bias",
        TASK_PROMPTS,
        "planner.0.norm.weight",
    ):
        assert name not in muon
    assert "muon" not in made("adamw")[1]


def test_groups_keep_their_multiples_of_the_rate_and_follow_the_schedule():
    net, optimizers = made("muon")
    models = TrainedModels(TrainConfig(), torch.device("cpu"), {"agent": net}, optimizers)
    models.set_base_rate("agent_lr", 2e-3)
    assert models.base_rates() == {"agent_lr": pytest.approx(2e-3)}
    set_rates(optimizers.values(), 0.5)
    found = sorted(group["lr"] for group in groups(optimizers))
    assert found == pytest.approx(sorted(1e-3 * factor for factor in (1.0, PROMPT_RATE, MUON_RATE)))


def test_prompts_of_tasks_do_not_decay():
    net, optimizers = made("adamw")
    (group,) = [g for g in groups(optimizers) if any(p is net.task_prompts for p in g["params"])]
    assert (group["weight_decay"], len(group["params"])) == (0.0, 1)


def test_a_step_of_muon_is_orthogonal_in_a_matrix_of_a_convolution():
    net, optimizers = made("muon")
    weight = net.planner[0].conv.weight
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    optimizers["muon"].step()
    lr = MUON_RATE * 1e-3
    step = (before * (1 - 0.01 * lr) - weight.detach()) / lr
    singular = torch.linalg.svdvals(step)
    assert float(singular.min()) > 0.6
    assert float(singular.max()) < 1.3
