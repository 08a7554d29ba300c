"""`arc-tui mirror`: what the trackers' own files hold afterwards."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_events import Line, counting
from recordings import console_events, killed_events, make_run

from arc_core.run.directory import RunDirectory, RunLock
from arc_tui import cli

FAKE_SECONDS = 60.0
TRACKERS = ("tensorboard", "trackio", "wandb")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in ("TRACKIO_PROJECT", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def _mirrored(*arguments: str) -> str:
    """Mirror by a process of its own, as trackers keep threads and processes beside them."""
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "arc_tui.cli", "mirror", *arguments]


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _append(run: RunDirectory, lines: list[Line]) -> None:
    with run.events.open("a", encoding="ascii") as log:
        log.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


Found = dict[str, list[tuple[int, Any]]]
"""By its name in a tracker: the steps of a number with its values, or the pictures as PNG."""


def _tensorboard(run: RunDirectory) -> Found:
    """Read event files as TensorBoard does: a session's start purges its step and later ones."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: Found = {}
    for path in sorted((run.path / "tensorboard").iterdir()):
        for record in _records(path.read_bytes()):
            event = Event.FromString(record)
            if event.session_log.status == SessionLog.START:
                found = {name: [v for v in values if v[0] < event.step] for name, values in found.items()}
            for value in event.summary.value:
                shown: Any = value.simple_value
                if value.HasField("image"):
                    shown = value.image.encoded_image_string
                elif value.HasField("tensor"):
                    shown = value.tensor.string_val[0].decode()
                found.setdefault(value.tag.removesuffix("/text_summary"), []).append((event.step, shown))
    return found


def _records(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = struct.unpack_from("<Q", data, at)[0]
        yield data[at + 12 : at + 12 + size]
        at += 16 + size


def _trackio(run: RunDirectory) -> Found:
    found: Found = {}
    folder = Path(os.environ["TRACKIO_DIR"])
    database = sqlite3.connect(folder / "arc-tui.db")
    asked = "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY id"
    for step, metrics in database.execute(asked, (run.name,)):
        for name, value in json.loads(metrics).items():
            shown = value
            if name == "sample":
                shown = (folder / "media" / value["file_path"]).read_bytes()
            elif name == "notes":
                shown = value["_value"]
            found.setdefault(name, []).append((step, shown))
    for (config,) in database.execute("SELECT config FROM configs WHERE run_name = ?", (run.name,)):
        found["config"] = [(0, config.decode() if isinstance(config, bytes) else config)]
    database.close()
    return found


def _wandb(run: RunDirectory) -> Found:
    """Read the transaction log of the one offline run: LevelDB's log form, each record a protobuf."""
    from wandb.proto.wandb_internal_pb2 import Record

    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    data, at, record = log.read_bytes(), 7, b""
    found: Found = {}
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind not in (1, 4):
            continue
        content, record = Record.FromString(record), b""
        if content.HasField("run"):
            config = {item.key: json.loads(item.value_json) for item in content.run.config.update}
            found["config"] = [(0, json.dumps(config))] if config else found.get("config", [])
            found["notes"] = [(0, content.run.notes)]
        for item in content.history.item:
            value = json.loads(item.value_json)
            name = item.key or "/".join(item.nested_key)
            if name == "sample/path":
                name, value = "sample", (folder / "files" / value).read_bytes()
            found.setdefault(name, []).append((content.history.step.num, value))
    return found


READERS: dict[str, Callable[[RunDirectory], Found]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
}


def _losses(lines: list[Line]) -> list[tuple[int, float]]:
    """The losses that count; one that was not finite is no number in any tracker."""
    told = [(line["step"], line["loss"]["efe_total"]) for line in counting(lines) if line["type"] == "step"]
    return [(step, loss) for step, loss in told if loss is not None]


def _assert_holds(found: Found, lines: list[Line]) -> None:
    """Compare with the events that count: numbers once, validations and pictures too."""
    steps, values = zip(*_losses(lines), strict=True)
    assert [step for step, _ in found["loss/efe_total"]] == list(steps)
    assert [value for _, value in found["loss/efe_total"]] == pytest.approx(values, rel=1e-6)
    counted = counting(lines)
    validated = [(one["step"], one["exact"]) for one in counted if one["type"] == "validation"]
    assert found["validation/exact"] == validated
    assert [step for step, _ in found["sample"]] == [
        line["step"] for line in counted if line["type"] == "sample"
    ]
    assert all(png.startswith(b"\x89PNG") for _, png in found["sample"])


@pytest.mark.slow
@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_mirror_holds_numbers_pictures_settings_and_notes_and_no_step_that_was_taken_back(tracker: str):
    run = make_run(Path("runs"))
    run.update(notes=[{"time": 1.0, "text": "half the rate"}])
    assert f"mirrored to {tracker}" in _mirrored("--to", tracker)
    found = READERS[tracker](run)
    _assert_holds(found, console_events())
    assert [text for _, text in found["notes"]] == ["half the rate"]
    assert '"agent_lr"' in found["config"][0][1]


@pytest.mark.slow
@pytest.mark.parametrize("tracker", TRACKERS)
def test_steps_that_a_resume_takes_back_after_they_were_mirrored_are_not_there_twice(tracker: str):
    run, killed = make_run(Path("runs"), killed_events()), killed_events()
    _mirrored("--to", tracker)
    _assert_holds(READERS[tracker](run), killed)
    assert max(_losses(killed))[0] > 30  # where the resume goes back to
    _append(run, console_events()[len(killed) :])
    _mirrored("--to", tracker)
    _assert_holds(READERS[tracker](run), console_events())


@pytest.mark.slow
@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_living_run_is_followed_over_a_kill_of_the_mirror_and_a_resume(tracker: str):
    killed = killed_events()
    run = make_run(Path("runs"), killed[: len(killed) // 2])
    place = run.path / "mirrors" / f"{tracker}.json"

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + FAKE_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def has_place(seq: int) -> bool:
        return place.exists() and json.loads(place.read_text())["seq"] >= seq

    def last_row(lines: list[Line]) -> int:
        return max(one["seq"] for one in lines if one["type"] in ("step", "sample", "validation"))

    with RunLock(run):
        first = subprocess.Popen(_command("--to", tracker))
        until(lambda: has_place(last_row(killed[: len(killed) // 2])))
        _append(run, killed[len(killed) // 2 :])
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = subprocess.Popen(_command("--to", tracker))
        until(lambda: has_place(last_row(killed)))
        _append(run, console_events()[len(killed) :])
        until(lambda: has_place(last_row(console_events())))
    assert second.wait(FAKE_SECONDS) == 0
    _assert_holds(READERS[tracker](run), console_events())


def test_a_mirror_imports_neither_torch_nor_another_tracker():
    make_run(Path("runs"))
    script = (
        "import sys\nfrom arc_tui import cli\n"
        "try:\n    cli.main(['mirror', '--to', 'tensorboard'])\nexcept SystemExit as end:\n"
        "    assert end.code == 0\n"
        "print([name for name in ('torch', 'wandb', 'trackio') if sys.modules.get(name)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_unknown_and_missing_trackers_are_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = make_run(Path("runs"))
    assert _main("mirror", "--to", "comet\x1b") == 2
    assert "tensorboard, trackio, wandb" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert _main("mirror", "--to", "tensorboard,wandb") == 2
    assert "pip install 'arc-tui[wandb]'" in capsys.readouterr().err
    assert _main("train", "--mirror", "wandb", "--headless", "--name", "new") == 2
    assert "pip install 'arc-tui[wandb]'" in capsys.readouterr().err
    assert not (run.path / "mirrors").exists()
    assert not Path("runs/new").exists()


def test_a_tracker_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = make_run(Path("runs"))
    (run.path / "tensorboard").write_text("")
    assert _main("mirror", "--to", "tensorboard") == 2
    assert "cannot write" in (error := capsys.readouterr().err)
    assert str(run.path / "tensorboard") in error
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "runs" / "recorded" / "run.json"))
    done = subprocess.run(_command("--to", "trackio"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run.json: File exists" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_mirror_to_the_same_tracker_is_refused(capsys: pytest.CaptureFixture[str]):
    import fcntl

    run = make_run(Path("runs"))
    (run.path / "mirrors").mkdir()
    with (run.path / "mirrors" / "tensorboard.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert _main("mirror", "--to", "tensorboard") == 2
    assert "Another process mirrors the run recorded to tensorboard already" in capsys.readouterr().err
