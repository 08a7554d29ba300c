"""A training step of the agent that plans on the outputs' canvas."""

from typing import Any

import pytest
import torch

from arc_core.data.dataset import ARCDataset
from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.canvas_flow import canvas_flow, plan_again, prompts_of
from arc_core.pipeline.canvas_planner import Planned, input_under_output
from arc_core.pipeline.canvas_step import canvas_step, scores_of
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.declared import declared_by
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.outcome import sample_of, step_numbers
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.planner import one_hot
from arc_core.pipeline.reward import color_similarity, per_cell_accuracy, size_similarity
from arc_core.pipeline.system import ArcSystem

CPU = torch.device("cpu")


def config(**settings: Any) -> PipelineConfig:
    chosen: dict[str, Any] = {
        **{"planner": "canvas", "optimizer": "muon", "hidden_dim": 16, "prompt_dim": 16, "max_steps": 3},
        **{"amp": "off", "weight_decay": 0.0, "agent_lr": 3e-3, "qwen_lr": 1e-3, "policy_lr": 1e-3},
        **{"vector_dropout": 0.0, "memory_capacity": 16},
    }
    return PipelineConfig(**chosen | settings)


@pytest.fixture(scope="module")
def dataset() -> ARCDataset:
    return ARCDataset("arcagi1", augment=True, recolor=False, max_cells=50)


def batch_of(dataset: ARCDataset, *indices: int) -> Batch:
    examples = [dataset.example(index, 0) for index in indices]
    return collate(examples, FEW_SIDES, Layouts(dataset.tasks.tasks).lay(examples))


def system_for(dataset: ARCDataset, **settings: Any) -> ArcSystem:
    torch.manual_seed(0)
    return ArcSystem(config(**settings), CPU, tasks=[task.id for task in dataset.tasks.tasks])


def test_a_step_tells_what_the_pipeline_declares_and_shows_pairs_on_their_own_sizes(dataset: ARCDataset):
    system, batch = system_for(dataset), batch_of(dataset, 0, 9, 30, 45)
    result = canvas_step(system, batch, 0, 1)
    numbers = step_numbers(result, system.precision)
    assert declared_by(system.config.to_dict()).refusal(numbers) is None
    loss = numbers["loss"]
    parts = sum(value for name, value in loss.items() if name not in ("efe_total", "combined"))
    assert loss["efe_total"] == pytest.approx(parts, rel=1e-5)
    assert loss["combined"] == pytest.approx(
        0.7 * loss["efe_total"] - 0.3 * numbers["reward"]["total"], rel=1e-5
    )
    sample = sample_of(result, batch)
    assert sample.grids["after"].shape == sample.grids["before"].shape == sample.grids["target"].shape
    right = (sample.grids["after"] == sample.grids["target"]).mean()
    assert result.cell_accuracy[0] == pytest.approx(right, abs=1e-6)
    for component in ("agent", "lm", "memory", "efe_loss", "policy"):
        assert result.grad_norm[component] >= 0
    assert result.grad_norm["agent"] > 0 < result.grad_norm["lm"]


def test_steps_on_the_same_pairs_learn_them_by_the_prompts_of_their_tasks(dataset: ARCDataset):
    system, batch = system_for(dataset), batch_of(dataset, *range(0, 60, 10))
    first = canvas_step(system, batch, 0, 1)
    for step in range(2, 61):
        last = canvas_step(system, batch, 0, step)
    assert last.loss["consistency"] < 0.5 * first.loss["consistency"]
    assert sum(last.cell_accuracy) > sum(first.cell_accuracy)


def test_padding_and_company_change_no_plan(dataset: ARCDataset):
    system = system_for(dataset, memory=False)
    together = batch_of(dataset, 0, 9, 30)
    flow = canvas_flow(system, together)
    for place, index in enumerate((0, 9, 30)):
        alone = batch_of(dataset, index)
        own = canvas_flow(system, alone)
        height, width = alone.laid.out_sizes[0].tolist()
        torch.testing.assert_close(
            own.planned.logits[0, :, :height, :width],
            flow.planned.logits[place, :, :height, :width],
            atol=1e-4,
            rtol=1e-4,
        )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_vector_that_is_left_out_teaches_its_task_nothing(dataset: ARCDataset, share: float):
    system, batch = system_for(dataset, vector_dropout=share, optimizer="adamw"), batch_of(dataset, 0, 9)
    assert system.task_prompts is not None
    before = system.task_prompts.vectors.detach().clone()
    canvas_step(system, batch, 0, 1)
    moved = (system.task_prompts.vectors.detach() != before).any(dim=1)
    known = [task in batch.task_ids for task in system.task_prompts.tasks]
    assert moved.tolist() == ([False] * len(known) if share else known)


def test_the_base_prompt_is_what_is_read_and_the_own_one_has_the_tasks_vector(dataset: ARCDataset):
    system, batch = system_for(dataset, memory=False), batch_of(dataset, 0, 9)
    prompts = prompts_of(system, batch)
    pack, base, _ = system.read_prompts(batch)
    torch.testing.assert_close(prompts.base, base)
    torch.testing.assert_close(base, pack.prompt_embedding)
    assert system.task_prompts is not None
    vectors = system.task_prompts(batch.task_ids, batch.laid.views[:, 0])
    torch.testing.assert_close(prompts.own, base + vectors)
    torch.testing.assert_close(prompts.directions[:, 0], vectors)
    assert not prompts.directions[:, 1:].any()  # the memory is off


def test_actions_of_one_pair_are_held_against_each_other(dataset: ARCDataset):
    """With rewards that favour more of the task's own vector, the policy's mean goes that way."""
    system, batch = system_for(dataset, policy_lr=1e-2), batch_of(dataset, *range(0, 32, 4))
    prompts = prompts_of(system, batch)
    seen = (prompts.own.detach(), prompts.control.detach(), prompts.summary)
    directions = prompts.directions.detach()
    for _ in range(60):
        draws = [system.policy.refine_prompt(*seen, directions=directions)[1] for _ in range(3)]
        gains = torch.stack([info.pre_tanh[:, 0] for info in draws])
        advantage = (gains - gains.mean(dim=0)) / gains.std(dim=0, correction=0).clamp_min(1e-3)
        for info, own in zip(draws, advantage, strict=True):
            system.policy.update(info, own, own)
    _, info = system.policy.refine_prompt(*seen, deterministic=True, directions=directions)
    assert info.pre_tanh[:, 0].mean() > 0.5
    assert info.pre_tanh[:, 1:].abs().mean() < info.pre_tanh[:, 0].mean()


def test_planning_again_under_the_same_prompt_says_the_same(dataset: ARCDataset):
    system, batch = system_for(dataset), batch_of(dataset, 0, 9)
    flow = canvas_flow(system, batch)
    again = plan_again(system, flow.reading, flow.refined, batch.laid)
    torch.testing.assert_close(again.logits, flow.planned.logits.detach())
    assert not again.logits.requires_grad


def test_one_grid_is_planned_on_a_canvas_of_its_size_as_in_the_seed():
    torch.manual_seed(0)
    agent = ARCPromptGuidedAgentGPU(hidden_dim=16, prompt_dim=8)
    logits, output = agent(torch.randint(0, 10, (7, 4)).float(), torch.randn(8))
    assert logits.shape == (5, 7, 4, 10)
    assert output.size_logits.shape == (1, 2, 30)
    with pytest.raises(TypeError, match="on the output's canvas"):
        _ = agent.seed_planner
    with pytest.raises(TypeError, match="as the seed does"):
        _ = ARCPromptGuidedAgentGPU(hidden_dim=16, prompt_dim=8, planner="seed").canvas_planner


def test_an_agent_copies_its_input_at_first():
    torch.manual_seed(0)
    agent, grid = ARCPromptGuidedAgentGPU(hidden_dim=16, prompt_dim=8), torch.randint(0, 10, (9, 9))
    logits, _ = agent(grid, torch.zeros(8))
    assert (logits[-1].argmax(dim=-1) == grid).float().mean() > 0.95


def test_terms_without_a_weight_and_components_that_nothing_trains_are_not_told(dataset: ARCDataset):
    off = {f"lambda_{name}": 0.0 for name in ("risk", "step", "bi", "z", "prompt")}
    system, batch = system_for(dataset, memory=False, refine=False, **off), batch_of(dataset, 0, 9)
    numbers = step_numbers(canvas_step(system, batch, 0, 1), system.precision)
    declared = declared_by(system.config.to_dict())
    assert declared.refusal(numbers) is None
    assert set(numbers["loss"]) == {"consistency", "size", "efe_total", "combined"}
    assert set(numbers["grad_norm"]) == set(numbers["learning_rate"]) == {"agent", "lm"}
    assert {f"loss.{name}" for name in numbers["loss"]} == {
        name for name in declared.numbers if name[:5] == "loss."
    }


def test_plans_are_scored_by_the_seeds_four_metrics_on_their_own_canvases(dataset: ARCDataset):
    system, canvas = system_for(dataset, lambda_bi=0.5), batch_of(dataset, 0, 9, 30).laid
    logits = torch.randn(3, 2, *canvas.out_mask.shape[1:], 10)
    planned = Planned(logits, torch.randn(3, 2, 30), torch.randn(3, 16))
    scores = scores_of(system, planned, canvas, planned.prompts)
    colors = logits[:, -1].argmax(dim=-1)
    back = system.agent.reconstruct(one_hot(colors, canvas.out_mask), planned.prompts, canvas.out_mask)
    under = input_under_output(canvas)
    for place, (height, width) in enumerate(canvas.out_sizes.tolist()):
        grid, target = (cells[place, :height, :width] for cells in (colors, canvas.targets))
        rows, columns = (planned.size_logits[place].argmax(dim=-1) + 1).tolist()
        there = under[place].sum(dim=-1) > 0
        found = back[place, -1][there].softmax(dim=-1)
        expected = [
            per_cell_accuracy(grid, target),
            size_similarity((rows, columns), (height, width)),
            color_similarity(grid, target),
            found.gather(-1, under[place][there].argmax(dim=-1)[:, None]).mean().item(),
        ]
        told = [scores.accuracy, scores.size, scores.color, scores.reversibility]
        assert [one[place].item() for one in told] == pytest.approx(expected, abs=1e-5)


def test_a_step_gives_every_part_that_trains_a_gradient(dataset: ARCDataset):
    system = system_for(dataset, lambda_bi=0.5, lambda_z=0.2, lambda_prompt=0.3, memory=True, amp="bfloat16")
    batch = batch_of(dataset, *range(0, 60, 10))
    canvas_step(system, batch, 0, 1)
    canvas_step(system, batch, 0, 2)
    planner = system.agent.backward_planner
    for part in (system.agent.canvas_planner, planner, system.efe_loss, system.qwen.text):
        assert all(weight.grad is not None and bool(weight.grad.any()) for weight in part.parameters())
