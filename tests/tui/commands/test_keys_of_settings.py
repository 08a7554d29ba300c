"""`[keys]` of the user's settings, as the commands that open an app read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_files import make_eval
from inspect_files import tensor_file
from textual.app import App

from arc_tui import cli
from arc_tui.ui.app import BaseApp

COMMANDS = {
    "inspect": ("inspect", "checkpoint", "model.safetensors"),
    "results": ("inspect", "results", "first"),
    "solve": ("solve", "0d3d703e", "--weights", "none"),
}


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[BaseApp[Any]]:
    """A terminal in which apps are opened without being seen, and left by q: those that were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    tensor_file(tmp_path / "model.safetensors", {"a": np.ones(4, np.float32)})
    make_eval(tmp_path / "evals")
    apps: list[BaseApp[Any]] = []

    def run_headless(app: BaseApp[Any]) -> object:
        apps.append(app)

        async def leave(pilot: Any) -> None:
            await pilot.press("q")

        return App.run(app, headless=True, size=(100, 30), auto_pilot=leave)

    for module in ("inspect", "results", "solve"):
        monkeypatch.setattr(f"arc_tui.commands.{module}.has_terminal", lambda: True)
    monkeypatch.setattr(BaseApp, "run", run_headless)
    return apps


def settings(folder: Path, text: str) -> None:
    (folder / "arc-tui").mkdir()
    (folder / "arc-tui" / "config.toml").write_text(text)


@pytest.mark.parametrize("command", ["inspect", "results"])
def test_own_keys_reach_the_browsers(tmp_path: Path, opened: list[BaseApp[Any]], command: str):
    settings(tmp_path, 'theme = "plain"\n[keys]\ntensor_page_down = "f6"\ntasks_only = "f6"\n')
    with pytest.raises(SystemExit) as left:
        cli.main(COMMANDS[command])
    assert left.value.code == 0
    (app,) = opened
    assert (app.keys["tensor_page_down"], app.keys["tasks_only"]) == (("f6",), ("f6",))
    assert (app.keys["help"], app.looks.name) == (("?",), "plain")


@pytest.mark.parametrize("theme", [(), ("--theme", "plain")])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_bad_settings_are_one_sentence(
    tmp_path: Path,
    opened: list[BaseApp[Any]],
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    theme: tuple[str, ...],
):
    settings(tmp_path, '[keys]\ntensor_page_dwn = "f6"\n')
    with pytest.raises(SystemExit) as left:
        cli.main([*command, *theme])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.endswith("There is no action tensor_page_dwn; did you mean tensor_page_down?\n")
    assert "config.toml, line 2: " in told
    assert opened == []
