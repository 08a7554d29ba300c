"""What the tests of the screens share: a steady cursor, no hub, the comparison with committed pictures."""

import re
import sys
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from textual._doc import take_svg_screenshot
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

PAGE = """<!doctype html>
<title>{name}</title>
<style>img {{ width: 100% }} div {{ display: grid; isolation: isolate }} div img {{ grid-area: 1 / 1 }}
img + img.over {{ mix-blend-mode: difference }}</style>
<h2>Expected</h2><img src="{expected}">
<h2>Found</h2><img src="{found}">
<h2>What differs is not black</h2><div><img src="{expected}"><img class="over" src="{found}"></div>
"""


@pytest.fixture(autouse=True)
def _steady_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that blinks is in a picture or not, by how busy the machine is."""
    monkeypatch.setattr(Input.cursor_blink, "_default", False)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the real hub, whatever name it types; `fake_hub.hub` is one to ask."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if (constants := sys.modules.get("huggingface_hub.constants")) is not None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def snap_compare(snapshot: SnapshotAssertion, request: pytest.FixtureRequest) -> Callable[..., bool]:
    """Return a function that holds an app's screen to the committed picture of the test.

    Where they differ it fails and names a page in build/snapshots that shows both.
    """
    pictures = snapshot.use_extension(SVGImageSnapshotExtension)

    def compare(
        app: App[Any],
        *,
        terminal_size: tuple[int, int],
        run_before: Callable[[Pilot[None]], Awaitable[None]],
    ) -> bool:
        svg = take_svg_screenshot(app, terminal_size=terminal_size, run_before=run_before)
        # rich numbers the classes of each picture anew.
        found = re.sub(r"\bterminal-\d+-([\w-]+)", r"terminal-\1", svg)
        if pictures == found:
            return True
        outcome = pictures.executions[pictures.num_executions - 1]
        if outcome.exception is not None:
            raise outcome.exception
        expected = Path(outcome.snapshot_location)
        page = _show(found, expected, request.config.rootpath / "build" / "snapshots")
        wrong = "is not there yet" if outcome.recalled_data is None else "differs"
        pytest.fail(
            f"The picture {expected} {wrong}: see {page}, or accept with --snapshot-update.", pytrace=False
        )

    return compare


def _show(found: str, expected: Path, folder: Path) -> Path:
    """Write the picture that was found and a page that lays it over the expected one; return the page."""
    path = folder / expected.parent.name / expected.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(found, encoding="utf-8")
    page = path.with_suffix(".html")
    addresses = {"expected": expected.as_uri(), "found": path.as_uri()}
    page.write_text(PAGE.format(name=escape(expected.stem), **addresses), encoding="utf-8")
    return page
