"""A run on a GPU, as far as it can be proved without: it trains, validates, saves, stops, and goes on."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import small_loop
import torch
from device_tensor import Gpu
from pretended_gpu import pretended_gpu
from raw_events import read_lines
from safetensors.torch import load_file
from small_loop import Loop
from small_run import measured, new_run, opened, stop_after, told, train

from arc_core.checkpoints.snapshot import Moment, Tensors
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory

EVERYTHING = {"planner": "canvas", "optimizer": "muon", "ema": 0.9, "judged_draws": 2}


@pytest.fixture
def gpu():
    with pretended_gpu() as found:
        yield found


def tensors_of(run: RunDirectory) -> dict[str, torch.Tensor]:
    """All that the newest checkpoint holds."""
    checkpoint = list_checkpoints(run.checkpoints)[-1]
    return {
        f"{path.relative_to(checkpoint)}:{name}": tensor
        for path in sorted(checkpoint.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def validated(run: RunDirectory) -> dict[str, Any]:
    """What the last validation found."""
    return {key: value for key, value in told(run, "validation")[-1].items() if key not in ("seq", "time")}


@pytest.mark.parametrize(
    "settings",
    [
        EVERYTHING,
        pytest.param(EVERYTHING | {"amp": "float16", "lm_train": "frozen"}, marks=pytest.mark.slow),
        pytest.param({"planner": "seed", "amp": "float16", "lm_train": "lora"}, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, gpu: Gpu, settings: dict[str, Any]):
    settings = settings | {"device": "cuda", "validate_on": "training", "max_batches": 3}
    whole, parts = (new_run(tmp_path, name, **settings) for name in ("whole", "parts"))
    assert train(whole) == "completed"
    assert train(parts, lambda trainer: stop_after(trainer, 2)) == "stopped after step 2"
    torch.rand(7, device="cuda")  # the checkpoint has the state of the device's generator too
    assert train(parts) == "completed"
    assert measured(read_lines(parts.events)) == measured(read_lines(whole.events))
    assert validated(parts) == validated(whole)
    found, expected = tensors_of(parts), tensors_of(whole)
    assert found.keys() == expected.keys()
    assert "rng.safetensors:cuda_0" in found
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


def test_a_run_goes_on_with_a_gpu_that_it_began_without_and_the_other_way_round(tmp_path: Path):
    run = new_run(tmp_path, device="auto")
    for step, on_gpu in ((2, False), (4, True), (6, False)):
        with pretended_gpu() if on_gpu else contextlib.nullcontext(), opened(run) as trainer:
            assert str(trainer.device) == ("cuda" if on_gpu else "cpu")
            stop_after(trainer, step)
            trainer.train()
    assert [event["step"] for event in told(run, "step")] == [1, 2, 3, 4, 5, 6]


def test_a_snapshot_is_fetched_together_and_waited_for_once(tmp_path: Path, gpu: Gpu):
    with opened(new_run(tmp_path, device="cuda", lm_train="frozen")) as trainer:
        trainer.recipe.step([0, 1], trainer.progress)
        taker = trainer.system.snapshot_taker()
        for number in (1, 2):
            gpu.reset()
            files = taker.take(Moment(number, 0, 0, {}, {})).files
            waited = [one.call for one in gpu.transfers if one.waits and "snapshot.py" in one.site]
            assert waited == ["synchronize"]
            held = {path: file.tensors for path, file in files.items() if isinstance(file, Tensors)}
            copies = [one for one in gpu.transfers if "snapshot.py" in one.site and not one.waits]
            fetched = [one for file in held.values() for one in file.values() if one.is_pinned()]
            assert len(copies) == len(fetched) > 100
            left = {path for path, file in held.items() if any(one.is_cuda for one in file.values())}
            assert left == {"lm/model.safetensors"}, "what never changes is fetched where it is written"


class LoopOnAGpu(Loop):
    """A loop of one's own whose model is there."""

    def __init__(self) -> None:
        super().__init__()
        self.model.to("cuda")
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2, fused=True)

    def train(self, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, Any]:
        """Do a step on a batch of the host's."""
        return super().train((batch[0].to("cuda"), batch[1].to("cuda")))


def test_a_loop_of_ones_own_is_tracked_and_goes_on_after_a_kill(tmp_path: Path, gpu: Gpu):
    expected = small_loop.train(tmp_path, LoopOnAGpu(), "whole")
    with contextlib.suppress(small_loop.Killed):
        small_loop.train(tmp_path, LoopOnAGpu(), "parts", at=small_loop.killing(9))
    found = small_loop.train(tmp_path, LoopOnAGpu(), "parts")
    assert all(torch.equal(*both) for both in zip(found, expected, strict=True))
    assert small_loop.course(tmp_path, "parts") == small_loop.course(tmp_path, "whole")
