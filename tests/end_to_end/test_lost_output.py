"""Standard output that cannot be written: a full disk, a closed descriptor, a reader that went away."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, SMALL, end_engine, environment
from eval_files import make_eval
from inspect_files import tensor_file
from numpy import float32, ones
from raw_events import read_lines
from recordings import make_run

from arc_core.run.directory import RunDirectory

FULL = "Standard output cannot be written: No space left on device"
CLOSED = "Standard output is closed"

COMMANDS = [
    "--help",
    "--version",
    "config",
    "runs",
    "status mine --json",
    "logs mine",
    "logs mine --engine",
    "note mine seen",
    "export mine --csv numbers.csv",
    "report mine --output report.html",
    "themes",
    "settings",
    "inspect checkpoint one.safetensors",
    "inspect checkpoint one.safetensors --verify",
    "inspect dataset tasks",
    "inspect task 0ca9ddb6 --dataset tasks",
    "inspect results first --json --evals-dir evals",
]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything that the commands show."""
    path = tmp_path_factory.mktemp("lost")
    run = make_run(path / "runs", name="mine")
    run.engine_log.write_text("what a library says\n" * 20_000)
    tensor_file(path / "one.safetensors", {"weight": ones((2, 3), float32)})
    make_eval(path / "evals")
    return path


def shell(folder: Path, line: str, **more: str) -> Ended:
    """Run a line in which `arc-tui` is the command, as a user would."""
    done = subprocess.run(
        ["bash", "-c", f'arc-tui() {{ "{ARC_TUI}" "$@"; }}; {line}'],
        cwd=folder,
        env=environment(folder) | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_its_output_cannot_be_written(folder: Path, command: str):
    written = shell(folder, f"arc-tui {command}")
    assert (written.code, written.err) == (0, "")
    assert written.out
    for redirected, why in ((">/dev/full", FULL), (">&-", CLOSED)):
        assert shell(folder, f"arc-tui {command} {redirected}") == Ended(1, "", f"Error: {why}.\n")
    gone = shell(folder, f"arc-tui {command} | true; exit ${{PIPESTATUS[0]}}")
    assert gone == Ended(141, "", "")


@pytest.mark.slow
def test_an_error_keeps_its_exit_code_where_nobody_can_be_told(folder: Path):
    for redirected in ("2>&-", "2>/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"):
        assert shell(folder, f"arc-tui status nowhere {redirected}") == Ended(2, "", "")
        code = 0 if redirected.startswith("2>") else 1
        assert shell(folder, f"arc-tui runs --json {redirected}").code == code
    assert shell(folder, "arc-tui runs <&-").code == 0


@pytest.mark.slow
def test_no_file_is_opened_in_place_of_a_closed_stream(tmp_path: Path):
    """Else what is printed would end up in it."""
    run = make_run(tmp_path / "runs", name="mine")
    before = run.read()
    assert shell(tmp_path, "arc-tui note mine seen >&- 2>&- <&-").code == 1
    after = run.read()
    assert after.pop("notes")[0]["text"] == "seen"
    assert after == before


@pytest.mark.slow
def test_following_a_log_ends_with_its_reader(folder: Path):
    done = shell(folder, "arc-tui logs mine --engine --follow | head -1; exit ${PIPESTATUS[0]}")
    assert done == Ended(141, "what a library says\n", "")


def train(folder: Path, redirected: str, *options: str) -> Ended:
    words = " ".join([*SMALL, "--max_batches", "20", "--name", "mine", *options])
    try:
        return shell(folder, f"arc-tui train {words} {redirected}")
    finally:
        end_engine(RunDirectory(folder / "runs" / "mine"))


@pytest.mark.slow
@pytest.mark.parametrize(("redirected", "why"), [(">/dev/full", FULL), (">&-", CLOSED)])
@pytest.mark.parametrize("option", [[], ["--detach"]], ids=["headless", "detach"])
def test_no_run_is_made_where_nothing_can_be_told_of_it(
    tmp_path: Path, redirected: str, why: str, option: list[str]
):
    assert train(tmp_path, redirected, *option) == Ended(1, "", f"Error: {why}.\n")
    assert list((tmp_path / "runs").iterdir()) == [], "the name is free"


@pytest.mark.slow
def test_training_goes_on_when_its_reader_leaves_and_says_so(tmp_path: Path):
    done = train(tmp_path, "| head -1; exit ${PIPESTATUS[0]}")
    assert done.code == 0
    assert done.out.startswith("Run mine, preset")
    assert done.err.splitlines() == [
        "Nobody reads standard output any more; run mine goes on.",
        "To watch it: arc-tui attach mine",
        "To stop it: arc-tui stop mine",
    ]
    assert read_lines(tmp_path / "runs/mine/events.jsonl")[-1]["reason"] == "completed"


def small_disk(folder: Path, command: str, free: int) -> Ended:
    """Run a command whose output goes to `disk/log`, on a file system with few bytes left."""
    (folder / "disk").mkdir()
    lines = f"mount -t tmpfs -o size=4k none disk && head -c {4096 - free} /dev/zero > disk/log"
    inner = f'{lines} || exit 99; arc-tui() {{ "{ARC_TUI}" "$@"; }}; {command} >> disk/log; code=$?'
    inner += f"; tail -c {free} disk/log; exit $code"
    done = shell(folder, f"unshare --user --map-root-user --mount bash -c '{inner}'")
    if done.code == 99 or "unshare" in done.err:
        pytest.skip(f"no file system can be mounted here: {done.err}")
    return done


@pytest.mark.slow
@pytest.mark.parametrize("option", ["", "--detach"], ids=["headless", "detach"])
def test_disk_that_fills_in_mid_run_is_told_with_the_state_of_training(tmp_path: Path, option: str):
    run = RunDirectory(tmp_path / "runs" / "mine")
    words = " ".join([*SMALL, "--max_batches", "20", "--name", "mine", option])
    try:
        done = small_disk(tmp_path, f"arc-tui train {words}", 100 if option else 300)
        assert done.code == 1
        assert done.out.startswith("Run mine, preset")
        told = [
            f"{FULL}; run mine goes on.",
            "To watch it: arc-tui attach mine",
            "To stop it: arc-tui stop mine",
        ]
        ended = ["The run has ended: completed.", "To read what could not be written: arc-tui logs mine"]
        assert done.err.splitlines() == told + ([] if option else ended)
        if not option:
            assert read_lines(run.events)[-1]["reason"] == "completed"
    finally:
        end_engine(run)


@pytest.mark.slow
def test_evaluation_that_cannot_tell_how_it_goes_stops_and_can_be_resumed(folder: Path, tmp_path: Path):
    words = (
        f"eval --dataset {folder}/tasks --split training --limit 2 --weights none --set width=8 --name mine"
    )
    words += " --steps-per-task 1 --workers 1"
    done = shell(tmp_path, f"arc-tui {words} >/dev/full")
    again = "The evaluation is stopped; what is done is kept. To go on: arc-tui eval --resume mine"
    assert (done.code, done.err.splitlines()) == (1, [again, f"Error: {FULL}."])
    assert shell(tmp_path, "arc-tui eval --resume mine").code == 0
