"""The wheel, as somebody installs it: themes inside, and the command works from any folder."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "arc_core", "arc_tui", "themes")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel; what it depends on is read from this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A line of a .pth file adds a folder without the .pth files in it, so not the editable install.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_wheel_holds_both_packages_and_every_theme(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("arc_core", "arc_tui"):
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert modules <= names
    themes = [path.name for path in (ROOT / "themes").glob("*.toml")]
    assert themes
    assert {f"arc_tui/_themes/{name}" for name in themes} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"arc_core", "arc_tui"}


def test_installed_command_tells_its_version_from_another_folder(installed: Path, tmp_path: Path):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run(installed / "arc-tui", "--version", cwd=tmp_path) == f"arc-tui {version}\n"


def test_installed_command_finds_its_themes_and_presets_from_another_folder(installed: Path, tmp_path: Path):
    script = (
        "from arc_tui.looks.themes import load_theme, theme_folder; print(theme_folder(), load_theme().name)"
    )
    folder, name = run(installed / "python", "-c", script, cwd=tmp_path).split()
    assert Path(folder).is_relative_to(installed.parent)
    assert name
    assert 'lm = "Qwen/Qwen2.5-1.5B"' in run(
        installed / "arc-tui", "config", "--preset", "seed", cwd=tmp_path
    )
