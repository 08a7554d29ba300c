"""Pictures of the browser's screens at four sizes."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from inspect_files import arc_run, tensor_file
from test_inspect_app import press
from textual.pilot import Pilot

from arc_tui.inspect.app import InspectApp
from arc_tui.inspect.heat_map import HeatMap
from arc_tui.inspect.tensors.source import open_checkpoint

SIZES = [(80, 24), (120, 40), (160, 50), (200, 60)]
IDS = ["small", "middle", "large", "largest"]


@pytest.fixture(autouse=True)
def _same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def model() -> InspectApp:
    """A model of 12 layers with a tensor that has NaN."""
    rng = np.random.default_rng(0)
    tensors = {"model.embed.weight": rng.standard_normal((64, 48)).astype(np.float32)}
    for layer in range(12):
        for name, shape in (
            ("attn.q", (48, 48)),
            ("attn.o", (48, 48)),
            ("mlp.up", (96, 48)),
            ("norm", (48,)),
        ):
            tensors[f"model.layers.{layer}.{name}.weight"] = rng.standard_normal(shape).astype(np.float16)
    tensors["model.embed.weight"][3, 4] = np.nan
    return InspectApp(open_checkpoint(str(tensor_file(Path("model.safetensors"), tensors)), Path("runs")))


def run() -> InspectApp:
    """A run with three checkpoints."""
    arc_run(Path("runs"))
    return InspectApp(open_checkpoint("demo", Path("runs")), Path("runs"))


def pressing(*keys: str) -> Callable[[Pilot], Awaitable[None]]:
    async def before(pilot: Pilot) -> None:
        for key in keys:
            await press(pilot, key)
        for heat in pilot.app.screen.query(HeatMap):
            while heat.value is None:
                await pilot.pause(0.02)
        await pilot.pause()

    return before


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_tree(snap_compare, size: tuple[int, int]):
    assert snap_compare(
        model(), terminal_size=size, run_before=pressing("down", "down", "right", "down", "right")
    )


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_table(snap_compare, size: tuple[int, int]):
    assert snap_compare(model(), terminal_size=size, run_before=pressing("v", "a", "s", "s", "s", "s"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_tensor(snap_compare, size: tuple[int, int]):
    assert snap_compare(model(), terminal_size=size, run_before=pressing("down", "enter", "n", "down"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_compare(snap_compare, size: tuple[int, int]):
    assert snap_compare(run(), terminal_size=size, run_before=pressing("k", "home", "c"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_timeline(snap_compare, size: tuple[int, int]):
    assert snap_compare(run(), terminal_size=size, run_before=pressing("k", "up"))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_training(snap_compare, size: tuple[int, int]):
    keys = ("i", "down", "down", "down", "down", "down")
    assert snap_compare(run(), terminal_size=size, run_before=pressing(*keys))
