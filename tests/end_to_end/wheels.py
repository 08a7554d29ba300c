"""Wheels, built and installed as somebody does who has no checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "arc_core", "arc_tui", "themes")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return what it prints."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, names: Iterable[str], folder: Path) -> Path:
    """Build a wheel from a copy of a source tree, so that nothing is left there."""
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source / name, folder / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def installed(folder: Path, *wheels: Path) -> Path:
    """Install wheels into a new environment; what they depend on is read from this one.

    Returns:
        Its bin folder.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", *wheels, cwd=folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A line of a .pth file adds a folder without the .pth files in it, so not the editable install.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent
