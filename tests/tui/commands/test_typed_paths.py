"""Paths as a user types them: the same place from every folder, wherever they stand."""

import json
from pathlib import Path
from typing import Any

import pytest

from arc_core.base.errors import ConfigError
from arc_core.run.directory import create_run, open_run
from arc_core.run.resolving import resolve
from arc_tui import cli
from arc_tui.runs.starting import command_line, prepare

TASK = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, in a folder of which the commands are given."""
    monkeypatch.chdir(tmp_path)
    for name in ("home", "one", "two", "elsewhere", "models"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("one", "two"):
        (tmp_path / name / "00000001.json").write_text(json.dumps(TASK))
    return tmp_path / "home"


def _stored(flags: dict[str, Any], file: Path | None = None) -> dict[str, Any]:
    return prepare(flags, file, []).run.read()["config"]


@pytest.mark.parametrize("option", ["dataset", "lm", "solutions", "extra_data", "runs_dir"])
@pytest.mark.parametrize("in_file", [False, True], ids=["flag", "file"])
def test_what_a_run_is_told_is_kept_absolute(option: str, in_file: bool, tmp_path: Path, home: Path):
    (home / "x").mkdir()
    for typed, meant in (("one", tmp_path / "one"), ("~/x", home / "x"), ("./none", tmp_path / "none")):
        (tmp_path / "config.toml").write_text(f'{option} = "{typed}"\n')
        preset = "solver" if option == "extra_data" else "tiny"
        named = {"name": f"r{typed.count('~')}{len(typed)}", "preset": preset}
        stored = _stored(
            named if in_file else named | {option: typed},
            tmp_path / "config.toml" if in_file else None,
        )
        assert stored[option] == str(meant)
    assert not (tmp_path / "~").exists()


def test_default_folder_of_runs_is_kept_absolute_too(tmp_path: Path):
    assert _stored({"name": "plain"})["runs_dir"] == str(tmp_path / "runs")


def test_names_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "arcagi2").mkdir()
    config = resolve({"lm": "tiny", "dataset": "arcagi2"})
    assert (config.lm, config.dataset) == ("tiny", "arcagi2")
    assert resolve({"lm": "./tiny"}).lm == str(tmp_path / "tiny")
    assert resolve({"lm": "Qwen/Qwen2.5-1.5B"}).lm == "Qwen/Qwen2.5-1.5B"
    assert resolve({"dataset": "arcagi3"}).dataset == "arcagi3"
    assert resolve({"preset": "seed"}).lm == "Qwen/Qwen2.5-1.5B"


@pytest.mark.parametrize("branch", [None, "other"], ids=["resume", "branch"])
def test_resuming_elsewhere_reads_what_was_named_where_it_was_named(
    branch: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    prepare({"name": "mine", "dataset": "one", "runs_dir": "runs"}, None, [])
    if branch is None:
        prepare({"resume": "mine", "dataset": "two", "lm": "models"}, None, [])
        monkeypatch.chdir(tmp_path / "elsewhere")
        config = prepare({"resume": "mine", "runs_dir": "../runs"}, None, []).config
        assert config.runs_dir == "../runs"  # as typed, for the commands that are advised
        assert (config.dataset, config.lm) == (str(tmp_path / "two"), str(tmp_path / "models"))
        return
    monkeypatch.setattr("arc_tui.runs.starting.find_source", lambda *_: type("Source", (), {"last_seq": 0}))
    monkeypatch.setattr(
        "arc_tui.runs.starting.make_branch",
        lambda old, source, folder, name, made: create_run(folder, name, made),
    )
    made = prepare({"resume": "mine", "branch": branch, "dataset": "two"}, None, []).run.read()
    assert made["config"]["dataset"] == str(tmp_path / "two")
    assert made["config"]["runs_dir"] == str(tmp_path / "runs")
    assert [(c["key"], c["new"]) for c in made["changes"]] == [("dataset", str(tmp_path / "two"))]


def test_naming_the_same_place_otherwise_changes_nothing(tmp_path: Path):
    prepare({"name": "mine", "dataset": "one"}, None, [])
    run = prepare({"resume": "mine", "dataset": "./one"}, None, []).run
    assert "changes" not in run.read()


@pytest.mark.parametrize(
    "words",
    [
        "runs --runs-dir=~/runs",
        "status mine --runs-dir ~/runs",
        "status ~/runs/mine --runs-dir=~/runs",
        "note mine word --runs-dir=~/runs",
        "report mine --runs-dir=~/runs --output=~/r.html",
        "export mine --runs-dir=~/runs --csv=~/numbers.csv",
        "config --config=~/c.toml",
        "inspect dataset ~/data",
        "inspect task ~/data/00000001.json",
        "inspect results --evals-dir=~/evals",
        "themes --check=~/theme.toml",
    ],
)
def test_tilde_stands_for_home_in_every_option(
    words: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    prepare({"name": "mine", "runs_dir": "~/runs"}, None, [])
    (home / "c.toml").write_text("epochs = 3\n")
    (home / "data").symlink_to(tmp_path / "one")
    (home / "evals").mkdir()
    theme = Path(__file__).parents[3] / "themes" / "arc-dark.toml"
    (home / "theme.toml").write_text(theme.read_text())
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 0, capsys.readouterr().err
    assert not (tmp_path / "~").exists()
    for written in ("r.html", "numbers.csv"):
        assert (home / written).exists() == (f"~/{written}" in words)


@pytest.mark.parametrize("typed", ["one", "./one", "~/one"])
def test_evaluation_keeps_its_data_absolute(
    typed: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (home / "one").symlink_to(tmp_path / "one")
    asked: list[str] = []
    monkeypatch.setattr("arc_tui.commands.evaluation.begin", lambda a, *_: asked.append(a.dataset))
    with pytest.raises(TypeError):  # nothing was begun
        cli.main(["eval", "--dataset", typed])
    assert asked == [str((home if "~" in typed else tmp_path) / "one")]


def test_set_option_takes_a_home_too(home: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main(
            ["config", "--preset", "solver", "--set", "extra_data=~/re_arc.zip", "--set", "runs-dir=~/runs"]
        )
    printed = capsys.readouterr().out
    assert f'extra_data = "{home}/re_arc.zip"' in printed
    assert f'runs_dir = "{home}/runs"' in printed


def test_unknown_home_and_null_are_refused_with_their_place(tmp_path: Path):
    (tmp_path / "c.toml").write_text('seed = 1\nruns_dir = "~nobody-of-this-name/runs"\n')
    with pytest.raises(ConfigError, match=r"c\.toml, line 2: The home folder ~nobody-of-this-name"):
        resolve({}, tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text('runs_dir = "a\\u0000b"\n')
    with pytest.raises(ConfigError, match=r"c\.toml, line 1: "):
        resolve({}, tmp_path / "c.toml")


def test_commands_that_are_advised_name_the_folder_only_where_it_is_another(tmp_path: Path):
    assert command_line(str(tmp_path / "runs"), "stop", "mine") == "arc-tui stop mine"
    assert command_line("runs", "stop", "mine") == "arc-tui stop mine"
    assert command_line("/other", "stop", "mine") == "arc-tui stop mine --runs-dir /other"


def test_run_is_found_by_the_name_of_its_folder_in_the_home(home: Path):
    prepare({"name": "mine", "runs_dir": "~/runs"}, None, [])
    assert open_run(home / "runs", "~/runs/mine").name == "mine"
