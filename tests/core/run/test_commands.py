"""Commands: what is sent arrives checked, and what is hostile is rejected with a reason."""

import json
import os
import time
from pathlib import Path

import pytest

from arc_core.base.errors import ConfigError, RunError
from arc_core.run import commands as commands_module
from arc_core.run.commands import COMMANDS, CommandInbox, send


def _put(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def _body(**changes: object) -> dict[str, object]:
    return {"id": "x", "command": "pause", "args": {}, "time": time.time()} | changes


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """The commands folder of a run that has two rates."""
    config = {
        "agent_lr": 1e-4,
        "ema_lr": 0,
        "amp_lr": True,
        "lr": 0.5,
        "x/lr": 0.5,
        "seed": 42,
        "name": "a_lr",
        "name_lr": "x",
    }
    (tmp_path / "run.json").write_text(json.dumps({"config": config}))
    folder = tmp_path / "commands"
    folder.mkdir()
    return folder


@pytest.fixture
def inbox(tmp_path: Path) -> CommandInbox:
    return CommandInbox(tmp_path, started_at=0.0)


def test_commands_arrive_in_order_and_are_removed(tmp_path: Path, inbox: CommandInbox):
    ids = [send(tmp_path, name) for name in COMMANDS if name != "set"]
    ids.append(send(tmp_path, "set", {"agent-lr": 0.5, "checkpoint_every": 7}))
    taken = inbox.poll()
    assert [command.id for command in taken] == ids
    assert [command.command for command in taken] == list(COMMANDS)
    assert taken[-1].args == {"agent_lr": 0.5, "checkpoint_every": 7}
    assert all(command.reason is None for command in taken)
    assert (list(tmp_path.iterdir()), inbox.poll()) == ([], [])


def test_sent_file_is_private_and_named_by_its_id(tmp_path: Path):
    identity = send(tmp_path, "pause")
    (path,) = tmp_path.iterdir()
    assert path.name == f"{identity}.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_idle_poll_costs_one_stat(tmp_path: Path, inbox: CommandInbox, monkeypatch: pytest.MonkeyPatch):
    os.utime(tmp_path, (1, 1))
    assert inbox.poll() == []
    monkeypatch.setattr(commands_module.os, "listdir", lambda path: pytest.fail("listed an unchanged folder"))
    assert inbox.poll() == []


def test_command_within_the_same_clock_tick_is_not_missed(tmp_path: Path, inbox: CommandInbox):
    assert inbox.poll() == []
    stamp = tmp_path.stat().st_mtime_ns
    send(tmp_path, "stop")
    os.utime(tmp_path, ns=(stamp, stamp))
    assert [command.command for command in inbox.poll()] == ["stop"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", b"{", "not JSON"),
        ("x.json", b"\xff", "not JSON"),
        ("x.json", b"[" * 10_000, "not JSON"),
        ("x.json", b"[]", "not an object"),
        ("x.json", b" " * 20_000, "larger than"),
        ("x.json", _body(extra=1), "not an object of id, command, args and time"),
        ("y.json", _body(), "not the file's name"),
        ("x y\x1b.json", _body(), "The id is not made of"),
        ("x.json", _body(time="now"), "wrong type"),
        ("x.json", _body(time=float("inf")), "wrong type"),
        ("x.json", _body(args=[]), "wrong type"),
        ("x.json", _body(time=50), "older than the training process"),
        ("x.json", _body(command="pausee"), "There is no command pausee; did you mean pause"),
        ("x.json", _body(args={"now": 1}), "pause takes no arguments"),
        ("x.json", _body(command="set"), "set needs at least one of agent_lr"),
        ("x.json", _body(command="set", args={"agent_lr": "0.1"}), 'agent_lr is "0.1", but must be a number'),
        ("x.json", _body(command="set", args={"agent_lr": 5}), "from 0 to 1"),
        (
            "x.json",
            _body(command="set", args={"seed": 5}),
            "There is no setting that can change during a run: seed",
        ),
    ],
)
def test_hostile_command_is_rejected_with_the_reason(tmp_path: Path, name: str, content: object, reason: str):
    path = _put(tmp_path, name, content)
    (command,) = CommandInbox(tmp_path, started_at=100.0).poll()
    assert command.reason is not None
    assert reason in command.reason
    assert (command.reason + command.id).isprintable()
    assert not path.exists()


def test_links_pipes_and_folders_are_rejected_untouched(tmp_path: Path):
    folder = tmp_path / "commands"
    folder.mkdir()
    target = _put(tmp_path, "x.json", _body())
    (folder / "x.json").symlink_to(target)
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    inbox = CommandInbox(folder, 0.0)
    assert all("no regular file" in str(command.reason) for command in inbox.poll())
    assert inbox.poll() == []
    assert target.exists()
    assert [path.name for path in folder.iterdir()] == ["folder.json"]


def test_command_that_cannot_be_removed_is_not_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    send(tmp_path, "stop")
    inbox = CommandInbox(tmp_path, 0.0)
    monkeypatch.setattr(commands_module.Path, "unlink", refuse)
    assert [command.reason for command in inbox.poll()] == [
        "The command file cannot be removed: Permission denied."
    ]
    assert inbox.poll() == []


def test_temporary_and_foreign_files_are_left_alone(tmp_path: Path, inbox: CommandInbox):
    for name in (".tmp-x.json", "notes.txt"):
        _put(tmp_path, name, b"")
    assert inbox.poll() == []
    assert len(list(tmp_path.iterdir())) == 2


def test_flood_is_taken_in_portions(tmp_path: Path, inbox: CommandInbox):
    for number in range(300):
        _put(tmp_path, f"{number:04d}.json", b"{")
    assert [len(inbox.poll()) for _ in range(3)] == [256, 44, 0]


def test_missing_folder_holds_no_commands(tmp_path: Path):
    assert CommandInbox(tmp_path / "none", 0.0).poll() == []
    with pytest.raises(RunError, match="Cannot send"):
        send(tmp_path / "none", "pause")


def test_every_number_of_the_stored_configuration_whose_name_ends_in_lr_can_be_set_as_a_rate(
    tmp_path: Path, inbox: CommandInbox
):
    send(tmp_path, "set", {"ema-lr": 1, "agent_lr": 0.5, "lr": 0.25, "checkpoint_minutes": "none"})
    assert [command.args for command in inbox.poll()] == [
        {"ema_lr": 1.0, "agent_lr": 0.5, "lr": 0.25, "checkpoint_minutes": None}
    ]
    for name, value in (("ema_lr", 1.5), ("ema_lr", "x"), ("agent_lr", True)):
        with pytest.raises(ConfigError, match=f"{name} is .*, but must be a number from 0 to 1"):
            send(tmp_path, "set", {name: value})
    for name in ("amp_lr", "name_lr", "qwen_lr", "x/lr"):
        with pytest.raises(ConfigError, match=f"no setting that can change during a run: {name}"):
            send(tmp_path, "set", {name: 0.5})


def test_a_setting_is_refused_where_nobody_knows_what_the_run_has(tmp_path: Path, inbox: CommandInbox):
    send(tmp_path, "set", {"agent_lr": 0.5})
    (tmp_path.parent / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json"):
        send(tmp_path, "set", {"agent_lr": 0.5})
    (command,) = inbox.poll()
    assert "run.json" in str(command.reason)
    send(tmp_path, "stop")
    assert [command.reason for command in inbox.poll()] == [None]


def test_wrong_command_is_not_sent(tmp_path: Path):
    with pytest.raises(ConfigError, match="checkpoint_every is 0"):
        send(tmp_path, "set", {"checkpoint_every": 0})
    assert list(tmp_path.iterdir()) == []
