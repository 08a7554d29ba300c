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

from arc_core.pipeline import canvas_step, step
from arc_core.pipeline.batch import Batch, collate
from arc_core.pipeline.language_model import LanguageModel
from arc_core.training.loop import TrainingLoop

READ_OUTS = 1
"""Most transfers to the host in a step. Before the last of them nothing is waited for."""

CANVAS: dict[str, Any] = {"planner": "canvas", "optimizer": "muon"}
SEED: dict[str, Any] = {"planner": "seed"}
STEPS = {"canvas": canvas_step, "seed": step}
"""Where each planner's step is."""

Norms = tuple[dict[str, Tensor], Tensor]


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


def beyond(gpu: Gpu) -> str:
    """What a step waits for beyond what it may, in lines; empty where it keeps to that."""
    last = max(place for place, one in enumerate(gpu.moves) if one.to_host)
    in_its_middle = [one for one in gpu.moves[:last] if one.waits]
    return "\n".join(map(str, [*in_its_middle, *gpu.transfers[READ_OUTS:]]))


@pytest.mark.parametrize("settings", [CANVAS, SEED, CANVAS | {"amp": "float16"}, SEED | {"amp": "float16"}])
def test_a_step_reads_once_and_waits_for_nothing_before(tmp_path: Path, settings: dict[str, Any]):
    with run_on_a_gpu(tmp_path, **settings) as (trainer, gpu):
        for _ in range(3):
            gpu.reset()
            steps_of(trainer, 1)
            assert not (found := beyond(gpu)), found


@pytest.mark.parametrize("settings", [CANVAS, SEED])
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


@pytest.mark.parametrize("settings", [CANVAS, SEED])
def test_numbers_that_are_brought_to_the_host_in_the_middle_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    def brought(result: Norms) -> Norms:
        norms, applied = result
        norms["agent"] = norms["agent"].cpu()
        return norms, applied

    planted(monkeypatch, STEPS[settings["planner"]], "clip_and_step", brought)
    with run_on_a_gpu(tmp_path, **settings) as (trainer, gpu):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            steps_of(trainer, 1)
        assert [one.call for one in gpu.transfers if one.site.endswith(" brought")] == ["cpu"]


@pytest.mark.parametrize("settings", [CANVAS, SEED])
def test_a_tensor_that_is_made_on_the_wrong_device_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    def masked(result: Norms) -> Norms:
        norms, applied = result
        return {name: norm * torch.ones(1) for name, norm in norms.items()}, applied

    planted(monkeypatch, STEPS[settings["planner"]], "clip_and_step", masked)
    with (
        run_on_a_gpu(tmp_path, **settings) as (trainer, _),
        pytest.raises(
            RuntimeError, match=r"at least two devices, cuda:0 and cpu! \(aten\.mul.*test_step_on_a_gpu"
        ),
    ):
        steps_of(trainer, 1)


@pytest.mark.parametrize("settings", [CANVAS, SEED])
def test_a_second_transfer_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    told: list[float] = []

    def looked_at(result: Norms) -> Norms:
        told.append(float(result[0]["agent"]))
        return result

    planted(monkeypatch, STEPS[settings["planner"]], "clip_and_step", looked_at)
    with run_on_a_gpu(tmp_path, **settings) as (trainer, gpu):
        gpu.reset()
        steps_of(trainer, 1)
        assert len(told) == 1
        assert beyond(gpu).startswith("to the host pipeline/test_step_on_a_gpu.py:")
        assert " looked_at: aten._local_scalar_dense.default\n" in beyond(gpu)


def test_a_batch_goes_to_a_gpu_in_one_copy_that_is_not_waited_for(make_examples: Callable[..., list[Any]]):
    batch = collate(make_examples(3))
    with pretended_gpu() as gpu:
        moved = batch.to("cuda")
        assert ([one.waits for one in gpu.uploads], gpu.transfers) == ([False], [])
        found = tensors_of(moved.to("cpu"))
    expected = tensors_of(batch)
    assert len(expected) > 10
    for here, there in zip(expected, found, strict=True):
        assert (there.dtype, there.shape) == (here.dtype, here.shape)
        assert torch.equal(there, here)


def tensors_of(batch: Batch) -> list[Tensor]:
    grids = [batch.inputs, batch.targets]
    for some in batch.prompt_inputs.demonstrations:
        grids += [some.inputs, some.outputs]
    owners = [some.owner for some in batch.prompt_inputs.demonstrations]
    cells = [tensor for grid in grids if grid is not None for tensor in (grid.cells, grid.mask, grid.sizes)]
    return [batch.prompt_inputs.features, batch.prompt_inputs.summary, *owners, *cells]


@torch.no_grad()
def test_texts_of_different_lengths_are_embedded_as_on_the_cpu_and_nothing_is_waited_for():
    model, texts = LanguageModel.load("tiny"), ["a rule", "another rule that is longer", "a rule", ""]
    expected = model(texts)
    with pretended_gpu() as gpu:
        model.to("cuda")
        gpu.reset()
        found = model(texts)
        assert gpu.waits == []
        torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-5)
