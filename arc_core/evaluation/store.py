"""Tasks handed out to several machines by torch's store, and the evaluation's files brought to them.

The first rank owns the evaluation's folder. It puts into the store what the others need, and they put back
what they have answered; they share no disk. Tasks go by their place among those to be done:

  hello/RANK      which process has come as that rank
  welcome/PROCESS what begins the names of all keys below: a process that is started again finds the old ones

  setup           what is asked, the tasks to be done, and in how many pieces each file comes
  file/NAME/N     a piece of a file
  claim/PLACE     the rank that is at a task, or `free`, or `done`
  deaths/PLACE    how many processes have ended over it
  answer/PLACE    its answers, as answers/ID.json has them
  beat/RANK       counts up while the rank lives
  left            how many of the others have no more to do
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from torch.distributed import PrefixStore, Store  # pyright: ignore[reportPrivateImportUsage]

from arc_core.base.errors import RunError
from arc_core.base.files import write_file
from arc_core.base.paths import exists, files_below, is_dir
from arc_core.base.text import printable
from arc_core.evaluation.folder import Assignment, EvalFolder, TaskAnswer
from arc_core.evaluation.supervising import MOST_DEATHS, PATIENCE_SECONDS, POLL_SECONDS, give_up

FREE, DONE = "free", "done"

FIRST = "0"
"""The rank that owns the evaluation's folder."""

BEAT_SECONDS = 1.0
"""How often a rank says that it lives, and looks for what others have done or left behind."""

SILENT_SECONDS = 60.0
"""A rank that says nothing for so long has lost its task to whoever wants it."""

WELCOME_PATIENCE = timedelta(hours=1)
"""How long to wait for the first rank, which loads the weights and measures the pace before anything else."""

PIECE_BYTES = 4 << 20
"""The store takes values of 8 MB at most."""


class Host:
    """Lets the other ranks in; the first one's.

    Args:
        store: That of all ranks.
        world: How many there are.
    """

    def __init__(self, store: Store, world: int) -> None:
        self._all = store
        self._world = world
        self._name = secrets.token_hex(8)
        self._welcomed: set[bytes] = set()
        self.store: Store = PrefixStore(self._name, store)
        """Where nothing is yet."""

    def welcome(self) -> None:
        """Tell those who have come where the store of this evaluation is."""
        for rank in range(1, self._world):
            if self._all.check([f"hello/{rank}"]):
                process = self._all.get(f"hello/{rank}")
                if process not in self._welcomed:
                    self._welcomed.add(process)
                    self._all.set(f"welcome/{process.decode()}", self._name)

    def let_leave(self) -> None:
        """Wait a while until the others have seen that all is done: the store may end with this process."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self.store.add("left", 0) < self._world - 1 and time.monotonic() < until:
            self.welcome()
            time.sleep(POLL_SECONDS)


def enter(store: Store, rank: int) -> Store:
    """Come to the first rank, and wait to be let in; returns the store as it is for this evaluation."""
    me = secrets.token_hex(8)
    store.set(f"hello/{rank}", me)
    store.wait([f"welcome/{me}"], WELCOME_PATIENCE)
    return PrefixStore(store.get(f"welcome/{me}").decode(), store)


class StoreDesk:
    """Hands out tasks to one of several ranks, each of which is at one task at a time.

    Args:
        folder: Where this rank's answers are written; on the first one the evaluation's own.
        store: That of all ranks.
        rank: This one's number.
        tasks: To be done, the same list on all ranks.
        clock: Tells seconds.
    """

    def __init__(
        self,
        folder: EvalFolder,
        store: Store,
        rank: int,
        tasks: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._store = store
        self._me = str(rank)
        self._tasks = tuple(tasks)
        self._place = {task: place for place, task in enumerate(tasks)}
        self._clock = clock
        self._untried = deque(range(len(tasks)))
        self._open = set(range(len(tasks)))
        self._missing = set(range(len(tasks)))
        self._heard: dict[str, tuple[int, float]] = {}
        self._looked = self._beaten = -BEAT_SECONDS

    @property
    def finished(self) -> bool:
        """Whether every task is known to be done, or to have failed for good."""
        return not self._open

    def take(self) -> str | None:
        """See `Desk`: first what nobody has tried, then what others have left behind."""
        while self._untried:
            place = self._untried.popleft()
            if self._swap(place, "", self._me) == self._me:
                return self._tasks[place]
        if self._clock() - self._looked < BEAT_SECONDS:
            return None
        self._looked = self._clock()
        return next((self._tasks[place] for place in sorted(self._open) if self._inherits(place)), None)

    def done(self, task: str) -> None:
        """See `Desk`."""
        place = self._place[task]
        self._store.set(f"answer/{place}", json.dumps(self._folder.answer(task).to_json()))
        self._store.set(f"claim/{place}", DONE)

    def died(self, task: str, how: str) -> None:
        """See `Desk`."""
        if not self._folder.pending([task]):  # answered before it ended
            self.done(task)
        elif self._may_go_on(task, how):
            self._swap(self._place[task], self._me, FREE)

    def tend(self) -> None:
        """Say that this rank lives, once a second; the first one brings in what the others have answered."""
        if self._clock() - self._beaten >= BEAT_SECONDS:
            self._beaten = self._clock()
            self._store.add(f"beat/{self._me}", 1)
            if self._me == FIRST:
                self._collect()

    def _collect(self) -> None:
        for place in sorted(self._missing):
            task, key = self._tasks[place], f"answer/{place}"
            if self._folder.pending([task]):
                if not self._store.check([key]):
                    continue
                self._folder.write_answer(TaskAnswer.from_json(json.loads(self._store.get(key)), key))
            self._missing.remove(place)

    def _inherits(self, place: int) -> bool:
        """Whether this rank takes over a task that was tried: given back, or its rank is silent."""
        holder = self._swap(place, FREE, self._me)
        if holder == DONE:
            self._open.remove(place)
        if holder == DONE or not holder.isdecimal():
            return False
        if holder == self._me:
            return True
        if not self._is_silent(holder) or self._swap(place, holder, self._me) != self._me:
            return False
        return self._may_go_on(self._tasks[place], f"process {holder} is not heard any more")

    def _may_go_on(self, task: str, how: str) -> bool:
        """Count a death over a task; whether it may be tried again."""
        deaths = self._store.add(f"deaths/{self._place[task]}", 1)
        if deaths < MOST_DEATHS:
            return True
        give_up(self._folder, task, deaths, how)
        self.done(task)
        return False

    def _is_silent(self, rank: str) -> bool:
        beats, now = self._store.add(f"beat/{rank}", 0), self._clock()
        known = self._heard.get(rank)
        if known is None or known[0] != beats:
            self._heard[rank] = (beats, now)
            return False
        return now - known[1] >= SILENT_SECONDS

    def _swap(self, place: int, expected: str, wanted: str) -> str:
        """Change a task's claim if it is as expected; returns what it is then."""
        return self._store.compare_set(f"claim/{place}", expected, wanted).decode()


def hand_over(store: Store, folder: EvalFolder, tasks: Sequence[str]) -> None:
    """Put into the store what the other ranks need to do the tasks that are to be done."""
    assignment = folder.assignment()
    pieces: dict[str, int] = {}
    for name, path in _files(folder, assignment):
        pieces[name] = 0
        with path.open("rb") as file:
            for number, piece in enumerate(iter(lambda file=file: file.read(PIECE_BYTES), b"")):
                store.set(f"file/{name}/{number}", piece)  # pyright: ignore[reportArgumentType]
                pieces[name] += 1
    setup = {"assignment": assignment.to_json(), "tasks": list(tasks), "pieces": pieces}
    store.set("setup", json.dumps(setup))


def _files(folder: EvalFolder, assignment: Assignment) -> Iterator[tuple[str, Path]]:
    """What solving processes read, by its place in the folder that another rank makes."""
    yield folder.challenges.name, folder.challenges
    if exists(folder.pace):
        yield folder.pace.name, folder.pace
    if assignment.weights is not None:
        weights = Path(assignment.weights)
        for path in files_below(weights) if is_dir(weights) else [weights]:
            yield f"weights/{path.relative_to(weights.parent).as_posix()}", path


def take_over(store: Store, path: Path) -> tuple[EvalFolder, tuple[str, ...]]:
    """Make a folder of what the first rank hands over.

    Args:
        store: That of all ranks.
        path: The folder to make.

    Returns:
        The evaluation as this rank has it, and the tasks to be done.

    Raises:
        RunError: If a file would lie outside of the folder.
    """
    setup = cast("dict[str, Any]", json.loads(store.get("setup")))
    assignment = Assignment.from_json(setup["assignment"])
    if assignment.weights is not None:
        own = path / "weights" / Path(assignment.weights).name
        assignment = replace(assignment, weights=str(own))
    folder = EvalFolder(path)
    folder.make(assignment)
    for name, count in setup["pieces"].items():
        target = path / name
        if name.startswith("/") or ".." in name.split("/"):
            raise RunError(
                f"The first process hands over {printable(name, 100)}, a file outside of the folder."
            )
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(target, (store.get(f"file/{name}/{number}") for number in range(count)))
    return folder, tuple(setup["tasks"])
