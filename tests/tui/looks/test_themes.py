"""Themes: the shipped ones can be read by everyone; a wrong one is refused by file, key and value."""

import dataclasses
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from foreign_run import FOREIGN
from raw_events import PIPELINE, PRETRAINING
from typer.testing import CliRunner

from arc_core.base.errors import ConfigError
from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_tui.cli import app
from arc_tui.looks.current import ThemeWatcher
from arc_tui.looks.styles import contrast, ink_on, style_of
from arc_tui.looks.textual import to_textual
from arc_tui.looks.themes import Theme, load_theme, theme_folder, theme_paths
from arc_tui.runs.state import Phase

SHIPPED = theme_folder() / "arc-dark.toml"
NAMES = sorted(theme_paths([theme_folder()]))

DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What each makes of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)."""

TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
WHITE = np.array([0.9505, 1.0, 1.0888])


@pytest.fixture(autouse=True)
def with_colour(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)


def shipped(name: str) -> Theme:
    return load_theme(name, [theme_folder()])


def lab(colour: str, deficiency: str) -> np.ndarray:
    """CIELAB of a colour as somebody with this deficiency sees it."""
    rgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(DEFICIENCIES[deficiency] @ linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours: tuple[str, ...], deficiency: str) -> float:
    """CIE76 difference of the two colours that are hardest to tell apart."""
    seen = [lab(colour, deficiency) for colour in colours]
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2))


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
        ("dark = true", "dark = 1", "dark and ascii must be true or false"),
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
    monkeypatch.setattr("arc_tui.looks.themes.__file__", str(installed.parent / "looks" / "themes.py"))
    assert theme_folder() == installed


@pytest.mark.parametrize("name", NAMES)
def test_text_and_states_can_be_read_on_screen_and_panel(name: str):
    theme = shipped(name)
    for ground in (theme.surface.background, theme.surface.panel):
        assert contrast(theme.surface.text, ground) >= 7
        for state, colour in dataclasses.asdict(theme.status).items():
            assert contrast(colour, ground) >= 4.5, state
        for colour in (theme.series.loss, theme.series.efe, theme.surface.accent, *theme.series.palette):
            assert contrast(colour, ground) >= 3, colour
    for digit, colour in enumerate(theme.grid):
        assert contrast(ink_on(colour), colour) >= 4.5, digit


def test_high_contrast_theme_reaches_seven_to_one_everywhere():
    theme = shipped("high-contrast")
    colours = [*dataclasses.asdict(theme.status).values(), *theme.series.palette, theme.surface.accent]
    assert min(contrast(colour, theme.surface.panel) for colour in colours) >= 7


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_grid_colours_of_the_colour_blind_theme_stay_apart(deficiency: str):
    assert closest(shipped("colour-blind").grid, deficiency) > 23.5


def test_arcs_own_colours_do_not_stay_apart_which_the_measure_notices():
    assert closest(shipped("arc-dark").grid, "protanopia") < 10


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_every_state_and_every_number_of_a_step_has_a_look(name: str):
    theme = shipped(name)
    for phase in Phase:
        assert theme.style(f"state.{phase.value}").color is not None
    for declared in (PIPELINE, PRETRAINING, FOREIGN):
        for dotted in declared.names:
            assert theme.style(style_of(declared, dotted)).color is not None
    with pytest.raises(KeyError):
        theme.style("no.such.look")


@pytest.mark.parametrize(
    ("declared", "dotted", "style"),
    [
        (PIPELINE, "loss.risk", "series.0"),
        (PIPELINE, "loss.size", "series.7"),
        (PIPELINE, "loss.efe_total", "efe"),
        (PIPELINE, "loss.combined", "loss"),
        (PIPELINE, "reward.total", "accent"),
        (PIPELINE, "reward.d_rev", "series.4"),
        (PIPELINE, "grad_norm.policy", "series.4"),
        (PRETRAINING, "loss.efe_total", "loss"),
        (FOREIGN, "loss.total", "loss"),
        (FOREIGN, "loss.halt", "series.1"),
        (FOREIGN, "loss.imaginary", "text"),
        (FOREIGN, "nothing", "text"),
    ],
)
def test_a_number_has_the_look_of_its_place_among_those_of_its_group(
    declared: Declared, dotted: str, style: str
):
    assert style_of(declared, dotted) == style


def test_more_numbers_than_the_palette_has_colours_begin_it_again():
    declared = Declared((NumberGroup.of("many", GroupKind.SERIES, *(f"n{place}" for place in range(20))),))
    assert style_of(declared, "many.n19") == "series.3"


def test_without_colour_no_look_has_one_and_what_matters_still_stands_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    theme = load_theme()
    styles = {name: theme.style(name) for name in theme.style_names}
    assert all(style.color is None and style.bgcolor is None for style in styles.values())
    for name in ("state.paused", "state.crashed", "fix.failing", "banner.paused", "grid.wrong", "selection"):
        assert styles[name].reverse, name
    assert styles["raw"].dim
    assert styles["mark.nan"].bold


def test_empty_no_color_leaves_the_colours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert load_theme().style("good").color is not None


def test_textual_gets_our_colours():
    theme = shipped("arc-light")
    converted = to_textual(theme)
    variables = converted.to_color_system().generate()
    assert converted.dark is False
    assert variables["background"].lower() == theme.surface.background
    assert converted.variables["state-paused"] == theme.status.paused
    assert converted.error == theme.status.error


def edit(path: Path, old: str, new: str) -> None:
    """Save a changed file as an editor does, with a time stamp that cannot be the old one."""
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


def test_edited_theme_is_seen_once_and_a_mistake_in_it_is_told_once(tmp_path: Path):
    path = tmp_path / "mine.toml"
    shutil.copy(SHIPPED, path)
    watcher = ThemeWatcher("mine", [tmp_path, theme_folder()])
    assert watcher.poll() is None

    edit(path, '"#0074d9"', '"#0000ff"')
    changed = watcher.poll()
    assert isinstance(changed, Theme)
    assert changed.grid[1] == "#0000ff"
    assert watcher.poll() is None

    edit(path, '"#0000ff"', '"blue"')
    wrong = watcher.poll()
    assert isinstance(wrong, ConfigError)
    assert "grid.colours[1] is 'blue'" in str(wrong)
    assert watcher.poll() is None

    watcher.watch("arc-dark")
    assert watcher.poll() is None


def test_removed_theme_is_told_as_a_missing_one(tmp_path: Path):
    path = tmp_path / "mine.toml"
    shutil.copy(SHIPPED, path)
    watcher = ThemeWatcher("mine", [tmp_path])
    path.unlink()
    assert "There is no theme mine" in str(watcher.poll())


def test_themes_command_lists_all_and_names_what_is_wrong_with_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "arc-tui" / "themes"
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text("name = 1")
    said = CliRunner().invoke(app, ["themes"]).output
    assert [name for name in NAMES if name in said] == NAMES
    assert "bad.toml: dark is missing" in said


def test_theme_file_can_be_checked_before_it_is_used(tmp_path: Path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    shutil.copy(SHIPPED, good)
    bad.write_text(SHIPPED.read_text().replace("[series]", "[serie]"))
    assert "is a theme" in CliRunner().invoke(app, ["themes", "--check", str(good)]).output
    refused = CliRunner().invoke(app, ["themes", "--check", str(bad)])
    assert isinstance(refused.exception, ConfigError)
    assert "did you mean series?" in str(refused.exception)
