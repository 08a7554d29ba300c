"""Files and names are never trusted: refused by name, nothing outside touched, no control byte shown."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_events import read_lines
from safe_output import refused, say
from small_run import content_of, measured, new_run, opened, small_config, told, train

from arc_core.base.errors import RunError
from arc_core.base.text import is_printable
from arc_core.run.directory import create_run
from arc_core.run.provenance import describe_run

PIECES = (
    *(
        "\x1b[2J",
        "\x1b]52;c;cm0gLXJmIC8=\x07",
        "\x1b]0;title\x07",
        "\x1bP0;1|17/ab\x1b\\",
        "\x9b31m",
        "\x9d52;c;eA==\x9c",
    ),
    *(
        "\u202e",
        "\u2066",
        "\u200f",
        "\u2028",
        "\ufeff",
        "\x00",
        "\x07",
        "\x08",
        "\x7f",
        "\r",
        "\n",
        "\t",
        "\x85",
    ),
    *(
        "\ud800",
        "\udfff",
        "\U000e0041",
        "[bold red]",
        "[/]",
        "[link=file:///etc]x[/link]",
        "[@click=app.quit]",
        "%s%n",
    ),
    *(
        "../",
        "..\\",
        "/etc/passwd",
        "~",
        "$(reboot)",
        "`id`",
        ";",
        "|",
        "-rf",
        "--help",
        "'",
        '"',
        "\\",
        "{0}",
        "{",
        "latest",
    ),
    *(
        ".",
        "..",
        " ",
        "",
        "CON",
        "a",
        "é",
        "日本",
        "👩‍🚀",
        "x" * 10_000,
        "%",
        "*",
        "?",
        "&",
        "<b>",
        "NaN",
        "null",
        "0",
    ),
)
HOSTILE_STRINGS = 500


def hostile_strings() -> list[str]:
    """500 different strings: each piece by itself, then random mixtures."""
    chance = random.Random(8)
    found = dict.fromkeys(PIECES)
    while len(found) < HOSTILE_STRINGS:
        found["".join(chance.choices(PIECES, k=chance.randint(2, 4)))] = None
    return list(found)


STRINGS = hostile_strings()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the runs that must be the same afterwards."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o700)
    (folder / "kept.json").write_text("{}")
    (folder / "commands").mkdir()
    (folder / "checkpoints").mkdir()
    before = content_of(folder), sorted(folder.rglob("*"))
    yield folder
    assert (content_of(folder), sorted(folder.rglob("*"))) == before


# Commands


def malformed_commands() -> dict[bytes, bytes]:
    """200 command files that no console would write: by file name, content."""
    chance = random.Random(9)

    def good(identity: str, **changes: Any) -> bytes:
        fields = {"id": identity, "command": "pause", "args": {}, "time": 1e12}
        return json.dumps(fields | changes).encode()

    found: dict[bytes, bytes] = {}

    def add(content: Callable[[str], bytes], name: bytes | None = None) -> None:
        identity = f"{len(found):04d}"
        found[name or f"{identity}.json".encode()] = content(identity)

    values = [None, True, -1, 1e308, "x", "\x1b[2J", "\u202e", [], {}, [[]], 10**400, "../../a", "p" * 5000]
    for field in ("id", "command", "args", "time"):
        for value in values:
            if (field, value) not in (("args", {}), ("time", 1e308)):
                add(lambda i, field=field, value=value: good(i, **{field: value}))
    for key in (
        "agent_lr",
        "qwen_lr",
        "checkpoint_every",
        "checkpoint_minutes",
        "epochs",
        "lm",
        "\x1b]52;c;x\x07",
    ):
        for value in ("x", None, -1, 1e9, [], {"a": 1}, 10**30, True):
            if (key, value) != ("checkpoint_minutes", None):
                add(lambda i, key=key, value=value: good(i, command="set", args={key: value}))
    for raw in (
        *(
            b"",
            b"{",
            b"null",
            b"[]",
            b"7",
            b'"x"',
            b"\xff\xfe",
            b"\x00" * 100,
            b"{}" * 2,
            b"[" * 9000,
            b'{"a":' * 3000,
        ),
        *(
            b"NaN",
            b'{"id": NaN}',
            b"x" * 16_385,
            b" " * 16_384,
            b"\xef\xbb\xbf{}",
            b"\x80\x04K\x01.",
            b"PK\x03\x04",
        ),
    ):
        add(lambda i, raw=raw: raw)
    for name in (
        *(
            b"a b.json",
            b"\x1b[2J.json",
            b"\xff\xfe.json",
            "\u202eabc.json".encode(),
            b"..json",
            b"x" * 200 + b".json",
        ),
        *(
            b"\n.json",
            b"$(id).json",
            b"-rf.json",
            b"a.json.json",
            "\x9b1m.json".encode(),
            b"%s.json",
            b"'.json",
            b"*.json",
        ),
    ):
        add(lambda i: good("anything"), name)
    for _ in range(200 - len(found)):
        add(lambda i: chance.randbytes(chance.randint(1, 200)))
    assert len(found) == 200
    return found


def test_two_hundred_malformed_commands_are_each_rejected_and_training_goes_on(
    tmp_path: Path, outside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = new_run(tmp_path, "plain")
    train(plain)
    run = new_run(tmp_path, "pestered")
    commands = malformed_commands()

    def pester(trainer: Any) -> None:
        for name, content in commands.items():
            with open(os.path.join(os.fsencode(run.commands), name), "wb") as file:  # noqa: PTH118, PTH123
                file.write(content)
        os.mkfifo(run.commands / "fifo.json")
        (run.commands / "link.json").symlink_to(outside / "kept.json")
        (run.commands / "folder.json").mkdir()

    assert train(run, pester) == "completed"
    rejected = told(run, "command_rejected")
    assert len(rejected) == 203
    assert told(run, "command_applied") == []
    assert all(is_printable(event["id"]) and is_printable(event["reason"]) for event in rejected)
    assert all(event["reason"].endswith((".", "?")) for event in rejected)
    assert len({event["reason"] for event in rejected}) > 20
    assert [path.name for path in run.commands.iterdir()] == ["folder.json"]
    assert measured(read_lines(run.events)) == measured(read_lines(plain.events))
    code, out, _ = say(capfd, "logs", "pestered")
    assert code == 0
    assert out.count("Command rejected") == 203


# Names


def test_hostile_run_names_are_refused_or_stay_inside_the_folder_of_runs(
    tmp_path: Path, outside: Path
) -> None:
    runs = tmp_path / "runs"
    config = describe_run(small_config(tmp_path), [])
    made, refusals = 0, []
    for name in STRINGS:
        try:
            run = create_run(runs, name, config)
        except RunError as error:
            refusals.append(str(error))
            continue
        made += 1
        assert run.path.parent == runs
        assert is_printable(run.name)
    assert [refusal for refusal in refusals if not is_printable(refusal)] == []
    assert made == len(list(runs.iterdir()))
    assert 5 < made < len(STRINGS) / 2
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "outside", "tasks"}


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("logs",), ("pause",), ("stop",), ("delete", "--yes"), ("train", "--headless", "--resume")],
    ids=" ".join,
)
def test_a_hostile_run_reference_is_refused_in_one_sentence(
    tmp_path: Path, outside: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    run = new_run(tmp_path, "mine")
    before = content_of(run.path)
    chosen = [name for name in STRINGS if not name.startswith("-") and name not in ("latest", "", "m")][::12]
    for name in [*chosen, "../outside", "..", "../runs/../outside", str(outside), "mine/../../outside"]:
        said = refused(capfd, *arguments, name)
        assert len(said) < 600, "what is refused is shown shortened"
    assert content_of(run.path) == before


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_hostile_notes_are_kept_as_they_are_and_shown_harmlessly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a thousand of them would take most of the time
    run = new_run(tmp_path, "mine")
    kept: list[str] = []
    for text in [*PIECES, *STRINGS[::stride]]:
        arguments = ("note", "mine", "--", text)
        if not text.strip() or len(text) > 10_000:
            assert "A note has 1 to 10000 characters" in refused(capfd, *arguments)
            continue
        assert say(capfd, *arguments)[0] == 0
        kept.append(text)
    assert [note["text"] for note in run.read()["notes"]] == kept
    for options in ((), ("--json",)):
        code, out, _ = say(capfd, "status", "mine", *options)
        assert code == 0
        assert "[bold red]" in out, "markup is text"
    assert [note["text"] for note in json.loads(say(capfd, "status", "mine", "--json")[1])["notes"]] == kept


def hostile_dataset(path: Path, *, bad: bool = False) -> Path:
    """A Kaggle file whose task ids are the hostile strings; with bad cells if asked to."""
    grid = [[0, 1, 2], [3, 4, 77 if bad else 5]]
    pairs = [{"input": grid, "output": grid}, {"input": [[1, 2]], "output": [[2, 1]]}]
    path.write_text(json.dumps({name: {"train": pairs, "test": pairs[1:]} for name in STRINGS}))
    return path


def test_hostile_task_ids_are_trained_on_remembered_and_shown_harmlessly(
    tmp_path: Path, outside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = hostile_dataset(tmp_path / "tasks.json")
    run = new_run(
        tmp_path,
        "mine",
        **{"dataset": str(dataset), "batch_size": 8, "max_batches": 30, "sample_every": 1, "epochs": 2},
        **{"memory_capacity": 1024, "validate_on": "training", "max_context": 2, "checkpoint_every": 20},
    )
    with opened(run) as trainer:
        trainer.system.memory_threshold.ema = 0.0
        assert trainer.train() == "completed"
        remembered = {task for task, _ in trainer.system.memory.keys}
    assert len(remembered) > 100
    assert remembered <= set(STRINGS)
    assert {event["task"] for event in told(run, "sample")} <= set(STRINGS)
    assert is_printable(run.events.read_text().replace("\n", "")), "the log itself holds no control byte"
    with opened(run) as trainer:
        assert {task for task, _ in trainer.system.memory.keys} == remembered
    for arguments in (("logs", "mine"), ("status", "mine"), ("status", "mine", "--json"), ("runs",)):
        assert say(capfd, *arguments)[0] == 0


def test_bad_tasks_with_hostile_ids_are_told_harmlessly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile_dataset(tmp_path / "bad.json", bad=True)
    content = json.loads((tmp_path / "bad.json").read_text())
    content["good"] = {"train": [{"input": [[1]], "output": [[2]]}] * 2, "test": [{"input": [[1]]}]}
    (tmp_path / "bad.json").write_text(json.dumps(content))
    run = new_run(tmp_path, "mine", dataset=str(tmp_path / "bad.json"), skip_bad_tasks=True)
    train(run)
    (warning,) = told(run, "warning")
    assert warning["message"].startswith("500 bad tasks are left out")
    assert is_printable(warning["message"])
    code, out, _ = say(capfd, "logs", "mine")
    assert code == 0
    assert "500 bad tasks are left out" in out
