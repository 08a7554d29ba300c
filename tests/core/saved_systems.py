"""Systems that are trained a little, saved and restored, for the tests of checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arc_core.checkpoints.snapshot import rng_tensors
from arc_core.data.dataset import Example
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.pipeline.step import StepResult, training_step
from arc_core.pipeline.system import ArcSystem

MakeSystem = Callable[..., ArcSystem]
MakeExamples = Callable[..., list[Example]]
LAYOUT = {
    "MANIFEST.json",
    "state.json",
    *(
        f"{part}.safetensors"
        for part in ("agent", "policy", "memory", "efe_loss", "prompt", "optimizer", "rng")
    ),
}


def models_of(system: ArcSystem) -> tuple[Any, ...]:
    return system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer


def save(system: ArcSystem, directory: Path, **settings: int) -> Path:
    state = {"system": system.state()}
    return ModelPersistence(directory, **settings).save_checkpoint(
        *models_of(system), epoch=0, batch=1, metrics={"loss": 2.385}, state=state
    )


def load(system: ArcSystem, path: Path) -> dict[str, Any]:
    return ModelPersistence(path.parent).load_checkpoint(path, *models_of(system))


def resumed_from(path: Path, make_system: MakeSystem, **settings: Any) -> ArcSystem:
    """A new system of the same configuration, with everything taken from the checkpoint."""
    language_model = LanguageModel.load(str(path / "lm"), train=settings.get("lm_train", "full"))
    system = make_system(language_model=language_model, **settings)
    with torch.no_grad():  # nothing may come right by having started alike
        for module in (system.agent, system.policy, system.memory, system.efe_loss):
            for tensor in module.state_dict().values():
                tensor.fill_(1)
        for parameter in system.qwen.head_parameters():
            parameter.fill_(1)
    state = load(system, path)
    system.restore_state(state["system"])
    return system


def tensors_of(system: ArcSystem) -> dict[str, Tensor]:
    """Every tensor that the next step depends on, moments and random state included."""
    found = {
        f"{part}.{name}": tensor
        for part, module in system.modules.items()
        for name, tensor in module.state_dict().items()
    }
    for label, optimizer in (("main", system.optimizer), ("policy", system.policy.optimizer)):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            for slot, value in optimizer.state.get(parameter, {}).items():
                found[f"{label}.{index}.{slot}"] = value
    return {name: tensor.detach().clone() for name, tensor in found.items()} | rng_tensors()


def assert_bit_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def numbers_of(result: StepResult) -> list[Any]:
    return [result.loss, result.reward, result.grad_norm, result.memory, result.cell_accuracy, result.exact]


def batches_of(make_examples: MakeExamples, count: int = 4) -> list[Batch]:
    return [collate(make_examples(3, seed=seed)) for seed in range(count)]


def trained(make_system: MakeSystem, make_examples: MakeExamples, **settings: Any) -> ArcSystem:
    system = make_system(**settings)
    system.memory_threshold.ema = 0.0
    for step, batch in enumerate(batches_of(make_examples, 2), start=1):
        training_step(system, batch, epoch=0, step=step)
    return system
