"""Themes: the shipped one loads, and a wrong one is refused by file, key and value."""

import shutil
from pathlib import Path

import pytest

from arc_core.errors import ConfigError
from arc_tui.themes import load_theme, theme_folder

SHIPPED = theme_folder() / "arc-dark.toml"


def test_every_shipped_theme_loads_under_its_own_name():
    paths = list(theme_folder().glob("*.toml"))
    assert SHIPPED in paths
    assert [load_theme(path.stem, [theme_folder()]).name for path in paths] == [path.stem for path in paths]


def test_default_theme_has_the_ten_colours_of_arc():
    theme = load_theme()
    assert len(set(theme.grid)) == 10
    assert (theme.grid[0], theme.grid[1], theme.grid[2]) == ("#000000", "#0074d9", "#ff4136")


def test_users_theme_comes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "arc-tui" / "themes"
    folder.mkdir(parents=True)
    text = SHIPPED.read_text().replace('"#000000"', '"#010101"')
    (folder / "arc-dark.toml").write_text(text)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_theme("arc-dark").grid[0] == "#010101"


def test_unknown_theme_names_the_nearest():
    with pytest.raises(ConfigError, match=r"There is no theme arc-drak; did you mean arc-dark\?"):
        load_theme("arc-drak")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"#000000"', '"black"', r"grid.colours\[0\] is 'black', but must be a colour"),
        ('"#870c25",', "", "grid.colours must be a list of 10 colours"),
        ("running =", "runing =", r"There is no theme entry status.runing; did you mean status.running\?"),
        ('paused = "#ffdc00"', "", "status.paused is missing"),
        ("dark = true", "dark = 1", "dark must be true or false"),
        ("[surface]", "[surfaces]", r"There is no theme entry surfaces; did you mean surface\?"),
        ("dark = true", "dark = = true", "is not TOML"),
    ],
)
def test_wrong_theme_is_refused_by_file_key_and_value(tmp_path: Path, old: str, new: str, sentence: str):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=rf"mine\.toml.*{sentence}"):
        load_theme("mine", [tmp_path])


def test_installed_package_takes_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = tmp_path / "arc_tui" / "_themes"
    shutil.copytree(theme_folder(), installed)
    monkeypatch.setattr("arc_tui.themes.__file__", str(installed.parent / "themes.py"))
    assert theme_folder() == installed
