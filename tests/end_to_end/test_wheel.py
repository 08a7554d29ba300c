"""The wheel, as somebody installs it: themes inside, and the command works from any folder."""

import tomllib
import zipfile
from pathlib import Path

import pytest
from wheels import ROOT, installed, run


@pytest.fixture(scope="module")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel."""
    return installed(tmp_path_factory.mktemp("installed") / "venv", wheel)


def test_wheel_holds_both_packages_and_every_theme(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("arc_core", "arc_tui"):
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert modules <= names
    themes = [path.name for path in (ROOT / "themes").glob("*.toml")]
    assert themes
    assert {f"arc_tui/_themes/{name}" for name in themes} <= names
    static = {path.name for path in (ROOT / "arc_tui" / "serve" / "static").iterdir()} - {"xterm.LICENSE"}
    assert "index.html" in static
    assert {f"arc_tui/serve/static/{name}" for name in static} <= names
    assert [name for name in names if name.endswith("xterm.LICENSE") and "dist-info/licenses" in name]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"arc_core", "arc_tui"}


def test_installed_command_tells_its_version_from_another_folder(installed_wheel: Path, tmp_path: Path):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run(installed_wheel / "arc-tui", "--version", cwd=tmp_path) == f"arc-tui {version}\n"


def test_installed_command_finds_its_themes_and_presets_from_another_folder(
    installed_wheel: Path, tmp_path: Path
):
    script = (
        "from arc_tui.looks.themes import load_theme, theme_folder; print(theme_folder(), load_theme().name)"
    )
    folder, name = run(installed_wheel / "python", "-c", script, cwd=tmp_path).split()
    assert Path(folder).is_relative_to(installed_wheel.parent)
    assert name
    assert 'lm = "Qwen/Qwen2.5-1.5B"' in run(
        installed_wheel / "arc-tui", "config", "--preset", "seed", cwd=tmp_path
    )
