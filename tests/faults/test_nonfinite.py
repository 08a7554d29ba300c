"""NaN and Inf: the step is skipped and counted, the run stops in time, and no such state is ever kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from raw_events import PIPELINE
from safetensors.torch import load_file
from small_run import measured, new_run, opened, told, train
from torch import Tensor, nn

from arc_core.base.errors import CheckpointError
from arc_core.checkpoints.snapshot import Moment, Tensors
from arc_core.pipeline.persistence import ModelPersistence
from arc_core.run.checkpoint_index import checkpoint_id, list_checkpoints, newest_intact, next_id, read_state
from arc_core.run.directory import RunDirectory
from arc_core.run.event_lines import validate_event
from arc_core.training.loop import TrainingLoop

Steps = Callable[[int], bool]
NAN, INF = float("nan"), float("inf")


def spoil_loss(trainer: TrainingLoop, steps: Steps, value: float) -> None:
    """Make the loss of chosen steps not finite."""

    def hook(module: nn.Module, inputs: Any, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        spoiled = steps(trainer.progress.step + 1)
        return losses | {"total": losses["total"] * value} if spoiled else losses

    trainer.system.efe_loss.register_forward_hook(hook)


def spoil_gradient(parameter: nn.Parameter, trainer: TrainingLoop, steps: Steps, value: float) -> None:
    """Make one number of a parameter's gradient not finite in chosen steps; the loss stays finite."""

    def hook(gradient: Tensor) -> Tensor:
        if steps(trainer.progress.step + 1):
            gradient = gradient.clone()
            gradient[(-1,) * gradient.dim()] = value
        return gradient

    parameter.register_hook(hook)


def of_the_agent(trainer: TrainingLoop, steps: Steps, value: float) -> None:
    spoil_gradient(next(trainer.system.agent.parameters()), trainer, steps, value)


def of_the_language_model(trainer: TrainingLoop, steps: Steps, value: float) -> None:
    spoil_gradient(next(trainer.system.qwen.language_model.parameters()), trainer, steps, value)


def of_the_prompt(trainer: TrainingLoop, steps: Steps, value: float) -> None:
    spoil_gradient(next(iter(trainer.system.qwen.head_parameters())), trainer, steps, value)


def everything(trainer: TrainingLoop) -> dict[str, Tensor]:
    """Every tensor that a step moves but the policy's, whose own step comes before the loss."""
    system = trainer.system
    found = {
        f"{part}.{name}": tensor
        for part, module in system.modules.items()
        if part != "policy"
        for name, tensor in module.state_dict().items()
    }
    for group in system.optimizer.param_groups:
        for index, parameter in enumerate(group["params"]):
            for slot, value in system.optimizer.state.get(parameter, {}).items():
                found[f"{group['name']}.{index}.{slot}"] = value
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def after_each_step(trainer: TrainingLoop, look: Callable[[int], None]) -> None:
    """Call `look` with the step at the boundary that follows it."""
    is_due = trainer.saver.is_due

    def watched(progress: Any) -> bool:
        look(progress.step)
        return is_due(progress)

    vars(trainer.saver)["is_due"] = watched


def saved_steps(run: RunDirectory) -> list[int]:
    return [read_state(path)["position"]["step"] for path in list_checkpoints(run.checkpoints)]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("spoil", "told_as"),
    [
        (spoil_loss, "efe_total"),
        (of_the_agent, "agent"),
        (of_the_language_model, "lm"),
        (of_the_prompt, "the gradient"),
    ],
)
def test_the_step_is_skipped_counted_and_told_and_changes_nothing(
    tmp_path: Path, spoil: Callable[[TrainingLoop, Steps, float], None], told_as: str, value: float
) -> None:
    run = new_run(tmp_path, checkpoint_every=1000)
    states: dict[int, dict[str, Tensor]] = {}

    def prepare(trainer: TrainingLoop) -> None:
        spoil(trainer, lambda step: step == 3, value)
        after_each_step(trainer, lambda step: states.update({step: everything(trainer)}))

    assert train(run, prepare) == "completed"
    assert [name for name in states[2] if not torch.equal(states[2][name], states[3][name])] == []
    assert any(not torch.equal(states[3][name], states[4][name]) for name in states[3])
    steps = told(run, "step")
    assert [step["amp"]["skipped_steps"] for step in steps] == [0, 0, 1, 1, 1, 1]
    assert [problem for step in steps for problem in validate_event(step, PIPELINE)] == []
    assert [step["step"] for step in steps if step["nonfinite"]] == ([] if told_as == "the gradient" else [3])
    (warning,) = told(run, "warning")
    assert warning["code"] == "nonfinite"
    assert warning["message"].startswith("Step 3 was skipped: not finite in ")
    assert told_as in warning["message"]
    assert saved_steps(run) == [6]


def test_the_run_stops_after_enough_such_steps_in_a_row_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = new_run(tmp_path, checkpoint_every=2, nan_patience=3, epochs=2)
    good: dict[str, Tensor] = {}

    def prepare(trainer: TrainingLoop) -> None:
        spoil_loss(trainer, lambda step: step == 2 or step >= 4, NAN)
        after_each_step(trainer, lambda step: good.update(everything(trainer)) if step == 3 else None)

    assert train(run, prepare) == "3 steps in a row were not finite"
    assert len(told(run, "step")) == 6, "the one at step 2 was not in a row with them"
    newest, rejected = newest_intact(run.checkpoints)
    assert newest is not None
    assert rejected == []
    assert read_state(newest)["position"]["step"] == 6
    kept = load_file(newest / "agent.safetensors")
    assert [name for name in kept if not torch.equal(kept[name], good[f"agent.{name}"])] == []

    assert train(run) == "completed"
    assert [step["step"] for step in told(run, "step")] == list(range(1, 13))
    assert told(run, "step")[-1]["amp"]["skipped_steps"] == 4


def poison(parameter: Tensor) -> None:
    with torch.no_grad():
        parameter.fill_(NAN)


@pytest.mark.parametrize(
    "poisoned",
    [
        lambda system: next(system.agent.parameters()),
        lambda system: next(system.policy.actor.parameters()),
        lambda system: system.policy.log_std,
        lambda system: next(system.qwen.language_model.parameters()),
        lambda system: next(iter(system.qwen.head_parameters())),
        lambda system: next(iter(system.optimizer.state.values()))["exp_avg_sq"],
    ],
    ids=["agent", "actor", "log_std", "lm", "prompt", "moments"],
)
def test_a_poisoned_state_is_never_kept_and_the_run_goes_on_from_the_last_good_one(
    tmp_path: Path, poisoned: Callable[[Any], Tensor]
) -> None:
    whole = new_run(tmp_path, "whole", checkpoint_every=2)
    train(whole)
    run = new_run(tmp_path, "poisoned", checkpoint_every=2, nan_patience=2)

    def prepare(trainer: TrainingLoop) -> None:
        def look(step: int) -> None:
            if step == 3:
                poison(poisoned(trainer.system))

        after_each_step(trainer, look)

    reason = train(run, prepare)
    assert saved_steps(run) == [2], "nothing was saved after step 3"
    failed = [event for event in told(run, "checkpoint") if event["phase"] == "failed"]
    assert failed
    assert all("The state is not worth keeping: " in event["reason"] for event in failed)
    assert "checkpoint_failed" in {warning["code"] for warning in told(run, "warning")}
    assert reason == "2 steps in a row were not finite"
    assert [path.name for path in run.checkpoints.iterdir() if path.name.startswith(".tmp-")] == []

    assert train(run) == "completed"
    assert told(run, "resumed")[-1]["step"] == 2
    assert measured(told(run, "step")) == measured(told(whole, "step"))


def test_every_tensor_of_a_snapshot_is_looked_at(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    train(run)
    with opened(run) as trainer:
        system = trainer.system
        snapshot = system.snapshot_taker().take(Moment(9, 0, 0, {}, {}))
        assert snapshot.first_nonfinite() is None
        looked_at = 0
        for path, content in snapshot.files.items():
            for name, tensor in content.tensors.items() if isinstance(content, Tensors) else ():
                if tensor.is_floating_point() and tensor.numel():
                    number = tensor.view(-1)[-1].clone()
                    tensor.view(-1)[-1] = INF if looked_at % 2 else NAN
                    assert snapshot.first_nonfinite() == f"{name} in {path}"
                    tensor.view(-1)[-1] = number
                    looked_at += 1
        assert looked_at > 200
        next(iter(system.agent.parameters())).data.fill_(3e38)  # finite numbers whose sum is not
        assert system.snapshot_taker().take(Moment(9, 0, 0, {}, {})).first_nonfinite() is None


def test_a_poisoned_snapshot_leaves_no_trace_on_the_disk(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    train(run)
    (only,) = list_checkpoints(run.checkpoints)
    with opened(run) as trainer:
        system = trainer.system
        poison(next(system.agent.parameters()))
        with pytest.raises(CheckpointError, match=r"not worth keeping: .* in agent\.safetensors is"):
            ModelPersistence(run.checkpoints).save_checkpoint(
                *(system.agent, system.qwen, system.memory, system.efe_loss, system.policy, system.optimizer),
                *(0, 0, {}),
            )
    assert list_checkpoints(run.checkpoints) == [only]
    assert next_id(run.checkpoints) == checkpoint_id(only) + 1


def test_a_loop_whose_own_numbers_are_not_finite_is_not_saved(tmp_path: Path) -> None:
    run = new_run(tmp_path, checkpoint_every=1000)

    def prepare(trainer: TrainingLoop) -> None:
        def look(step: int) -> None:
            trainer.system.memory_threshold.ema = NAN

        after_each_step(trainer, look)

    assert train(run, prepare) == "completed"
    assert list_checkpoints(run.checkpoints) == []
    (failed,) = [event for event in told(run, "checkpoint") if event["phase"] == "failed"]
    assert failed["reason"] == "The state of the loop holds a number that is not finite"
