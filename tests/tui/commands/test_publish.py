"""`arc-tui export --hub` and `--weights USER/REPO`, with a hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from fake_hub import TOKEN, FakeHub, Repo
from fake_hub import hub as hub  # the fixture
from small_run import new_run, train

from arc_core.base.files import write_json_atomic
from arc_core.evaluation.export import export
from arc_core.run.directory import RunDirectory
from arc_core.solver.weights_file import read_notes
from arc_tui import cli
from arc_tui.commands.evaluation import Asked, assign
from arc_tui.hub import asking
from arc_tui.hub.names import HubName
from arc_tui.hub.weights import fetch_weights
from arc_tui.report.card import plain

FRONT = "---\nlibrary_name: arc-tui\ntags:\n- arc-agi\n- arc-tui\n---\n"
HOSTILE = (
    "best | of\n---\nlicense: mit\n---\n# Not me <img src=x> [a](http://evil) `--` www.evil.com \x1b[2J @all"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A trained run with its weights beside it, so that no process has to write them."""
    made = new_run(
        tmp_path_factory.mktemp("trained"),
        **{"planner": "canvas", "optimizer": "muon", "validate_on": "training", "validate_every": 3},
    )
    train(made)
    export(made, made.path / "weights-00000.safetensors", 0)
    return made


@pytest.fixture
def run(trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """Its copy, in the folder of runs here."""
    monkeypatch.chdir(tmp_path)
    return RunDirectory(shutil.copytree(trained.path, tmp_path / "runs" / "a"))


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["export", "a", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    assert TOKEN not in captured.out + captured.err
    assert all(line.isprintable() for line in (captured.out + captured.err).splitlines())
    return captured.err if code else captured.out


def test_weights_and_a_card_are_sent_as_one_commit(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, hub: FakeHub, login: None
):
    out = command(capsys, "--hub", "user/agent", "--private")
    repo = hub.repos["user/agent"]
    assert repo.private
    assert repo.files["weights.safetensors"] == (run.path / "weights-00000.safetensors").read_bytes()
    assert len([path for path in hub.paths("POST") if "/commit/" in path]) == 1
    told = out.splitlines()
    assert told[0] == "To user/agent on http://127.0.0.1, which is new and private:"
    assert "checkpoint 0, step 6" in told[1]
    assert "README.md" in told[2]
    assert told[3].startswith(f"Sent as commit {repo.commits[-1][:12]}")
    storage = [one for one in hub.asked if one.method == "PUT"]
    assert ["authorization" in one.headers for one in storage] == [False]


def test_the_card_tells_how_the_weights_were_made_and_how_to_use_them(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, hub: FakeHub, login: None, tmp_path: Path
):
    command(capsys, "--hub", "user/agent")
    card = hub.repos["user/agent"].files["README.md"].decode()
    assert card.startswith(FRONT)
    for part in (
        "arc-tui solve TASK --weights user/agent",
        "| Checkpoint | 0, step 6,",
        "| Data | tasks, 6 tasks |",
        "| Seed | 42 |",
        r"| hidden\_dim | 16 | ",
        r"| batch\_size | 2 | 32 |",
        "| Commit of arc-tui | ",
        " torch 2",
        "Under which licence tasks is published is not known",
    ):
        assert part in card, part
    assert str(tmp_path) not in card
    assert str(tmp_path).encode() not in hub.repos["user/agent"].files["weights.safetensors"]
    content = run.read()
    best = [
        event
        for event in map(json.loads, run.events.read_text().splitlines())
        if event["type"] == "validation"
    ]
    assert best, content["config"]
    assert f"{best[0]['exact']:,} of {best[0]['inputs']:,} (" in card
    assert "95% interval" in card


def test_an_existing_repository_keeps_its_other_files_and_stays_as_it_is_seen(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, hub: FakeHub, login: None
):
    old = {"README.md": b"mine", "model.safetensors": b"other", "notes.txt": b"kept"}
    hub.repos["user/agent"] = Repo(dict(old), private=True)
    out = command(capsys, "--hub", "user/agent")
    assert "which is there already and private (replaces README.md; 2 other files stay):" in out
    files = hub.repos["user/agent"].files
    assert {name: files[name] for name in ("model.safetensors", "notes.txt")} == {
        name: old[name] for name in ("model.safetensors", "notes.txt")
    }
    assert files["README.md"].startswith(b"---")
    assert "/api/repos/create" not in hub.paths("POST")


def test_hostile_texts_of_a_run_are_text_in_the_card(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, hub: FakeHub, login: None
):
    content = run.read()
    content["notes"] = [{"time": 1.0, "text": HOSTILE}, {"time": "x", "text": 7}, 3]
    content["config"]["groups"] = "a | b\n# c"
    write_json_atomic(run.run_json, content)
    command(capsys, "--hub", "user/agent")
    card = hub.repos["user/agent"].files["README.md"].decode()
    assert card.startswith(FRONT)
    assert card.count("\n---\n") == 1
    lines = [line for line in card.splitlines() if "evil" in line]
    assert len(lines) == 1
    assert lines[0].replace(r"\|", "").count("|") == 3
    for sign in "<`[@*#":
        assert lines[0].count(sign) == lines[0].count("\\" + sign)
    assert "\x1b" not in card
    assert "# Not me" not in card.replace(r"\# Not me", "")
    assert r"www\.evil.com" in lines[0]


def test_what_is_written_plainly_is_no_markup():
    assert plain("a_b|c\nd") == r"a\_b\|c\\nd"
    assert plain("/home/me/secret/tasks") == "tasks"
    assert plain(0.5) == "0.5"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("nobody", "the hub takes nothing from who is not logged in: run `hf auth login`, or set HF_TOKEN."),
        ("wrong token", "the hub wants to know who asks"),
        ("public", "user/agent is there already and public: --private makes a new one."),
        ("read only", "the hub does not allow this to the token that it was given"),
        ("hang", "the hub cannot be reached (ReadTimeout)"),
        ("offline", "HF_HUB_OFFLINE keeps this from asking the hub."),
        ("checkpoint", "There is no checkpoint 7; there is 0"),
    ],
)
def test_what_is_refused_is_one_sentence_and_sends_nothing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    run: RunDirectory,
    hub: FakeHub,
    login: None,
    kind: str,
    sentence: str,
):
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.3)
    arguments = ["--hub", "user/agent"]
    match kind:
        case "nobody":
            monkeypatch.delenv("HF_TOKEN")
        case "wrong token":
            monkeypatch.setenv("HF_TOKEN", TOKEN[:-1])
        case "public":
            hub.repos["user/agent"] = Repo()
            arguments.append("--private")
        case "offline":
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        case "checkpoint":
            arguments += ["--checkpoint", "7"]
        case _:
            hub.faults.add(kind)
    error = command(capsys, *arguments, code=2)
    assert sentence in error
    assert error.count("\n") == 1
    assert TOKEN[:-1] not in error
    assert not [path for path in hub.paths("POST") if "/commit/" in path]
    assert hub.stored == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--hub", "agent"], '--hub is "agent", but must be USER/REPO'),
        (["--hub", "user/agent@v1"], "must be USER/REPO"),
        (["--private"], "--private goes with --hub USER/REPO"),
        (["--checkpoint", "1"], "needs --csv FILE, --tensorboard FOLDER or --hub USER/REPO"),
    ],
)
def test_what_does_not_go_together_is_refused(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, hub: FakeHub, arguments: list[str], sentence: str
):
    if arguments[0] == "--private":
        arguments = [*arguments, "--csv", "a.csv"]
    assert sentence in command(capsys, *arguments, code=2)
    assert hub.asked == []


def asked(run: RunDirectory, weights: str) -> Asked:
    return Asked(
        "arcagi1", "training", None, 1, 0, "cpu", weights, {}, runs_dir=run.path.parent, allow_seen=True
    )


def test_weights_of_a_hub_are_a_file_of_its_cache(run: RunDirectory, hub: FakeHub):
    file = run.path / "weights-00000.safetensors"
    hub.repos["user/agent"] = Repo({"weights.safetensors": file.read_bytes(), "README.md": b""})
    assignment = assign(asked(run, "user/agent"), [])
    assert assignment.weights is not None
    assert Path(assignment.weights).read_bytes() == file.read_bytes()
    assert Path(assignment.weights).is_relative_to(huggingface_hub.constants.HF_HUB_CACHE)
    assert assignment.settings["width"] == read_notes(file).architecture["width"]


def test_weights_in_the_cache_are_taken_where_the_hub_cannot_be_reached(
    run: RunDirectory, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
):
    file = run.path / "weights-00000.safetensors"
    hub.repos["user/agent"] = Repo({"weights.safetensors": file.read_bytes()})
    fetched = fetch_weights(HubName("user/agent"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch_weights(HubName("user/agent")) == fetched
    with pytest.raises(asking.UnreachableHubError, match="HF_HUB_OFFLINE"):
        fetch_weights(HubName("user/other"))


@pytest.mark.parametrize(
    ("files", "typed", "sentence"),
    [
        (
            {"a.safetensors": 9, "b.safetensors": 9},
            "user/agent",
            r"it has a\.safetensors, b\.safetensors: name one",
        ),
        ({"README.md": 9}, "user/agent", r"the repository has no weights\.safetensors; it has none"),
        ({"a.safetensors": 20_000_001}, "user/agent", "is larger than 20 MB: it holds no weights"),
        ({"a.safetensors": 9}, "user/agent:b.safetensors", r"the repository has no b\.safetensors"),
        ({"a.safetensors": 300}, "user/agent:a.safetensors", "holds no weights of this version's solver"),
        (None, "user/agent", "nothing here has this name, and the hub knows no such repository"),
    ],
)
def test_what_holds_no_weights_is_one_sentence(
    run: RunDirectory, hub: FakeHub, files: dict[str, int] | None, typed: str, sentence: str
):
    if files is not None:
        hub.repos["user/agent"] = Repo({name: bytes(size) for name, size in files.items()})
    with pytest.raises(cli.ArcError, match=sentence):
        assign(asked(run, typed), [])
    assert hub.served() <= 300


def test_what_is_here_and_runs_that_are_not_are_not_asked_for(run: RunDirectory, hub: FakeHub):
    Path("user").mkdir()
    Path("user/agent").write_bytes((run.path / "weights-00000.safetensors").read_bytes())
    assert assign(asked(run, "user/agent"), []).weights == str(Path("user/agent").absolute())
    with pytest.raises(cli.ArcError, match="There are no weights"):
        assign(asked(run, "runs/none"), [])
    assert hub.asked == []


@pytest.mark.slow
def test_what_a_run_sends_solves_a_task_elsewhere(run: RunDirectory, hub: FakeHub, tmp_path: Path):
    (run.path / "weights-00000.safetensors").unlink()
    told = {
        **{"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN},
        **{"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"},
    }

    def arc_tui(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "arc_tui.cli", *arguments],
            env=os.environ | told,
            capture_output=True,
            text=True,
            check=False,
        )

    sent = arc_tui("export", "a", "--hub", "user/agent")
    assert sent.returncode == 0, sent.stderr
    assert TOKEN not in sent.stdout + sent.stderr
    solved = arc_tui("solve", "0ca9ddb6", "--steps", "1", "--weights", "user/agent", "--json")
    assert solved.returncode == 0, solved.stderr
    assert len(json.loads(solved.stdout)["answers"]) == 1
    inspected = arc_tui("inspect", "checkpoint", "user/agent", "--json")
    assert json.loads(inspected.stdout)["kind"] == "hub repository"
