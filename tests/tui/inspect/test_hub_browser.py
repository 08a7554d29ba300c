"""The browser on a repository of a hub on loopback: what is fetched, and when."""

from pathlib import Path

import numpy as np
import pytest
from fake_hub import FakeHub, Repo
from fake_hub import hub as hub  # the fixture
from inspect_files import tensor_file
from piloting import until
from test_inspect_app import browsing, chosen, press, seen
from textual.widgets import Input

from arc_tui.hub import asking
from arc_tui.inspect.compare_screen import CompareCheckpoints
from arc_tui.inspect.tensor_screen import TensorScreen


@pytest.fixture
def model(hub: FakeHub, tmp_path: Path) -> bytes:
    tensors = {"big": np.ones((1200, 1000), np.float32), "small": np.arange(4, dtype=np.float32)}
    made = tensor_file(tmp_path / "made.safetensors", tensors).read_bytes()
    hub.repos["user/model"] = Repo({"model.safetensors": made})
    return made


async def test_a_large_tensor_is_fetched_when_it_is_opened_and_not_when_it_is_chosen(
    hub: FakeHub, model: bytes
):
    async with browsing(Path("user/model")) as (app, pilot):
        assert "hub repository" in seen(app)
        await press(pilot, "end")
        assert "small" in chosen(app)
        await pilot.pause(0.3)
        await press(pilot, "home")
        assert "big" in chosen(app)
        await pilot.pause(0.3)
        await press(pilot)
        assert hub.served() < 300_000
        await press(pilot, "enter")
        assert isinstance(app.screen, TensorScreen)
        assert hub.served() > 4_800_000
        assert "1" in seen(app)


async def test_a_comparison_with_a_repository_is_made_in_the_background(
    hub: FakeHub, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mine = tensor_file(tmp_path / "mine.safetensors", {"small": np.ones(4, np.float32)})
    async with browsing(mine) as (app, pilot):
        await press(pilot, "d")
        app.screen.query_one(Input).value = "user/none"
        await press(pilot, "enter")
        await until(pilot, lambda: "the hub knows no such repository" in seen(app))
        await press(pilot, "d")
        app.screen.query_one(Input).value = "user/model"
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, CompareCheckpoints))
        await press(pilot, "escape")
        monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.3)
        hub.faults.add("hang")
        await press(pilot, "d")
        app.screen.query_one(Input).value = "user/model"
        await press(pilot, "enter")
        await until(pilot, lambda: "the hub cannot be reached" in seen(app))
