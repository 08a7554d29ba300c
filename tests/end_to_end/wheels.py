"""Wheels, built and installed as somebody does who has no checkout."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement

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
    site_packages = _alone(folder, *wheels)
    # A line of a .pth file adds a folder without the .pth files in it, so not the editable install.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def bare(folder: Path, wheel: Path) -> Path:
    """Install a wheel into a new environment with what it requires without extras, copied from this one.

    Returns:
        Its bin folder.
    """
    site_packages = _alone(folder, wheel)
    (own,) = importlib.metadata.distributions(path=[str(site_packages)])
    for distribution in _required(own):
        for file in distribution.files or ():
            if ".." not in file.parts:  # else a program of its own
                target = site_packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), target)
    return folder / "bin"


def _alone(folder: Path, *wheels: Path) -> Path:
    """Install wheels alone into a new environment; returns where its packages lie."""
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", *wheels, cwd=folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    return site_packages


def _required(own: Distribution) -> list[Distribution]:
    """All that a distribution requires, directly or not, as it is installed here."""
    found: dict[tuple[str, str], Distribution] = {}
    waiting = [(own, "")]
    while waiting:
        distribution, extra = waiting.pop()
        for line in distribution.requires or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            for of in ("", *wanted.extras):
                if (wanted.name, of) not in found:
                    found[wanted.name, of] = importlib.metadata.distribution(wanted.name)
                    waiting.append((found[wanted.name, of], of))
    return list({one.name: one for one in found.values()}.values())
