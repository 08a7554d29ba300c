"""`arc-tui inspect checkpoint USER/REPO`: headers and tensors by range requests, from a hub on loopback."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from fake_hub import TOKEN, FakeHub, Repo
from fake_hub import hub as hub  # the fixture
from inspect_files import entry, raw_file, tensor_file

from arc_core.base.errors import HubError
from arc_tui import cli
from arc_tui.hub import asking, reading
from arc_tui.hub.names import HubName, hub_name
from arc_tui.inspect.heat_map import read_window
from arc_tui.inspect.tensors.pieces import DataFiles
from arc_tui.inspect.tensors.source import Kind, of_hub, open_checkpoint

NAME = HubName("user/model")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "PAUSES", (0.0, 0.0))


def content(tmp_path: Path, **tensors: np.ndarray) -> bytes:
    return tensor_file(tmp_path / "made.safetensors", tensors).read_bytes()


@pytest.fixture
def large(hub: FakeHub, tmp_path: Path) -> FakeHub:
    """A repository with one file of 6 MB, of which one tensor is small."""
    values = np.arange(1_500_000, dtype=np.float32).reshape(1500, 1000)
    small = np.arange(8, dtype=np.float32)
    hub.repos["user/model"] = Repo({"model.safetensors": content(tmp_path, big=values, small=small)})
    return hub


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", "checkpoint", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    assert TOKEN not in captured.out + captured.err
    assert captured.err.count("\n") == (1 if code else 0)
    return captured.out if code != 2 else captured.err.strip()


def test_a_header_is_read_by_one_range_request(capsys: pytest.CaptureFixture[str], large: FakeHub):
    facts = json.loads(run(capsys, "user/model", "--json"))
    assert [tensor["name"] for tensor in facts["tensors"]] == ["big", "small"]
    assert (facts["kind"], facts["path"]) == ("hub repository", f"user/model@{'a' * 12}")
    assert facts["files"][0]["bytes"] == len(large.repos["user/model"].files["model.safetensors"])
    assert 0 < large.served() <= reading.BLOCK_BYTES
    assert not list(Path("hub").glob("**/*.safetensors"))


def test_a_tensor_is_read_by_itself(capsys: pytest.CaptureFixture[str], large: FakeHub):
    facts = json.loads(run(capsys, "user/model", "--tensor", "small", "--json"))
    assert facts["statistics"]["mean"] == 3.5
    assert large.served() <= 3 * reading.BLOCK_BYTES


def test_all_that_can_be_printed_of_a_file_can_be_of_a_repository(
    capsys: pytest.CaptureFixture[str], hub: FakeHub, tmp_path: Path
):
    tensors = {"layer.weight": np.ones((3, 4), np.float32), "layer.bias": np.zeros(4, np.float32)}
    hub.repos["user/model"] = Repo({"model.safetensors": content(tmp_path, **tensors)})
    assert "All 1 files are well-formed" in run(capsys, "user/model", "--verify", "--plain")
    assert "layer.bias" in run(capsys, "user/model", "--stats", "--plain")
    run(capsys, "user/model", "--export", "layer", "out")
    copied = json.loads(run(capsys, "out", "--json"))
    assert {tensor["name"] for tensor in copied["tensors"]} == {"weight", "bias"}
    assert "belongs to no run" in run(capsys, "user/model", "--timeline", code=2)


def test_a_large_tensor_is_read_once_in_pieces(large: FakeHub):
    found = of_hub(NAME)
    before = large.served()
    with DataFiles(found) as files:
        blocks = np.concatenate(list(files.blocks(found.find("big"))))
    assert np.array_equal(blocks.view(np.float32), np.arange(1_500_000, dtype=np.float32))
    assert large.served() - before == 6_000_000


def test_rows_of_a_heat_map_are_not_asked_for_one_by_one(large: FakeHub):
    found = of_hub(NAME)
    before = len(large.asked)
    window = read_window(found, found.find("big"), 10, 5, 30, 20)
    assert window[3, 2] == 13_007
    assert len(large.asked) - before <= 2 * 4  # 120 kB lie in at most three blocks; the storage is asked too


def test_a_sharded_repository_is_one_model(capsys: pytest.CaptureFixture[str], hub: FakeHub, tmp_path: Path):
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    files = {shard: content(tmp_path, **{name: np.ones(40, np.float32)}) for name, shard in shards.items()}
    index = json.dumps({"weight_map": shards}).encode()
    hub.repos["user/model"] = Repo(
        {
            **files,
            "model.safetensors.index.json": index,
            "README.md": b"",
            "old/pytorch_model.bin": b"\x80\x02",
        }
    )
    facts = json.loads(run(capsys, "user/model", "--json"))
    assert [tensor["name"] for tensor in facts["tensors"]] == ["a", "b"]
    assert facts["problems"] == []
    assert [file["name"] for file in facts["files"] if file["unread"]] == ["old/pytorch_model.bin"]
    assert hub.served(".bin") == 0
    for file in ("model.safetensors.index.json", shards["b"]):
        one = json.loads(run(capsys, f"user/model:{file}", "--json"))
        assert [tensor["name"] for tensor in one["tensors"]][-1] == "b"


def test_a_missing_shard_is_told_beside_the_rest(
    capsys: pytest.CaptureFixture[str], hub: FakeHub, tmp_path: Path
):
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "../c.safetensors"}}
    hub.repos["user/model"] = Repo(
        {
            "one.safetensors": content(tmp_path, a=np.ones(40, np.float32)),
            "model.safetensors.index.json": json.dumps(index).encode(),
        }
    )
    facts = json.loads(run(capsys, "user/model", "--json"))
    assert [tensor["name"] for tensor in facts["tensors"]] == ["a"]
    outside, missing = sorted(facts["problems"])
    assert 'to "../c.safetensors": it is not opened' in outside
    assert missing.startswith("The repository has no two.safetensors. 1 tensors")


def test_a_revision_and_a_folder_are_taken(capsys: pytest.CaptureFixture[str], hub: FakeHub, tmp_path: Path):
    hub.repos["user/model"] = Repo(
        {
            "unet/model.safetensors": content(tmp_path, u=np.ones(40, np.float32)),
            "vae/model.safetensors": content(tmp_path, v=np.ones(40, np.float32)),
        }
    )
    facts = json.loads(run(capsys, "user/model@main:vae", "--json"))
    assert [tensor["name"] for tensor in facts["tensors"]] == ["v"]
    error = run(capsys, "user/model@v9", "--json", code=2)
    assert "has no revision v9" in error
    error = run(capsys, "user/model:nothing", "--json", code=2)
    assert "no such file with weights; it has unet/model.safetensors, vae/model.safetensors" in error


def test_what_is_here_wins(capsys: pytest.CaptureFixture[str], large: FakeHub):
    tensor_file(Path("user/model/mine.safetensors"), {"mine": np.ones(2, np.float32)})
    facts = json.loads(run(capsys, "user/model", "--json"))
    assert [tensor["name"] for tensor in facts["tensors"]] == ["mine"]
    assert large.asked == []


@pytest.mark.parametrize(
    "typed", ["runs/none", "./user/model", "user/model.safetensors", "/user/model", "a/b/c"]
)
def test_what_can_only_be_a_path_is_not_asked_for(
    capsys: pytest.CaptureFixture[str], hub: FakeHub, typed: str
):
    Path("runs").mkdir()
    assert "here is no" in run(capsys, typed, code=2)
    assert hub.asked == []


def test_names_are_read_as_they_are_typed():
    assert hub_name("user/model@refs/pr/1:unet/a.safetensors") == HubName(
        "user/model", "refs/pr/1", "unet/a.safetensors"
    )
    assert hub_name("Qwen/Qwen2.5-0.5B") == HubName("Qwen/Qwen2.5-0.5B")
    assert [hub_name(text) for text in ("model", "~/model", "a/b/c", "a/../b", "a/b.", "a/*")] == [None] * 6


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
    monkeypatch: pytest.MonkeyPatch, large: FakeHub
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    large.repos["user/model"].private = True
    found = of_hub(NAME)
    assert found.kind is Kind.HUB
    tokens = [one.headers.get("authorization") for one in large.asked]
    assert tokens == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", None]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("absent", "nothing here has this name, and the hub knows no such repository, or it is private"),
        ("private", "the hub knows no such repository, or it is private: then run `hf auth login`"),
        ("gated", "the hub wants its terms accepted first"),
        ("wrong token", "the hub wants to know who asks: run `hf auth login`, or set HF_TOKEN"),
        ("no JSON", "huggingface_hub does not understand the hub's answer"),
        ("no ranges", "the server gives files only whole, not in parts"),
        ("another part", "the server gives another part than it was asked for"),
        ("too much", "the server gives more than it was asked for"),
        ("too little", "the hub cannot be reached (RemoteProtocolError)"),
        ("hang", "the hub cannot be reached (ReadTimeout)"),
        ("hang on files", "the hub cannot be reached (ReadTimeout)"),
        ("busy", "the hub answers with 503"),
        ("offline", "HF_HUB_OFFLINE keeps this from asking the hub"),
        ("nobody there", "the hub cannot be reached (ConnectError)"),
        ("no size", "the hub does not tell its size"),
    ],
)
def test_what_goes_wrong_is_one_sentence_without_the_token(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    large: FakeHub,
    kind: str,
    sentence: str,
):
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    repo = large.repos["user/model"]
    match kind:
        case "absent":
            del large.repos["user/model"]
        case "private":
            repo.private = True
            monkeypatch.delenv("HF_TOKEN")
        case "gated":
            repo.gated = True
        case "wrong token":
            monkeypatch.setenv("HF_TOKEN", TOKEN[:-1])
        case "busy":
            large.busy = 9
        case "offline":
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        case "nobody there":
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        case "no size":
            repo.told_sizes = {"model.safetensors": None}
        case _:
            large.faults.add(kind)
    error = run(capsys, "user/model", "--plain", code=2)
    assert sentence in error
    assert error.startswith("Error: user/model")
    assert TOKEN[:-1] not in error
    assert large.served() <= 3 * reading.BLOCK_BYTES or kind == "no ranges"


@pytest.mark.parametrize(
    "address", ["hub", "ftp://hub", "http://", "http://[::1", "https://hub:port", "http://h:0"]
)
def test_an_address_that_is_none_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hub: FakeHub, address: str
):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    assert "HF_ENDPOINT is no address of a hub" in run(capsys, "user/model", code=2)


def test_a_hub_that_is_busy_is_asked_again(large: FakeHub):
    name = reading.open_repository(NAME)
    large.busy = 2
    assert name.open("model.safetensors").read_into(memoryview(bytearray(8)), 0) == 8


def test_a_hub_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, large: FakeHub):
    file = reading.open_repository(NAME).open("model.safetensors")
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.3)  # each byte comes sooner
    monkeypatch.setattr(reading, "SLOWEST", 1_000_000)
    large.faults.add("drip")
    with pytest.raises(HubError, match="gives less than 1000 kB a second"):
        file.read_into(memoryview(bytearray(100)), 0)


@pytest.mark.parametrize(
    ("header", "length", "sentence"),
    [
        ("{}", 10_000_000, "is truncated: its header has 10,000,000 bytes, but the file ends after 210"),
        ("{}", 200_000_000, "at most 100,000,000 are allowed"),
        (f'{{"a": {entry(0, 400, shape="[100]")}}}', None, "1 of 1 tensors are not there in full"),
    ],
)
def test_a_hostile_header_is_refused_before_its_bytes_are_asked_for(
    capsys: pytest.CaptureFixture[str],
    hub: FakeHub,
    tmp_path: Path,
    header: str,
    length: int | None,
    sentence: str,
):
    file = raw_file(tmp_path / "bad.safetensors", header, bytes(200), length).read_bytes()
    hub.repos["user/model"] = Repo({"model.safetensors": file})
    assert sentence in run(capsys, "user/model", code=2)
    assert hub.served() <= len(file)


def test_hostile_names_are_not_obeyed(capsys: pytest.CaptureFixture[str], hub: FakeHub, tmp_path: Path):
    data = content(tmp_path, **{"a\x1b[2J": np.ones(40, np.float32)})
    hub.repos["user/model"] = Repo({"\x1b]0;x\x07.safetensors": data, "../../api/whoami.safetensors": data})
    text = run(capsys, "user/model", "--plain")
    assert 'lists "../../api/whoami.safetensors", which is no name of a file' in text
    assert not any("whoami" in path for path in hub.paths("GET"))
    assert all(line.isprintable() or not line for line in text.splitlines())


def test_without_the_extra_the_sentence_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "hub" in name else find(name))
    error = run(capsys, "user/model", code=2)
    assert error == (
        "Error: Nothing here has the name user/model, and the hub needs huggingface_hub, which is not "
        "installed: pip install 'arc-tui[hub]'."
    )


def test_the_address_is_that_of_hf_endpoint(large: FakeHub, tmp_path: Path):
    told = {
        "HF_ENDPOINT": large.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "arc_tui.cli", "inspect", "checkpoint", "user/model", "--json"],
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [tensor["name"] for tensor in json.loads(done.stdout)["tensors"]] == ["big", "small"]
    assert done.stderr == ""


def test_a_comparison_of_two_repositories_is_made(
    capsys: pytest.CaptureFixture[str], large: FakeHub, tmp_path: Path
):
    large.repos["user/other"] = Repo({"model.safetensors": content(tmp_path, small=np.ones(8, np.float32))})
    facts = json.loads(run(capsys, "user/other", "--diff", "user/model", "--json"))
    assert facts["added"] == ["big"]
    assert open_checkpoint("user/other", tmp_path).title.startswith("other@")
