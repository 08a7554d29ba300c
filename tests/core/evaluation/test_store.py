"""Tasks handed out by torch's store: each to one rank, from the dead to the living, with their files."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from torch.distributed import HashStore

from arc_core.base.errors import RunError
from arc_core.data.kaggle import Attempts
from arc_core.data.seen import write_blind
from arc_core.data.tasks import Pair, Task
from arc_core.evaluation.folder import Assignment, EvalFolder, InputAnswer, TaskAnswer
from arc_core.evaluation.store import (
    PIECE_BYTES,
    SILENT_SECONDS,
    Host,
    StoreDesk,
    enter,
    hand_over,
    take_over,
)

GRID = np.array([[1, 2]], np.int8)
NAMES = ("a", "b", "../c")
HOW = "killed by SIGKILL, perhaps for want of memory"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return HashStore()


def make_folder(path: Path, **asked) -> EvalFolder:
    folder = EvalFolder(path)
    given = {
        "dataset": "mine", "split": "training", "tasks": NAMES, "seconds_per_task": None, "steps_per_task": 1,
        "seed": 0, "device": "cpu", "settings": {"width": 8}, "weights": None, "weights_sha256": None,
        "seen": (),
    }  # fmt: skip
    folder.make(Assignment(**given | asked))
    write_blind(folder.challenges, [Task(name, (Pair(GRID, GRID),), (Pair(GRID, GRID),)) for name in NAMES])
    return folder


@pytest.fixture
def desks(tmp_path, store, clock):
    """The desks of three ranks, each with a folder of its own."""
    return [StoreDesk(make_folder(tmp_path / f"rank_{rank}"), store, rank, NAMES, clock) for rank in range(3)]


def owned(tmp_path: Path) -> EvalFolder:
    """The folder of the first rank."""
    return EvalFolder(tmp_path / "rank_0")


def answer(tmp_path: Path, rank: int, task: str) -> None:
    one = InputAnswer(Attempts(GRID, GRID), (0.75, 0.25), GRID, "same")
    EvalFolder(tmp_path / f"rank_{rank}").write_answer(TaskAnswer(task, (one,), rank, 1.5, 1, 1))


def pass_time(clock, seconds, *alive):
    """Let time pass in which only these ranks say that they live."""
    for _ in range(int(seconds)):
        clock.now += 1.0
        for desk in alive:
            desk.tend()


def test_each_task_is_taken_once_and_all_come_to_the_first_rank(desks, tmp_path, clock):
    assert [desk.take() for desk in desks] == list(NAMES)
    for rank, task in enumerate(NAMES):
        assert not desks[rank].finished
        answer(tmp_path, rank, task)
        desks[rank].done(task)
    pass_time(clock, 1, desks[0])
    assert owned(tmp_path).pending(NAMES) == []
    assert [found.steps for found in owned(tmp_path).answers().values()] == [0, 1, 2], "who has solved it"
    clock.now += 1.0
    assert [desk.take() for desk in desks] == [None] * 3
    assert all(desk.finished for desk in desks)


def test_a_task_over_which_a_process_died_is_tried_by_another_rank_until_the_third_time(
    desks, tmp_path, clock
):
    assert desks[0].take() == "a"
    desks[0].died("a", HOW)
    assert [desk.take() for desk in desks] == ["b", "../c", "a"], "first what nobody has tried"
    desks[2].died("a", HOW)
    clock.now += 1.0
    assert desks[2].take() == "a"
    desks[2].died("a", HOW)
    pass_time(clock, 1, desks[0])
    assert owned(tmp_path).answer("a").failure == f"its solving process ended 3 times: {HOW}"
    clock.now += 1.0
    assert desks[2].take() is None, "it is not tried a fourth time"


def test_a_death_after_the_answer_was_written_costs_nothing(desks, tmp_path, clock):
    assert desks[1].take() == "a"
    answer(tmp_path, 1, "a")
    desks[1].died("a", HOW)
    pass_time(clock, 1, desks[0])
    assert owned(tmp_path).answer("a").failure is None


def test_a_rank_that_falls_silent_loses_its_task_and_one_that_lives_does_not(desks, clock):
    idle, living, dead = desks
    assert (living.take(), dead.take(), living.take()) == ("a", "b", "../c")
    pass_time(clock, 1, *desks)
    assert idle.take() is None
    pass_time(clock, SILENT_SECONDS - 2, idle, living)
    assert idle.take() is None
    pass_time(clock, 3, idle, living)
    assert idle.take() == "b"


def test_a_rank_that_was_taken_for_dead_does_no_harm_when_it_goes_on(desks, tmp_path, clock):
    idle, third, stopped = desks
    assert stopped.take() == "a"
    assert (third.take(), idle.take()) == ("b", "../c")
    for rank, task in ((1, "b"), (0, "../c")):
        answer(tmp_path, rank, task)
        desks[rank].done(task)
    clock.now += 1.0
    assert idle.take() is None
    pass_time(clock, SILENT_SECONDS + 1, idle, third)
    assert idle.take() == "a"
    stopped.died("a", HOW)  # must not give away what another rank is at
    assert third.take() is None
    for rank in (2, 0):
        answer(tmp_path, rank, "a")
        desks[rank].done("a")
    pass_time(clock, 1, idle)
    assert owned(tmp_path).pending(NAMES) == []


def test_a_rank_that_dies_over_the_same_task_three_times_lets_it_fail(desks, tmp_path, clock):
    first, second, _ = desks
    holders = [second, first, second, first]
    assert holders[0].take() == "a"
    for task in ("b", "../c"):
        assert first.take() == task
        answer(tmp_path, 0, task)
        first.done(task)
    taken = []
    for dead, taker in itertools.pairwise(holders):
        pass_time(clock, 1, dead)
        taker.take()
        pass_time(clock, SILENT_SECONDS + 1, taker)
        taken.append(taker.take())
    assert taken == ["a", "a", None]
    failure = owned(tmp_path).answer("a").failure
    assert failure == "its solving process ended 3 times: process 1 is not heard any more"


def test_a_process_that_is_started_again_enters_what_is_now_and_finds_nothing_of_before(store):
    def come(host):
        with ThreadPoolExecutor(1) as entering:
            entered = entering.submit(enter, store, 1)
            while not entered.done():
                host.welcome()
            return entered.result()

    former = Host(store, 2)
    come(former).set("claim/0", "1")
    assert former.store.get("claim/0") == b"1"
    host = Host(store, 2)
    entered = come(host)
    assert not entered.check(["claim/0"])
    host.store.set("setup", "now")
    assert entered.get("setup") == b"now"


def test_another_machine_gets_tasks_pace_and_weights_and_no_shared_disk(tmp_path, store):
    weights = tmp_path / "here" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(bytes(range(256)) * (PIECE_BYTES // 256) + b"the rest")
    folder = make_folder(tmp_path / "eval", weights=str(weights), weights_sha256="of it")
    folder.pace.write_text('{"train": 1}')
    hand_over(store, folder, ["b"])
    there, tasks = take_over(store, tmp_path / "there" / "evaluation")
    assert tasks == ("b",)
    known, copied = folder.assignment(), there.assignment()
    assert Path(copied.weights).is_relative_to(there.path)
    assert Path(copied.weights).read_bytes() == weights.read_bytes()
    assert (copied.tasks, copied.settings) == (known.tasks, known.settings)
    for name in ("challenges.json", "pace.json"):
        assert (there.path / name).read_bytes() == (folder.path / name).read_bytes()
    assert there.pending(["b"]) == ["b"]


def test_a_checkpoint_is_handed_over_with_all_its_files_under_its_own_name(tmp_path, store):
    checkpoint = tmp_path / "run" / "checkpoint_00003"
    for name in ("MANIFEST.json", "lm/config.json", "empty"):
        path = checkpoint / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else name)
    hand_over(store, make_folder(tmp_path / "eval", weights=str(checkpoint)), NAMES)
    there, _ = take_over(store, tmp_path / "there")
    copied = Path(there.assignment().weights)
    assert copied.name == "checkpoint_00003"
    files = {str(path.relative_to(copied)): path.read_text() for path in copied.rglob("*") if path.is_file()}
    assert files == {"MANIFEST.json": "MANIFEST.json", "lm/config.json": "lm/config.json", "empty": ""}


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside"])
def test_nothing_that_is_handed_over_is_written_outside_of_the_folder(tmp_path, store, name):
    hand_over(store, make_folder(tmp_path / "eval"), NAMES)
    setup = json.loads(store.get("setup"))
    setup["pieces"] = {name: 1}
    store.set(f"file/{name}/0", b"x")
    store.set("setup", json.dumps(setup))
    with pytest.raises(RunError, match="outside of the folder"):
        take_over(store, tmp_path / "deep" / "evaluation")
