"""Files that somebody else made: refused by name, never followed, waited for or unpickled."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import train as resume_by_command
from safe_output import Capture, refused, say
from safetensors.torch import load_file, save
from small_run import content_of, new_run, opened, told, train
from torch import zeros

from arc_core.base.errors import CheckpointError, LanguageModelError
from arc_core.base.text import is_printable
from arc_core.pipeline.language_model import LanguageModel
from arc_core.run.checkpoint_index import (
    MANIFEST,
    FileEntry,
    digest,
    list_checkpoints,
    manifest_text,
    newest_intact,
    problems_of,
)
from arc_core.run.directory import RunDirectory
from arc_tui.runs import engine as runner

COMMANDS = [
    *("status", "status --json", "logs", "logs --engine", "pause", "stop", "resume", "note mine x"),
    *("export --csv numbers.csv", "delete --yes", "train --headless --resume"),
    "train --headless --branch new --resume",
]
"""Every command that takes a run."""

FILES = ("run.json", "events.jsonl", "engine.log", "lock")


class StartedError(Exception):
    """A training process was about to be started."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folder; nothing of these tests may get so far as to start a training process."""

    def started(*_: object, **__: object) -> None:
        raise StartedError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(runner, "subprocess", SimpleNamespace(Popen=started, DEVNULL=subprocess.DEVNULL))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with two checkpoints; not to be changed."""
    made = new_run(tmp_path_factory.mktemp("pristine"), "mine", checkpoint_every=3)
    train(made)
    made.engine_log.touch()
    assert len(list_checkpoints(made.checkpoints)) == 2
    return made


@pytest.fixture
def run(pristine: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of it, to be spoiled."""
    copied = RunDirectory(tmp_path / "runs" / "mine")
    shutil.copytree(pristine.path, copied.path)
    return copied


@pytest.fixture
def outside(pristine: RunDirectory, tmp_path: Path) -> Iterator[Path]:
    """Another copy outside the folder of runs, which must be the same afterwards."""
    folder = tmp_path / "elsewhere" / "theirs"
    shutil.copytree(pristine.path, folder)
    before = content_of(folder), sorted(folder.rglob("*"))
    yield folder
    assert (content_of(folder), sorted(folder.rglob("*"))) == before


def words_of(command: str) -> list[str]:
    return command.split() if "mine" in command else [*command.split(), "mine"]


# Places of a run


@pytest.mark.parametrize("name", ["commands", "checkpoints"])
def test_a_folder_of_a_run_that_is_a_link_is_refused_by_every_command(
    run: RunDirectory, outside: Path, capfd: Capture, name: str
) -> None:
    (run.path / name).rename(run.path / "moved")
    (run.path / name).symlink_to(outside / name)
    for command in COMMANDS:
        assert f"mine/{name} is a symbolic link" in refused(capfd, *words_of(command))


def test_a_run_that_is_a_link_or_open_to_everyone_is_refused_by_every_command(
    run: RunDirectory, outside: Path, tmp_path: Path, capfd: Capture
) -> None:
    run.path.chmod(0o777)
    for command in COMMANDS:
        assert "is writable by everyone" in refused(capfd, *words_of(command))
    run.path.chmod(0o700)
    run.path.rename(tmp_path / "moved")
    run.path.symlink_to(outside)
    for command in COMMANDS:
        assert "is a symbolic link" in refused(capfd, *words_of(command))


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def pipe(path: Path, target: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, target: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("replace", [link, pipe, folder])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_run_that_is_none_is_refused_by_name_and_never_waited_for(
    run: RunDirectory, outside: Path, capfd: Capture, replace: Callable[[Path, Path], None], name: str
) -> None:
    (run.path / name).unlink()
    replace(run.path / name, outside / name)
    for command in COMMANDS:
        assert f"mine/{name} is " in refused(capfd, *words_of(command))
    assert [path.name for path in run.path.parent.iterdir()] == ["mine"]
    assert list_checkpoints(run.checkpoints)


@pytest.mark.parametrize("name", ["commands", "checkpoints"])
@pytest.mark.parametrize("replace", [pipe, lambda path, target: path.touch()], ids=["pipe", "file"])
def test_a_folder_of_a_run_that_is_none_is_refused_by_name(
    run: RunDirectory, outside: Path, capfd: Capture, replace: Callable[[Path, Path], None], name: str
) -> None:
    shutil.rmtree(run.path / name)
    replace(run.path / name, outside / name)
    for command in COMMANDS:
        assert f"mine/{name} is no folder" in refused(capfd, *words_of(command))


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "lock"])
def test_the_list_of_runs_says_which_one_cannot_be_read(run: RunDirectory, capfd: Capture, name: str) -> None:
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    code, out, _ = say(capfd, "runs")
    assert code == 0
    assert "mine" in out
    assert "no regular file" in out


# Checkpoints


def seal(checkpoint: Path) -> None:
    """Write the manifest anew, so that it fits what is there."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST]
    entries = [
        FileEntry(path.relative_to(checkpoint).as_posix(), path.stat().st_size, digest(path))
        for path in files
    ]
    (checkpoint / MANIFEST).write_bytes(manifest_text(entries))


def named(*entries: dict[str, object]) -> bytes:
    return (json.dumps({"format": 1, "files": list(entries)}, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "lm/../../x", "/etc/passwd", "a//b", "", "..", "a\\..\\b", "lm/..", "./state.json"],
)
def test_a_manifest_that_names_a_file_elsewhere_is_refused(run: RunDirectory, name: str) -> None:
    older, newer = list_checkpoints(run.checkpoints)
    (newer / MANIFEST).write_bytes(named({"name": name, "bytes": 0, "sha256": "0" * 64}))
    taken, rejected = newest_intact(run.checkpoints)
    assert taken == older
    assert [path for path, _ in rejected] == [newer]


@pytest.mark.parametrize("name", ["state.json", "agent.safetensors", "lm/config.json", MANIFEST])
@pytest.mark.parametrize("replace", [link, pipe, folder])
def test_a_file_of_a_checkpoint_that_is_none_is_rejected_and_the_older_one_taken(
    run: RunDirectory, outside: Path, name: str, replace: Callable[[Path, Path], None]
) -> None:
    older, newer = list_checkpoints(run.checkpoints)
    (newer / name).unlink()
    replace(newer / name, outside / "checkpoints" / newer.name / name)
    with opened(run):
        pass
    assert told(run, "resumed")[-1]["checkpoint"] == 0
    assert told(run, "warning")[-1]["message"].startswith(f"{newer.name} is not used: ")
    assert newest_intact(run.checkpoints)[0] == older


def with_header(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def header_of(**tensors: object) -> bytes:
    return json.dumps(tensors).encode()


def pickled() -> bytes:
    return b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x06touch x\x85R."


def torch_archive(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled())
    return path.read_bytes()


HOSTILE_TENSORS: dict[str, bytes] = {
    "nothing": b"",
    "half a length": b"\x10\x00",
    "a length beyond the file": with_header(b"{}", length=100),
    "an enormous length": with_header(b"{}", length=2**63),
    "a length of all ones": with_header(b"{}", length=2**64 - 1),
    "a header of 120 MB that is not there": with_header(b"{}", length=120 << 20),
    "no JSON": with_header(b"{not json}"),
    "a list": with_header(b"[]"),
    "brackets without end": with_header(b"[" * 100_000),
    "no UTF-8": with_header(b'{"\xff": 1}'),
    "overlapping offsets": with_header(header_of(a=tensor(0, 8, [2]), b=tensor(4, 12, [2])), bytes(12)),
    "offsets beyond the data": with_header(header_of(a=tensor(0, 800, [200])), bytes(8)),
    "offsets that go backwards": with_header(header_of(a=tensor(8, 0, [2])), bytes(8)),
    "negative offsets": with_header(header_of(a=tensor(-8, 0, [2])), bytes(8)),
    "a hole before the data": with_header(header_of(a=tensor(4, 12, [2])), bytes(12)),
    "a shape that overflows": with_header(header_of(a=tensor(0, 8, [2**62, 2**62])), bytes(8)),
    "a shape that does not fit": with_header(header_of(a=tensor(0, 8, [3])), bytes(8)),
    "an unknown type": with_header(header_of(a=tensor(0, 8, [2], "PICKLE")), bytes(8)),
    "data that nothing names": with_header(b"{}", bytes(100)),
    "a pickle": pickled(),
}


@pytest.mark.parametrize("content", HOSTILE_TENSORS.values(), ids=HOSTILE_TENSORS)
def test_a_hostile_tensor_file_is_refused_by_name_in_a_checkpoint_and_in_a_model(
    run: RunDirectory, tmp_path: Path, content: bytes
) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    good = (newer / "agent.safetensors").read_bytes()
    for name, error in (("agent.safetensors", CheckpointError), ("lm/model.safetensors", LanguageModelError)):
        before = (newer / name).read_bytes()
        (newer / name).write_bytes(content)
        seal(newer)
        with pytest.raises(error) as caught, opened(run):
            pass
        assert name.rpartition("/")[2] in str(caught.value) or "lm" in str(caught.value)
        assert len(str(caught.value)) < 600
        (newer / name).write_bytes(before)
    assert (newer / "agent.safetensors").read_bytes() == good
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "aliases", ["[]", "7", "{", '{"forward_planner.encoder.0.weight": "../x"}', '{"x": "x"}']
)
def test_hostile_aliases_are_refused(run: RunDirectory, aliases: str) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    path = newer / "agent.safetensors"
    tensors = load_file(path)
    del tensors["forward_planner.encoder.0.weight"]
    path.write_bytes(save(tensors, {"aliases": aliases}))
    seal(newer)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors"), opened(run):
        pass


@pytest.mark.parametrize("name", ["\x1b[2J", "a\u202eb", "\x9b1m", "../../x"])
def test_hostile_tensor_names_are_shown_harmlessly(run: RunDirectory, name: str, capfd: Capture) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    path = newer / "agent.safetensors"
    path.write_bytes(save(load_file(path) | {name: zeros(1)}))
    seal(newer)
    with pytest.raises(CheckpointError) as caught, opened(run) as trainer:
        trainer.train()
    assert "does not belong to this configuration" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_state_that_is_too_large_or_too_deep_is_refused(run: RunDirectory) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    for content in (b"[" * 200_000, b'{"a":' * 100_000, b'{"format": 1' + b" " * 1000, b"NaN", b"1" * 5000):
        (newer / "state.json").write_bytes(content)
        seal(newer)
        with pytest.raises(CheckpointError, match=r"state\.json"), opened(run):
            pass


def test_json_files_beyond_any_need_are_refused_unread(run: RunDirectory, capfd: Capture) -> None:
    with run.run_json.open("ab") as file:
        file.truncate(5 << 20)
    assert "run.json is larger than 4194304 bytes" in refused(capfd, "status", "mine")
    with (list_checkpoints(run.checkpoints)[-1] / MANIFEST).open("ab") as file:
        file.truncate(300 << 20)
    (problem,) = problems_of(list_checkpoints(run.checkpoints)[-1])
    assert "is larger than 268435456 bytes" in problem


# Pickles


@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "weights.pth", "last.ckpt"])
def test_a_pickle_is_refused_as_model_and_as_run_with_a_sentence_on_how_to_convert(
    run: RunDirectory, tmp_path: Path, capfd: Capture, name: str
) -> None:
    content = torch_archive(tmp_path / name)
    with pytest.raises(LanguageModelError, match=r"which are never read: .* convert it with"):
        LanguageModel.load(str(tmp_path / name))
    model = tmp_path / "model"
    shutil.copytree(list_checkpoints(run.checkpoints)[-1] / "lm", model)
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(content)
    if name != "last.ckpt":
        with pytest.raises(LanguageModelError, match=r"holds only pickled weights, .* convert it with"):
            LanguageModel.load(str(model))
    said = refused(capfd, "train", "--headless", "--resume", name)
    assert "looks like a pickle, which is never read" in said
    assert "convert" in said


@pytest.mark.parametrize("make", [lambda path: pickled(), torch_archive], ids=["pickle", "archive"])
def test_a_pickle_in_place_of_a_checkpoints_file_is_refused_with_a_sentence_on_how_to_convert(
    run: RunDirectory, tmp_path: Path, make: Callable[[Path], bytes]
) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    (newer / "agent.safetensors").write_bytes(make(tmp_path / "a.pt"))
    seal(newer)
    with (
        pytest.raises(CheckpointError, match=r"is a pickle, which is never read: .*safetensors"),
        opened(run),
    ):
        pass
    assert not (tmp_path / "x").exists()


def test_a_pickle_beside_a_checkpoints_files_is_a_foreign_file(run: RunDirectory) -> None:
    older, newer = list_checkpoints(run.checkpoints)
    (newer / "optimizer.pt").write_bytes(pickled())
    assert problems_of(newer) == ["optimizer.pt is not in the manifest"]
    assert newest_intact(run.checkpoints)[0] == older


# The real processes


@pytest.mark.slow
def test_the_training_process_itself_refuses_in_one_sentence_and_its_log_is_harmless(
    run: RunDirectory, tmp_path: Path
) -> None:
    newer = list_checkpoints(run.checkpoints)[-1]
    path = newer / "agent.safetensors"
    path.write_bytes(save(load_file(path) | {"\x1b]52;c;eA==\x07\u202e": zeros(1)}))
    seal(newer)
    done = resume_by_command(tmp_path, "mine", "--headless", "--resume", "mine")
    assert done.code == 2
    assert "Error: checkpoint_00001 cannot be used: " in done.err
    assert "does not belong to this configuration" in done.err
    log = run.engine_log.read_text()
    for line in (done.out + done.err + log).split("\n"):
        assert is_printable(line), ascii(line)
        assert "Traceback" not in line

    run.path.chmod(0o777)
    engine = subprocess.run(
        [sys.executable, "-m", "arc_core", str(run.path)], capture_output=True, text=True, check=False
    )
    assert (engine.returncode, engine.stdout) == (2, "")
    assert engine.stderr.endswith("is writable by everyone: remove that permission to use the run.\n")
    assert engine.stderr.count("\n") == 1
