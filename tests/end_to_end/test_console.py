"""The console in a real pseudo-terminal over the real training process."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PATIENCE_SECONDS, end_engine
from hostile import hostile_run, hostile_texts, obeyed
from raw_events import Line, LogReader, read_lines
from recordings import make_run
from terminal import Terminal, terminal

from arc_core.run.checkpoint_index import list_checkpoints, problems_of
from arc_core.run.directory import RunDirectory, is_alive, lock_holder
from arc_tui.ui.osc import file_uri

pytestmark = pytest.mark.slow

OPTIONS = [
    *("train", "--name", "mine", "--device", "cpu", "--epochs", "100", "--dataset", "arcagi1"),
    *("--agent-lr", "1e-5", "--max-batches", "50", "--set", "hidden_dim=64", "--set", "small_cells=60"),
    *("--set", "validation_inputs=6", "--set", "sample_every=4", "--batch-size", "8"),
    *("--set", "schedule=constant", "--set", "warmup_steps=0"),
]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """The run that the test's terminals train and watch."""
    one = RunDirectory(tmp_path / "runs" / "mine")
    yield one
    end_engine(one)


def of(run: RunDirectory, kind: str) -> list[Line]:
    return [event for event in read_lines(run.events) if event["type"] == kind]


class News:
    """What a run tells from now on, event by event."""

    def __init__(self, run: RunDirectory) -> None:
        self._reader = LogReader(run.events, from_end=True)
        self._unseen: list[Line] = []

    def until(self, kind: str, **fields: object) -> Line:
        """Return the next event of a type with these fields; those before it are taken."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._unseen += self._reader.poll()
            while self._unseen:
                event = self._unseen.pop(0)
                if event["type"] == kind and all(event.get(name) == value for name, value in fields.items()):
                    return event
            time.sleep(0.01)
        raise AssertionError(f"no {kind} with {fields}")


def shown_step(shown: str) -> int:
    """The step that the header tells."""
    found = re.search(r"([\d,]+)/[\d,]+", shown)
    assert found is not None, shown
    return int(found[1].replace(",", ""))


def start(folder: Path) -> Terminal:
    """Start training in a terminal and wait until the console shows a step."""
    opened = Terminal(folder, *OPTIONS)
    opened.until("RUNNING|running")
    opened.until(r"combined +\d")
    return opened


def end_console_by(opened: Terminal, number: int) -> int:
    opened.kill(number)
    return opened.ended()


def test_run_is_started_paused_saved_edited_left_watched_by_two_and_stopped(
    tmp_path: Path, run: RunDirectory
):
    first = start(tmp_path)
    try:
        trainer = lock_holder(run)

        news = News(run)
        first.press("p")
        first.until(r"(?i)pausing|paused")
        paused = news.until("paused")
        first.until(r"(?i)paused")

        first.press("c")
        first.until(r"(?i)verified")
        assert problems_of(list_checkpoints(run.checkpoints)[-1]) == []

        first.press("v")
        news.until("validation", step=paused["step"])

        first.press("e")
        first.until("Edit while training")
        first.press("\x15")  # Ctrl+U empties the field
        first.until(r"agent_lr +now 1e-05")
        first.press("0.0005")
        first.until(r"agent_lr +0\.0005 ")
        first.press("\r")
        applied = news.until("command_applied", command="set")
        assert applied["new"] == {"agent_lr": 5e-4}
        first.until(r"agent_lr")
        assert of(run, "step")[-1]["step"] == paused["step"], "no step is taken during a pause"

        first.press("p")
        after = news.until("step")
        assert (after["step"], after["learning_rate"]["agent"]) == (paused["step"] + 1, 5e-4)
        first.until(r"(?i)running")

        first.press("q")
        assert first.ended() == 0
        assert first.is_sane()
        news = News(run)
        news.until("step")
        assert lock_holder(run) == trainer
    finally:
        first.end()

    with terminal(tmp_path, "attach", "mi") as second, terminal(tmp_path, "attach", "--read-only") as third:
        for watcher in (second, third):
            watcher.until(r"(?i)running")
            before = shown_step(watcher.until(r"[\d,]+/[\d,]+"))
            deadline = time.monotonic() + PATIENCE_SECONDS
            while shown_step(watcher.look()) <= before:
                assert time.monotonic() < deadline
        third.press("s")
        third.until("(?i)reading only")
        second.press("s")
        second.until("Stop mine")
        second.press("y")
        for watcher in (second, third):
            watcher.until(r"(?i)stopped")
        assert of(run, "run_finished")[-1]["reason"] == "stopped by a command"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while is_alive(run):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for watcher in (second, third):
            watcher.press("q")
            assert watcher.ended() == 0
    steps = [event["step"] for event in of(run, "step")]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_console_may_die_any_way_and_training_misses_no_step(tmp_path: Path, run: RunDirectory, number: int):
    opened = start(tmp_path)
    try:
        trainer = lock_holder(run)
        opened.kill(number)
        code = opened.ended()
        if number == signal.SIGKILL:
            assert code == -number
        if number == signal.SIGTERM:
            assert opened.is_sane()
    finally:
        opened.end()
    news = News(run)
    news.until("step")
    news.until("step")
    assert lock_holder(run) == trainer
    steps = [event["step"] for event in of(run, "step")]
    assert steps == list(range(1, len(steps) + 1))


def test_closed_terminal_detaches(tmp_path: Path, run: RunDirectory):
    opened = start(tmp_path)
    trainer = lock_holder(run)
    console = opened.process.pid
    os.close(opened.process.child_fd)  # the terminal window is gone; the kernel sends SIGHUP
    opened.process.child_fd = -1
    opened.process.closed = True
    assert os.waitpid(console, 0)[0] == console
    opened.process.terminated = True
    News(run).until("step")
    assert lock_holder(run) == trainer


def test_crash_of_the_training_process_is_told_with_the_way_back(tmp_path: Path, run: RunDirectory):
    opened = start(tmp_path)
    try:
        trainer = lock_holder(run)
        assert trainer is not None
        os.kill(trainer, signal.SIGKILL)
        shown = opened.until("(?s)SIGKILL.*arc-tui train --resume mine")
        assert "has crashed" in shown
        opened.press("\x1b")
        opened.until_gone("has crashed")
        opened.press("q")
        assert opened.ended() == 1
        assert opened.is_sane()
    finally:
        opened.end()


def test_refused_input_is_told_after_the_console_and_leaves_no_run(tmp_path: Path, run: RunDirectory):
    with terminal(tmp_path, "train", "--name", "mine", "--dataset", "nowhere") as opened:
        assert opened.ended() == 2
        assert opened.is_sane()
        assert b"nowhere" in opened.output[opened.output.rfind(b"\x1b[?1049l") :]
    assert not run.path.exists()


def test_console_survives_any_size_of_its_terminal(tmp_path: Path, run: RunDirectory):
    opened = start(tmp_path)
    try:
        for columns, lines in ((80, 24), (200, 60), (20, 5), (1, 1), (120, 40)):
            opened.resize(columns, lines)
            opened.look(0.3)
        opened.until(r"(?i)running")
        opened.press("q")
        assert opened.ended() == 0
    finally:
        opened.end()


CONTROL = re.compile(
    rb"\x1b\[[0-9;]*m"  # colours
    rb"|\x1b\[[0-9;]*H"  # where to write
    rb"|\x1b\[\?[0-9;]*[hl]|\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p"  # modes, and questions about them
    rb"|\x1b\[2[23];0t|\x1b\]0;(?:starting|running|stopped|finished)[^\x00-\x1f\x7f]*\x07"  # the title
    rb"|\x1b\]22;[a-z-]*\x07"  # the form of the pointer
    rb"|\x1b\]8;(?:id=[0-9]+;file://[A-Za-z0-9_.~%/-]+|;)\x1b\\"  # a link to a path, and its end
    rb"|\r|\n"
)
"""Everything that the console itself sends beside text."""


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_nothing_of_a_hostile_run_reaches_the_terminal_but_text(tmp_path: Path, size: tuple[int, int]):
    hostile_run(tmp_path / "runs", hostile_texts(), "mine")
    hostile_run(tmp_path / "runs", hostile_texts()[250:], "other")
    with terminal(tmp_path, "attach", "mine", size=size) as opened:
        opened.until("STOPPED")
        for key in (*"12345678", "+", "+", *"[]gyw"):
            opened.press(key)
            opened.settle()
        for key, sign in (("?", "─  Keys  ─"), ("r", "Runs in"), ("k", "Checkpoints of")):
            opened.press(key)
            opened.until(sign)
            opened.settle()
            opened.press("\x1b")
            opened.until_gone(sign)
        opened.press("q")
        assert opened.ended() == 0
        output = opened.output
    assert output.count(b"\x1b[?1049l") == 1, "only the console itself leaves its screen"
    assert b"\\x1b]52;c;" in output, "the texts were shown, spelled out"
    addresses = set(re.findall(r"\x1b\]8;[^;]*;([^\x1b]+)", output.decode("utf-8")))
    assert {to for to in addresses if not to.startswith(file_uri(tmp_path / "runs"))} == set()
    assert file_uri(tmp_path / "runs") in addresses
    rest = CONTROL.sub(b"", output).decode("utf-8")
    at = [rest[max(m.start() - 10, 0) : m.end() + 25] for m in re.finditer("[\x1b\x07]", rest)]
    assert at == [], at[:5]
    assert obeyed(rest) == set()


def test_no_color_sends_no_colour(tmp_path: Path):
    make_run(tmp_path / "runs", name="mine")
    sent: dict[str, set[bytes]] = {}
    for no_color in ("", "1"):
        with terminal(tmp_path, "attach", "mine", no_color=no_color) as opened:
            opened.until("FINISHED")
            opened.settle()
            opened.press("q")
            assert opened.ended() == 0
            codes = re.findall(rb"\x1b\[([0-9;]*)m", opened.output)
            sent[no_color] = {
                code for code in codes if re.search(rb"(^|;)([349][0-7]|10[0-7]|[34]8)(;|$)", code)
            }
    assert sent["1"] == set()
    assert sent[""], "which the same look finds where there is colour"
