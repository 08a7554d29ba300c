"""The user's config file: defaults without one, and every mistake named by file, line and nearest name."""

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arc_core.base.errors import ConfigError
from arc_tui.cli import app
from arc_tui.ui.actions import ACTIONS
from arc_tui.ui.settings import Settings, example, load_settings, settings_path


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def test_without_a_file_everything_has_its_default():
    settings = load_settings()
    assert settings == Settings()
    assert (settings.theme, settings.refresh, settings.bell) == ("arc-dark", 2.0, True)
    assert settings.keys == {}


def test_users_own_file_is_found_and_read():
    path = settings_path()
    path.parent.mkdir(parents=True)
    path.write_text(
        'theme = "colour-blind"\nbell = false\nrefresh = 1\n[keys]\npause = "P"\ndetach = ["q", "f10"]\n'
    )
    settings = load_settings()
    assert (settings.theme, settings.bell, settings.refresh) == ("colour-blind", False, 1.0)
    assert settings.keys == {"pause": ("P",), "detach": ("q", "f10")}
    assert settings.path == path


def test_file_that_was_named_must_exist(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"Cannot read the config file .*nowhere"):
        load_settings(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ('\ntheme = "arc-drak"', 2, r"There is no theme arc-drak; did you mean arc-dark\?"),
        ("bel = true", 1, r"There is no console setting bel; did you mean bell\?"),
        ("bell = 1", 1, "bell is 1, but must be true or false"),
        ("refresh = 50", 1, "refresh is 50, but must be a number from 0.1 to 10"),
        ("bell = true\nBELL = = 1", 2, "this is not TOML"),
        ("grid_digits = true\ngrid-digits = true", 2, "grid_digits is given twice"),
        ('[keys]\npuase = "p"', 2, r"There is no action puase; did you mean pause\?"),
        ('[keys]\nvalidate = "x"\npause = "c"', 3, "The key c is given to pause and to checkpoint"),
        ("[keys]\npause = 7", 2, "keys.pause is 7, but must be a key or a list of keys"),
        ("keys = 3", 1, "keys must be a table"),
        ("[keys]\npause = ['\x1b'.]", 2, "this is not TOML"),
    ],
)
def test_mistake_is_told_by_file_line_and_nearest_name(tmp_path: Path, text: str, line: int, sentence: str):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"config\.toml, line {line}: .*{sentence}") as caught:
        load_settings(path)
    assert str(caught.value).isprintable()


def test_action_may_be_left_without_a_key(tmp_path: Path):
    assert load_settings(write(tmp_path, "[keys]\nstop = []\n")).keys == {"stop": ()}


def test_example_says_the_defaults_and_can_be_used_as_it_is(tmp_path: Path):
    path = write(tmp_path, example())
    settings = load_settings(path)
    assert dataclasses.replace(settings, keys={}) == Settings(path=path)
    assert settings.keys == {action.id: action.keys for action in ACTIONS}


def test_settings_command_prints_the_example():
    assert CliRunner().invoke(app, ["settings"]).output == example()
