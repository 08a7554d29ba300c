"""A loop of one's own goes on from its checkpoint as if nothing had happened, or says why it cannot."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_loop import TIMED, Killed, Loop, course, killing, run_of, told, tracked, train
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, MultiStepLR

from arc_core.base.errors import CheckpointError, RunError, TrackError
from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_hint, read_state
from arc_core.tracking.tracked import TrackedRun


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("killed_in", [1, 5, 6, 8, 11])
def test_killed_run_goes_on_bit_equal(tmp_path: Path, killed_in: int, own_generator: bool):
    whole = train(tmp_path, Loop(own_generator=own_generator), "whole")
    with pytest.raises(Killed):
        train(tmp_path, Loop(own_generator=own_generator), at=killing(killed_in))
    resumed = train(tmp_path, Loop(own_generator=own_generator))
    assert all(map(torch.equal, whole, resumed))
    assert course(tmp_path) == course(tmp_path, "whole")


def test_numbers_drawn_before_the_first_step_change_nothing(tmp_path: Path):
    whole = train(tmp_path, Loop(), "whole")
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(6))
    loop = Loop()
    with tracked(tmp_path, resume=True) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        torch.rand(100)
        for step, batch in run.steps(loop.loader, 2):
            run.log(step, **loop.train(batch))
    assert all(map(torch.equal, whole, loop.weights()))


def outer(folder: Path, loop: Loop, name: str, killed_in: int | None = None) -> None:
    """Ask for the passes one by one, with a validation after each."""
    with tracked(folder, name, resume=True) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for _ in range(3):
            for step, batch in run.steps(loop.loader):
                run.log(step, **loop.train(batch))
                if step == killed_in:
                    raise Killed
            run.validated(run.step, score=-run.step % 7)


@pytest.mark.parametrize("killed_in", [5, 9, 13, 17])
def test_passes_asked_for_one_by_one_are_resumed_with_their_validations(tmp_path: Path, killed_in: int):
    whole, loop = Loop(), Loop()
    outer(tmp_path, whole, "whole")
    with pytest.raises(Killed):
        outer(tmp_path, Loop(), "a", killed_in)
    outer(tmp_path, loop, "a")
    assert all(map(torch.equal, whole.weights(), loop.weights()))
    assert course(tmp_path) == course(tmp_path, "whole")
    best = [read_hint(run_of(tmp_path, name).checkpoints, "best") for name in ("a", "whole")]
    steps = [
        read_state(run_of(tmp_path, name).checkpoints / str(hint))["position"]
        for name, hint in zip(("a", "whole"), best, strict=True)
    ]
    assert steps[0] == steps[1]


def test_best_validation_within_a_pass_is_saved_at_the_next_boundary(tmp_path: Path):
    loop = Loop()
    with tracked(tmp_path, checkpoint_every=1000) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for step, batch in run.steps(loop.loader):
            run.log(step, **loop.train(batch))
            if step in (2, 3):
                run.validated(step, score=5 - step)
    found = list_checkpoints(run_of(tmp_path).checkpoints)
    assert [read_state(path)["position"]["step"] for path in found] == [2, 6]
    assert read_hint(run_of(tmp_path).checkpoints, "best") == found[0].name
    assert [problems_of(path) for path in found] == [[], []]


def test_state_scheduler_and_settings_are_put_back(tmp_path: Path):
    def begin() -> tuple[Loop, Any, dict[str, Any], TrackedRun]:
        loop, own = Loop(), {"seen": 0}
        scheduler = CosineAnnealingLR(loop.optimizer, 12)
        run = tracked(tmp_path, resume=True, config={"lr": 1e-2})
        run.saves(
            model=loop.model,
            optimizer=loop.optimizer,
            scheduler=scheduler,
            state=lambda: own,
            restore=own.update,
        )
        return loop, scheduler, own, run

    def killed() -> None:
        loop, scheduler, own, run = begin()
        with run:
            for step, batch in run.steps(loop.loader):
                run.log(step, **loop.train(batch))
                scheduler.step()
                own["seen"] += 4
                if step == 5:
                    raise Killed

    with pytest.raises(Killed):
        killed()
    loop, scheduler, own, run = begin()
    with run:
        assert own == {"seen": 16}
        assert (run.step, run.epoch) == (4, 0)
        assert scheduler.last_epoch == 4
        assert loop.optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] < 1e-2


def test_other_settings_are_told_and_a_rate_moves_what_was_restored(tmp_path: Path):
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(5), config={"agent_lr": 1e-2, "width": 8})
    loop = Loop()
    with tracked(tmp_path, resume=True, config={"agent_lr": 5e-3, "width": 9}) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        for _ in run.steps(loop.loader):
            break
        assert run.settings["agent_lr"] == 5e-3
        assert loop.optimizer.param_groups[0]["lr"] == pytest.approx(5e-3)
    warning = told(tmp_path, "warning")[0]
    assert warning["code"] == "options_changed"
    assert "agent_lr 0.01 is now 0.005; width 8 is now 9" in warning["message"]
    assert run_of(tmp_path).read()["config"]["width"] == 9


def test_other_number_of_threads_is_refused_unless_it_is_asked_for(tmp_path: Path):
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(5))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RunError, match="give threads=1 to keep them, or threads=2 to go on"):
            train(tmp_path, Loop(), threads=None)
        train(tmp_path, Loop(), threads=2)
    finally:
        torch.set_num_threads(before)
    assert told(tmp_path, "run_finished")[-1]["reason"] == "completed"


def other_width(loop: Loop) -> dict[str, Any]:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Dropout(0.2), nn.Linear(4, 10))
    return {"model": model, "optimizer": torch.optim.AdamW(model.parameters())}


DOES_NOT_FIT = {
    "shape": (other_width, "0.weight has shape (10, 8), not (10, 4)"),
    "module": (lambda loop: {"net": loop.model, "optimizer": loop.optimizer}, "net.safetensors is missing"),
    "optimizer": (lambda loop: {"model": loop.model, "adam": loop.optimizer}, "optimizer.adam is missing"),
    "scheduler": (
        lambda loop: {
            "model": loop.model,
            "optimizer": loop.optimizer,
            "scheduler": LambdaLR(loop.optimizer, lambda step: 1.0),
        },
        "system.others.scheduler is missing",
    ),
}


@pytest.mark.parametrize("name", DOES_NOT_FIT)
def test_checkpoint_that_does_not_fit_is_refused_in_one_sentence(tmp_path: Path, name: str):
    given, sentence = DOES_NOT_FIT[name]
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(5))
    with pytest.raises(CheckpointError) as refused, tracked(tmp_path, resume=True) as run:
        run.saves(**given(Loop()))
    assert str(refused.value).startswith("checkpoint_00000 cannot be used: ")
    assert sentence in str(refused.value)
    assert told(tmp_path, "run_finished")[-1]["reason"] == str(refused.value)


BAD_GIFTS: dict[str, tuple[Any, str]] = {
    "text": (lambda loop: {"model": "net"}, "model is a str, but saves keeps modules"),
    "foreign parameters": (
        lambda loop: {"model": nn.Linear(1, 1), "optimizer": loop.optimizer},
        "The optimizer optimizer moves parameters of a module that saves was not given",
    ),
    "state alone": (lambda loop: {"state": dict}, "saves takes state and restore together"),
    "no JSON": (
        lambda loop: {"state": lambda: {"x": torch.ones(1)}, "restore": print},
        "The state of state is not what JSON can hold",
    ),
    "keys": (
        lambda loop: {"scheduler": MultiStepLR(loop.optimizer, [3])},
        "The state of scheduler is not what JSON can hold (a key in it is no text)",
    ),
    "file": (lambda loop: {"rng": loop.model}, "A module cannot be saved as 'rng'"),
}


@pytest.mark.parametrize("name", BAD_GIFTS)
def test_what_cannot_be_saved_is_refused_in_one_sentence(tmp_path: Path, name: str):
    given, sentence = BAD_GIFTS[name]
    with pytest.raises(TrackError) as refused, tracked(tmp_path) as run:
        run.saves(**given(Loop()))
    assert sentence in str(refused.value)


def test_checkpoints_are_not_passed_over_silently(tmp_path: Path):
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(5))
    with (
        pytest.raises(TrackError, match="has checkpoints: say by saves"),
        tracked(tmp_path, resume=True) as run,
    ):
        run.log(1, loss=0.0)


def test_saves_after_the_first_step_is_refused(tmp_path: Path):
    with tracked(tmp_path) as run:
        run.log(1, loss=0.0)
        with pytest.raises(TrackError, match="once, before the first step"):
            run.saves()


def test_fewer_batches_than_were_trained_are_refused(tmp_path: Path):
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(5))
    loop = Loop()
    with tracked(tmp_path, resume=True) as run:
        run.saves(model=loop.model, optimizer=loop.optimizer)
        with pytest.raises(TrackError, match="has trained 4 batches of this pass, and there are only 2"):
            list(run.steps([0, 1]))


def test_exception_saves_nothing_of_the_step_that_it_broke(tmp_path: Path):
    with pytest.raises(Killed):
        train(tmp_path, Loop(), at=killing(3))
    assert list_checkpoints(run_of(tmp_path).checkpoints) == []


def test_names_declared_after_the_checkpoint_are_told_again(tmp_path: Path):
    def late(run: TrackedRun, step: int, loop: Loop, batch: Any) -> None:
        numbers = loop.train(batch)
        run.log(step, **numbers, **({"late": float(step)} if step > 4 else {}))

    def go(name: str, killed_in: int | None) -> None:
        loop = Loop()
        with tracked(tmp_path, name, resume=True) as run:
            run.saves(model=loop.model, optimizer=loop.optimizer)
            for step, batch in run.steps(loop.loader):
                late(run, step, loop, batch)
                if step == killed_in:
                    raise Killed

    go("whole", None)
    with pytest.raises(Killed):
        go("a", 5)
    go("a", None)
    assert course(tmp_path) == course(tmp_path, "whole")
    assert set(TIMED) & course(tmp_path)[0].keys() == set()


class Counting(torch.optim.SGD):
    """Keeps a plain number for each parameter, as a few optimizers do."""

    def step(self, closure: Any = None) -> None:
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["count"] = 1


def test_optimizer_that_keeps_no_tensors_is_told_and_training_goes_on(tmp_path: Path):
    loop = Loop()
    loop.optimizer = Counting(loop.model.parameters(), lr=0.1)  # pyright: ignore
    train(tmp_path, loop, epochs=1)
    warning = told(tmp_path, "warning")[0]
    assert "the optimizer optimizer keeps count of model.0.weight as a int" in warning["message"]
    assert told(tmp_path, "run_finished")[0]["reason"] == "completed"
