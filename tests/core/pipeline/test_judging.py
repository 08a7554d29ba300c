"""Where nothing is learned any more, a task's demonstrations judge what the policy proposes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.dataset import ARCDataset, Example
from arc_core.pipeline import judging
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import go_along, plan_again, prompts_of
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.judging import demonstrations_of, judged_actions
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.system import DIRECTIONS, ArcSystem

TASKS = ARCDataset("arcagi1").tasks.tasks


@pytest.fixture(scope="module")
def system() -> ArcSystem:
    """A system whose tasks' vectors matter, and whose policy says something."""
    torch.manual_seed(0)
    config = PipelineConfig(
        planner="canvas", hidden_dim=16, prompt_dim=16, amp="off", lm_train="frozen", judged_draws=3
    )
    system = ArcSystem(config, torch.device("cpu"), tasks=[task.id for task in TASKS])
    with torch.no_grad():
        for parameter in (*system.policy.actor.parameters(), *system.agent.canvas_planner.parameters()):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return system


@pytest.fixture(scope="module")
def tests() -> list[Example]:
    return [example for example in ARCDataset("arcagi1", part="test") if example.input.size <= 30][:6]


def test_each_demonstration_is_answered_from_the_others(tests: list[Example]):
    layouts = Layouts(TASKS)
    for example in tests:
        shown = layouts.task(example.task_id).train
        asked = demonstrations_of(layouts, example, 100)
        assert len(asked) == len(shown)
        for place, demonstration in enumerate(asked):
            assert demonstration.target is shown[place].output
            assert demonstration.context == shown[:place] + shown[place + 1 :]


def test_the_action_that_is_taken_explains_the_demonstrations_best(
    system: ArcSystem, tests: list[Example], monkeypatch: pytest.MonkeyPatch
):
    layouts = Layouts(TASKS)
    proposals = torch.linspace(-2.0, 2.0, 5)[:, None].expand(-1, DIRECTIONS)

    def refine(system: ArcSystem, prompts: object, *, explore: bool) -> tuple[None, object]:
        number = next(drawn) if explore else 4
        action = proposals[number].expand(len(tests), -1)
        return None, type("Info", (), {"pre_tanh": action})

    drawn = iter((0, 1, 3))
    monkeypatch.setattr(judging, "refine", refine)
    taken = judged_actions(system, layouts, tests)
    chosen = []
    for example, action in zip(tests, taken, strict=True):
        losses = []
        for proposal in (torch.zeros(DIRECTIONS), proposals[4], proposals[0], proposals[1], proposals[3]):
            total = 0.0
            for demonstration in demonstrations_of(layouts, example, system.config.max_context):
                batch = collate([demonstration], FEW_SIDES, layouts.lay([demonstration]))
                with torch.no_grad():
                    reading = system.agent.canvas_planner.read(batch.laid)
                    under = go_along(system, prompts_of(system, batch), proposal[None])
                planned = plan_again(system, reading, under, batch.laid)
                height, width = demonstration.target.shape
                shares = planned.logits[0, -1, :height, :width].double().log_softmax(-1)
                target = torch.tensor(np.array(demonstration.target), dtype=torch.int64)
                total -= shares.gather(-1, target[..., None]).mean().item()
            losses.append(total)
        best = int(np.argmin(losses))
        assert torch.equal(action, (torch.zeros(DIRECTIONS), *proposals[[4, 0, 1, 3]])[best])
        chosen.append(best)
    assert len(set(chosen)) > 1


def test_judging_looks_at_no_test_output_and_leaves_trainings_draws_alone(
    system: ArcSystem, tests: list[Example]
):
    layouts, before = Layouts(TASKS), torch.random.get_rng_state()
    actions = judged_actions(system, layouts, tests)
    other = [replace(example, target=np.full((3, 7), 5, dtype=np.int8)) for example in tests]
    assert torch.equal(judged_actions(system, layouts, other), actions)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_task_without_a_vector_is_left_as_it_is_read(tests: list[Example]):
    torch.manual_seed(0)
    config = PipelineConfig(planner="canvas", hidden_dim=16, prompt_dim=16, amp="off", judged_draws=2)
    stranger = ArcSystem(config, torch.device("cpu"), tasks=["another"])
    actions = judged_actions(stranger, Layouts(TASKS), tests)
    assert not actions.any()
