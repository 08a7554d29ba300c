"""The prompts that are learned of tasks: whose they are, how a symmetry turns them, what teaches them."""

import numpy as np
import torch

from arc_core.pipeline.task_prompts import TaskPrompts


def prompts(seed: int = 0) -> TaskPrompts:
    torch.manual_seed(seed)
    return TaskPrompts(["a", "b", "c"], 4)


def test_at_first_a_task_has_one_vector_under_every_symmetry():
    learned = prompts()
    torch.testing.assert_close(learned.under_symmetries("b"), learned.vectors[1].expand(8, 4))


def test_a_symmetry_turns_the_vector_by_its_own_matrix():
    learned = prompts()
    with torch.no_grad():
        learned.turns.copy_(torch.randn(8, 4, 4))
        learned.shifts.copy_(torch.randn(8, 4))
    found = learned(["c", "a"], torch.tensor([3, 7])).detach().numpy()
    for row, (task, symmetry) in enumerate([(2, 3), (0, 7)]):
        parts = (learned.vectors[task], learned.turns[symmetry], learned.shifts[symmetry])
        vector, turn, shift = (part.detach().numpy() for part in parts)
        np.testing.assert_allclose(found[row], vector @ turn + shift, rtol=1e-5)


def test_a_task_without_a_vector_adds_nothing_and_is_taught_nothing():
    learned = prompts()
    found = learned(["stranger", "a"], torch.tensor([0, 0]))
    assert found[0].tolist() == [0.0] * 4
    found.sum().backward()
    assert learned.vectors.grad is not None
    assert learned.vectors.grad.abs().sum(dim=1).tolist() == [4.0, 0.0, 0.0]


def test_all_views_of_a_task_teach_the_same_vector():
    learned = prompts()
    learned(["b"] * 8, torch.arange(8)).sum().backward()
    assert learned.vectors.grad is not None
    assert learned.vectors.grad[1].tolist() == [8.0] * 4
