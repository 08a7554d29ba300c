"""Tasks are solved on a GPU as on the CPU, as far as that can be proved without one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretended_gpu import pretended_gpu

from arc_core.data.seen import write_blind
from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.folder import Assignment, EvalFolder, TaskAnswer
from arc_core.evaluation.pipeline_start import settle
from arc_core.evaluation.solving import Worker
from arc_core.run.presets import PIPELINE, SOLVER
from arc_core.solver.config import SolverConfig
from arc_core.solver.solver import Solver
from arc_core.solver.start import fresh_net
from arc_core.solver.weights_file import TASK_PROMPTS

AGENT = SolverConfig.from_mapping(
    {"width": 16, "prompt_dim": 16, "steps": 2, "context_dim": 4, "color_maps": 2, "amp": "off"}
)
WHOLE = {
    **{"hidden_dim": 16, "prompt_dim": 16, "max_steps": 2, "memory_capacity": 8, "batch_size": 2},
    **{"amp": "off", "lm": "tiny"},
}
"""Settings of the pipeline."""


def recolor_task() -> Task:
    """Every 1 becomes 2."""
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 2, (3, 4)).astype(np.int8) for _ in range(5)]
    pairs = [Pair(grid, grid * 2) for grid in inputs]
    return Task("recolor", tuple(pairs[:4]), (Pair(pairs[4].input, None),))


def answer_of(folder: Path, device: str, system: str, settings: dict[str, Any]) -> TaskAnswer:
    """What a worker of an evaluation of one task answers."""
    task, made = recolor_task(), EvalFolder(folder / device)
    made.make(
        Assignment(
            dataset="arcagi1",
            split="evaluation",
            tasks=(task.id,),
            seconds_per_task=None,
            steps_per_task=3,
            seed=0,
            device=device,
            settings=settings,
            weights=None,
            weights_sha256=None,
            seen=(),
            system=system,
        )
    )
    write_blind(made.challenges, [task])
    place = torch.device("cuda", 0) if device == "cuda" else torch.device(device)
    Worker(made, place, watched=True).work([task.id], lambda: None)
    return made.answer(task.id)


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        (SOLVER, AGENT.to_dict()),
        (SOLVER, AGENT.to_dict() | {"amp": "float16"}),
        (PIPELINE, settle(None, None, WHOLE)),
    ],
)
def test_an_evaluation_answers_its_task(tmp_path: Path, system: str, settings: dict[str, Any]):
    with pretended_gpu() as gpu:
        found = answer_of(tmp_path, "cuda", system, settings)
        assert gpu.operations > 1000
    assert len(found.inputs) == 1
    assert found.steps == 3
    if system == SOLVER and settings["amp"] == "off":
        expected = answer_of(tmp_path, "cpu", system, settings)
        assert found.inputs[0].attempts.first.tolist() == expected.inputs[0].attempts.first.tolist()
        assert found.inputs[0].confidence == pytest.approx(expected.inputs[0].confidence, abs=1e-4)


def test_a_start_from_weights_looks_its_task_up_on_the_gpu_too():
    net = fresh_net(AGENT, 0)
    weights = {**net.state_dict(), TASK_PROMPTS: torch.randn(5, 1, 16)}
    expected = Solver(recolor_task(), AGENT, weights).starts[0].nearest
    with pretended_gpu():
        found = Solver(recolor_task(), AGENT, weights, device=torch.device("cuda")).starts[0].nearest
    assert expected is not None
    assert found is not None
    assert torch.equal(found, expected)
