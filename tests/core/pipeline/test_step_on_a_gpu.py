"""A training step on a GPU, as far as it can be proved without: where its tensors are, what it waits for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from device_tensor import Gpu
from pretended_gpu import pretended_gpu
from small_run import new_run, opened
from torch import Tensor

from arc_core.pipeline import canvas_flow, canvas_step, step
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.language_model import LanguageModel
from arc_core.training.loop import TrainingLoop

READ_OUTS = {"canvas": 10, "seed": 6}
"""Most transfers to the host in a step in which the memory stores; one is the aim."""
WAITING_UPLOADS = {"canvas": 12, "seed": 1}
"""Most that it brings to the device while the host waits; none is the aim."""

PLANNERS = [{"planner": "canvas", "optimizer": "muon"}, {"planner": "seed"}]


@contextmanager
def run_on_a_gpu(folder: Path, **settings: Any) -> Iterator[tuple[TrainingLoop, Gpu]]:
    with pretended_gpu() as gpu, opened(new_run(folder, device="cuda", **settings)) as trainer:
        yield trainer, gpu


def steps_of(trainer: TrainingLoop, count: int = 6) -> list[dict[str, Any]]:
    """Take steps; the numbers that each tells."""
    told = []
    for batch in trainer.recipe.plan_epoch(0)[:count]:
        told.append(dict(trainer.recipe.step(batch, trainer.progress).numbers))
        trainer.progress.step += 1
    return told


def beyond(gpu: Gpu, planner: str) -> str:
    """What a step transfers beyond the limits, in lines; empty where it keeps to them."""
    uploads = [one for one in gpu.uploads if one.waits]
    if len(gpu.transfers) <= READ_OUTS[planner] and len(uploads) <= WAITING_UPLOADS[planner]:
        return ""
    return "\n".join(["to the host", *map(str, gpu.transfers), "to the device", *map(str, uploads)])


@pytest.mark.parametrize("settings", PLANNERS)
def test_a_step_reads_no_more_than_it_may(tmp_path: Path, settings: dict[str, Any]):
    with run_on_a_gpu(tmp_path, **settings) as (trainer, gpu):
        for batch in trainer.recipe.plan_epoch(0):
            gpu.reset()
            trainer.recipe.step(batch, trainer.progress)
            assert not (found := beyond(gpu, settings["planner"])), found


@pytest.mark.parametrize("settings", PLANNERS)
def test_steps_on_a_gpu_tell_the_numbers_of_steps_on_the_cpu(tmp_path: Path, settings: dict[str, Any]):
    # Without what is drawn, since a GPU draws otherwise.
    settings = settings | {"refine": False, "vector_dropout": 0.0}
    with opened(new_run(tmp_path, "cpu", **settings)) as trainer:
        expected = steps_of(trainer)
    with run_on_a_gpu(tmp_path, **settings) as (trainer, _):
        found = steps_of(trainer)
    for here, there in zip(expected, found, strict=True):
        for group in ("loss", "reward", "grad_norm", "accuracy", "memory"):
            assert there[group] == pytest.approx(here[group], rel=1e-4, abs=1e-5), group


def planted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[..., Any]) -> None:
    """Let a function of the step be followed by a fault."""
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **kwargs: change(right(*args, **kwargs)))


@pytest.mark.parametrize("settings", PLANNERS)
def test_a_result_that_is_brought_to_the_host_in_the_middle_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    module = canvas_step if settings["planner"] == "canvas" else step
    planted(
        monkeypatch, module, "backward_and_step", lambda told: ({k: v.cpu() for k, v in told[0].items()}, 1)
    )
    with (
        run_on_a_gpu(tmp_path, **settings) as (trainer, gpu),
        pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"),
    ):
        steps_of(trainer)
    assert any(one.site.startswith("pipeline/test_step_on_a_gpu.py") for one in gpu.transfers)


def test_a_tensor_that_is_made_on_the_wrong_device_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def with_zeros(prompts: canvas_flow.Prompts) -> canvas_flow.Prompts:
        return canvas_flow.Prompts(**vars(prompts) | {"own": prompts.own + torch.zeros(prompts.own.shape)})

    planted(monkeypatch, canvas_flow, "prompts_of", with_zeros)
    with (
        run_on_a_gpu(tmp_path, **PLANNERS[0]) as (trainer, _),
        pytest.raises(RuntimeError, match=r"found at least two devices, cuda:0 and cpu.*with_zeros"),
    ):
        steps_of(trainer)


@pytest.mark.parametrize("settings", PLANNERS)
def test_a_second_transfer_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    module, planner = (canvas_step, "canvas") if settings["planner"] == "canvas" else (step, "seed")
    told: list[float] = []

    def looked_at(result: tuple[dict[str, Tensor], bool]) -> tuple[dict[str, Tensor], bool]:
        told.append(float(result[0]["agent"]))
        return result

    with run_on_a_gpu(tmp_path, **settings) as (trainer, gpu):
        steps_of(trainer, 1)
        gpu.reset()
        steps_of(trainer, 1)
        monkeypatch.setitem(READ_OUTS, planner, len(gpu.transfers))
        assert not beyond(gpu, planner)
        planted(monkeypatch, module, "backward_and_step", looked_at)
        gpu.reset()
        steps_of(trainer, 1)
        assert len(told) == 1
        assert "pipeline/test_step_on_a_gpu.py:" in beyond(gpu, planner)
        assert " looked_at: aten._local_scalar_dense.default" in beyond(gpu, planner)


def test_a_batch_goes_to_a_gpu_in_one_copy_that_is_not_waited_for(make_examples: Callable[..., list[Any]]):
    batch = collate(make_examples(3))
    with pretended_gpu() as gpu:
        moved = batch.to("cuda")
        assert [one.waits for one in gpu.uploads] == [False]
        assert gpu.transfers == []
        found = tensors_of(moved.to("cpu"))
    expected = tensors_of(batch)
    assert len(expected) > 10
    for here, there in zip(expected, found, strict=True):
        assert (there.dtype, there.shape) == (here.dtype, here.shape)
        assert torch.equal(there, here)


def test_the_language_model_embeds_texts_of_different_lengths_as_on_the_cpu_and_reads_nothing():
    model, texts = LanguageModel.load("tiny"), ["a rule", "another rule that is longer", "a rule", ""]
    expected = model(texts)
    with pretended_gpu() as gpu:
        model.to("cuda")
        gpu.reset()
        found = model(texts)
        assert gpu.waits == []
        torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-5)


def tensors_of(batch: Batch) -> list[Tensor]:
    grids = [batch.inputs, batch.targets]
    for some in batch.prompt_inputs.demonstrations:
        grids += [some.inputs, some.outputs]
    owners = [some.owner for some in batch.prompt_inputs.demonstrations]
    cells = [tensor for grid in grids if grid is not None for tensor in (grid.cells, grid.mask, grid.sizes)]
    return [batch.prompt_inputs.features, batch.prompt_inputs.summary, *owners, *cells]
