"""A recipe of an installed package, for tests: a module and its entry point, written into a folder."""

from pathlib import Path

NAME, REFERENCE, PACKAGE = "planner", "tiny_planner:Planner", "tiny-planner"

MODULE = """
from dataclasses import dataclass

from arc_core.base.options import option
from arc_core.run.config import TrainConfig
from arc_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class PlannerConfig(TrainConfig):
    ema: float = option(0.99, "Share of the past in the averaged weights.", low=0, high=1)
    ema_lr: float = option(1e-3, "Learning rate of the embedding.", low=0, high=1)
    width: int = option(8, "Width of the model.", low=1, high=64, held=True)
    words: str | None = option(None, "A file of words.", path=True)


class Planner(Recipe):
    Config = PlannerConfig


class Plain(Recipe):
    pass


class Stranger:
    Config = PlannerConfig


class NoConfig(Recipe):
    Config = dict


class Undecorated(Recipe):
    class Config(TrainConfig):
        ema: float = option(0.9, "Forgotten.")


class Unmade(Recipe):
    @dataclass(frozen=True, kw_only=True)
    class Config(TrainConfig):
        ema: float = 0.9
"""


def install(folder: Path) -> Path:
    """Lay the package into a folder as an installer does; returns the folder."""
    (folder / "tiny_planner.py").write_text(MODULE)
    info = folder / "tiny_planner-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[arc_tui.recipes]\n{NAME} = {REFERENCE}\n")
    return folder
