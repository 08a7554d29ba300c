"""Validation on the outputs' canvases: what is answered may not depend on any test output."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.dataset import ARCDataset, Example
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.laying import Layouts
from arc_core.pipeline.system import ArcSystem
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
    return ArcSystem(config, torch.device("cpu"), tasks=tasks)


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
