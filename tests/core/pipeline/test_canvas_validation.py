"""Validation on the outputs' canvases: what is answered may not depend on any test output."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.dataset import ARCDataset, Example, augment_example
from arc_core.data.views import make_views
from arc_core.pipeline import validation
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import canvas_flow
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.padding import FEW_SIDES
from arc_core.pipeline.system import DIRECTIONS, ArcSystem
from arc_core.pipeline.validation import predict_on_canvas


@pytest.fixture(scope="module")
def tests() -> list[Example]:
    """Small test inputs, some of tasks whose sizes no rule tells."""
    every = list(ARCDataset("arcagi1", part="test"))
    small = [example for example in every if example.input.size <= 40]
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    unruled = [example for example in small if layouts.known_size(example) is None]
    assert unruled
    return [*small[:8], *unruled[:3]]


@pytest.fixture(scope="module")
def system() -> ArcSystem:
    torch.manual_seed(0)
    config = PipelineConfig(planner="canvas", hidden_dim=16, prompt_dim=16, amp="off", lm_train="frozen")
    tasks = [task.id for task in ARCDataset("arcagi1").tasks.tasks]
    system = ArcSystem(config, torch.device("cpu"), tasks=tasks)
    with torch.no_grad():  # else it copies its input, whatever the view
        for parameter in system.agent.canvas_planner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return system


def test_no_answer_depends_on_a_target(system: ArcSystem, tests: list[Example]):
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    other = [replace(example, target=np.full((3, 7), 5, dtype=np.int8)) for example in tests]
    told = [predict_on_canvas(system, layouts, examples, 4) for examples in (tests, other)]
    for one, two in zip(*told, strict=True):
        assert torch.equal(one.before, two.before)
        assert torch.equal(one.after, two.after)


def test_sizes_are_those_of_the_rules_or_else_of_the_size_head(system: ArcSystem, tests: list[Example]):
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    answers = predict_on_canvas(system, layouts, tests, 4)
    by_head = []
    for example, answer in zip(tests, answers, strict=True):
        assert answer.before.shape == answer.after.shape
        size = layouts.known_size(example)
        if size is None:
            by_head.append(tuple(answer.after.shape) != example.input.shape)
        else:
            assert tuple(answer.after.shape) == size
    assert any(by_head)


def test_an_early_end_is_heard(system: ArcSystem, tests: list[Example]):
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    assert len(predict_on_canvas(system, layouts, tests, 4, lambda: False)) == 4


def test_an_answer_is_the_mean_of_its_views(system: ArcSystem, tests: list[Example]):
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    ruled = [example for example in tests if layouts.known_size(example) is not None]
    voting = copy.copy(system)
    voting.config = replace(system.config, answer_views=8)
    answers = predict_on_canvas(voting, layouts, ruled, 3)
    for example, answer in zip(ruled, answers, strict=True):
        total = 0.0
        for view in make_views(1, (0,)):
            seen = [augment_example(replace(example, target=None), view.symmetry, np.arange(10))]
            batch = collate(seen, FEW_SIDES, layouts.lay(seen))
            with torch.no_grad():
                planned = canvas_flow(voting, batch).planned
            height, width = batch.laid.out_sizes[0].tolist()
            shares = planned.logits[0, -1, :height, :width].softmax(-1).numpy()
            total = total + view.undo_probabilities(shares)
        top = np.sort(total, axis=-1)
        clear = top[..., -1] - top[..., -2] > 1e-4
        assert (answer.after.numpy() == total.argmax(-1))[clear].all()
    alone = predict_on_canvas(system, layouts, ruled, 3)
    assert any(not torch.equal(one.after, two.after) for one, two in zip(answers, alone, strict=True))


def test_the_action_that_the_demonstrations_judge_best_is_answered_under(
    system: ArcSystem, tests: list[Example], monkeypatch: pytest.MonkeyPatch
):
    layouts = Layouts(ARCDataset("arcagi1").tasks.tasks)
    judged = copy.copy(system)
    judged.config = replace(system.config, judged_draws=1)
    for far in (0.0, 5.0):
        action = torch.full((len(tests), DIRECTIONS), far)
        monkeypatch.setattr(
            validation, "judged_actions", lambda system, layouts, some, a=action: a[: len(some)]
        )
        answers = predict_on_canvas(judged, layouts, tests, len(tests))
        batch = collate(tests, FEW_SIDES, layouts.lay(tests))
        with torch.no_grad():
            planned = canvas_flow(judged, batch, actions=action).planned.logits[:, -1].argmax(-1)
        for number, (example, answer) in enumerate(zip(tests, answers, strict=True)):
            if layouts.known_size(example) is not None:
                height, width = answer.after.shape
                assert torch.equal(answer.after, planned[number, :height, :width])
