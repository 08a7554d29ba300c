"""Opens a console without a terminal, and waits for what it shows instead of for time to pass."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from textual.pilot import Pilot

from arc_core.run.directory import RunDirectory
from arc_tui.console.app import ConsoleApp
from arc_tui.console.options import Options

PATIENCE_SECONDS = 30.0


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so within {PATIENCE_SECONDS} s"
        await pilot.pause()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def console(
    run: RunDirectory, size: tuple[int, int] = (120, 40), **options: object
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    """Open a console on a run and wait until it has read the log."""
    app = ConsoleApp(run, Options(runs_dir=str(Path(run.path).parent), **options))  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.known)
        yield app, pilot


def text_of(app: ConsoleApp) -> str:
    """All that stands on the screen, line by line."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text[:width].rstrip() for strip in lines[:height])
