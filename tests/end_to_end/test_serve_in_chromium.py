"""`arc-tui serve` in a real browser: what is drawn, keys, sizes, several viewers, and a closed tab."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from chromium import ROWS, Tab, chromium, opened
from command import ARC_TUI, PATIENCE_SECONDS, SMALL, environment, training
from hostile import hostile_run, hostile_texts
from inspect_files import arc_run
from live_run import living
from recordings import make_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOKEN = "0123456789abcdefTOKEN"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chromium(tmp_path_factory.mktemp("profile")) as port:
        yield port


class Served:
    """A server of its own process."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address

    def page(self, path: str = "/") -> str:
        return f"{self.address}{path}?token={TOKEN}"

    def viewers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def until_viewers(self, count: int) -> list[psutil.Process]:
        """Wait until so many apps are shown."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found := self.viewers()) != count:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)
        return found


@contextlib.contextmanager
def served(folder: Path, *words: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [ARC_TUI, "serve", *words],
        cwd=folder,
        env=environment(folder) | {"ARC_TUI_SERVE_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            yield Served(process, lines[2].strip().removesuffix(f"/?token={TOKEN}"))
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def shown(
    browser: int, folder: Path, *words: str, path: str = "/"
) -> AsyncIterator[tuple[Served, Tab]]:
    with served(folder, *words) as one:
        async with opened(browser, one.page(path)) as tab:
            yield one, tab


async def test_run_is_drawn_and_the_token_leaves_the_address(browser: int, tmp_path: Path):
    make_run(tmp_path / "runs", name="drawn")
    async with shown(browser, tmp_path, "drawn") as (server, tab):
        text = await tab.until("FINISHED")
        assert "drawn" in text
        await tab.until_true(f"/[\u2801-\u28ff]/.test({ROWS})")  # a curve, in braille
        assert await tab.evaluate("location.href") == f"{server.address}/"
        assert await tab.evaluate("document.cookie") == "", "no script reads it"
        assert await tab.evaluate("document.querySelector('#read-only').hidden") is True
        assert await tab.evaluate("document.querySelector('nav a[aria-current]').textContent") == "Console"
        own = (server.address, server.address.replace("http:", "ws:"))
        assert [address for address in tab.asked if not address.startswith(own)] == []
        await tab.call("Runtime.evaluate", expression="0")
        assert [told for told in tab.problems if "favicon" not in told] == []
        await tab.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 20_000


async def test_keys_steer_and_the_page_follows_its_size(browser: int, tmp_path: Path):
    with living(tmp_path / "runs", name="live") as live:
        async with shown(browser, tmp_path, "live") as (_, tab):
            await tab.until("RUNNING")
            await tab.press("c")
            await tab.until("Checkpoint")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (asked := live.commands()):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert [command.command for command in asked] == ["checkpoint"]
            await tab.press("?")
            await tab.until("Show all keys")
            await tab.press("Escape")
            rows = "document.querySelectorAll('.xterm-rows > div').length"
            tall = await tab.evaluate(rows)
            assert "1●lm" not in await tab.until("6 Gradients")
            await tab.resize(700, 400)
            await tab.until_true(f"{rows} < {tall} - 10")
            await tab.until("1●lm")  # the strip of the smallest layout


async def test_second_viewer_has_a_screen_of_its_own(browser: int, tmp_path: Path):
    make_run(tmp_path / "runs", name="twice")
    async with shown(browser, tmp_path, "twice") as (server, first), opened(browser, server.page()) as second:
        await first.until("FINISHED")
        await second.until("FINISHED")
        assert len(await server.until_viewers(2)) == 2
        await first.press("?")
        await first.until("Show all keys")
        assert "Show all keys" not in await second.text()
        await first.close()
        await server.until_viewers(1)
        await second.press("?")
        await second.until("Show all keys")


async def test_closed_tab_ends_its_viewer_and_training_goes_on(browser: int, tmp_path: Path):
    options = ("--name", "trained", "--max_batches", "100000", "--checkpoint_every", "1000000")
    with training(tmp_path, "trained", *SMALL, *options) as run:
        run.until_step(1)
        async with shown(browser, tmp_path, "trained") as (server, tab):
            await tab.until("RUNNING")
            (viewer,) = await server.until_viewers(1)
            await tab.close()
            await server.until_viewers(0)
            assert not viewer.is_running()
            step = run.until(lambda event: event["type"] == "step")["step"]
            assert run.until_step(step + 2)
            async with opened(browser, server.page()) as again:
                await again.until("RUNNING")
        assert run.until(lambda event: event["type"] == "step"), "nor does the end of the server end it"
        assert psutil.pid_exists(run.engine)


async def test_list_of_runs_opens_consoles_and_links_lead_to_the_browsers(browser: int, tmp_path: Path):
    arc_run(tmp_path / "runs", "with_checkpoints")
    make_run(tmp_path / "runs", name="second").update(created=1.0)
    async with shown(browser, tmp_path) as (server, tab):
        await tab.until("second")
        await tab.press("ArrowDown", "Enter")
        await tab.until("second  ◆ FINISHED")
        await tab.press("r")
        await tab.until("with_checkpoints")
        await tab.press("ArrowUp", "Enter")
        await tab.until_gone("second  ")
        await tab.press("k")
        await tab.until("Checkpoints of with_checkpoints")
        await tab.press("Enter")
        await tab.until("with_checkpoints/checkpoint_0000")
        await tab.press("q")
        await tab.until("Checkpoints of with_checkpoints")
        await tab.evaluate("document.querySelector('nav a[href=\"/results\"]').click()")
        await tab.until("valuations")
        assert len(await server.until_viewers(1)) == 1
        await tab.press("q")
        await tab.until_true("document.querySelector('#told').textContent === 'It has ended.'")
        await tab.evaluate("document.querySelector('nav a[href=\"/inspect\"]').click()")
        await tab.until("with_checkpoints/checkpoint_0000")


async def test_no_key_of_a_reader_asks_anything(browser: int, tmp_path: Path):
    with living(tmp_path / "runs", name="live") as live:
        async with shown(browser, tmp_path, "live", "--read-only") as (_, tab):
            await tab.until("RUNNING")
            assert await tab.evaluate("document.querySelector('#read-only').hidden") is False
            for key in "cvps":
                await tab.press(key)
            await tab.until("Opened for reading only")
            assert live.commands() == []
        assert list(tmp_path.glob("*.svg")) == []


async def test_nothing_of_a_hostile_run_is_obeyed_by_the_page(browser: int, tmp_path: Path):
    texts = ["<img src=x onerror=alert(1)>\x1b]0;owned\x07", *hostile_texts()]
    hostile_run(tmp_path / "runs", texts, "<img src=x onerror=alert(1)>")
    async with shown(browser, tmp_path, "<img") as (server, tab):
        await tab.until("<img src=x onerror=alert(1)>")
        await tab.evaluate(
            "globalThis.copied = []; navigator.clipboard.writeText = async text => { copied.push(text); }"
        )
        for digit in "12345678":
            await tab.press(digit)
        await tab.until("\\x1b]")
        await tab.press("r")
        await tab.until("Runs in runs")
        await tab.press("Escape")
        assert await tab.evaluate("document.title") == "arc-tui"
        kinds = await tab.evaluate(
            "[...new Set([...document.querySelectorAll('*')].map(e => e.localName))].sort()"
        )
        assert set(kinds) <= {
            *("html", "head", "meta", "title", "link", "script", "style", "body", "header", "nav", "a", "p"),
            *("span", "main", "div", "textarea"),
        }
        assert await tab.evaluate("document.scripts.length") == 1
        assert await tab.evaluate("document.querySelectorAll('.xterm a').length") == 0
        assert await tab.evaluate("copied") == []
        assert tab.dialogs == 0
        assert all(server.address.removeprefix("http:") in address for address in tab.asked)
        # What the user copies by a key is copied, as text.
        await tab.press("8", "C")
        await tab.until("Copied")
        await tab.until_true("copied.length === 1")
        assert "\x1b" not in await tab.evaluate("copied[0]")
