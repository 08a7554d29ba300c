"""A real browser with a person at it: Debian's Chromium, spoken to by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse
from command import PATIENCE_SECONDS

NEEDED = "ARC_TUI_NEEDS_BROWSER"
"""The variable by which CI says that a missing browser is a failure."""

ROWS = "[...document.querySelectorAll('.xterm-rows > div')].map(row => row.textContent).join('\\n')"
"""What stands on the terminal of the page."""

KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "ArrowUp": ("", 38), "ArrowDown": ("", 40)}


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[int]:
    """Start a browser with a profile of its own; gives the port of its DevTools.

    A test that needs one is skipped where there is none, and fails where `ARC_TUI_NEEDS_BROWSER` is set.
    """
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get(NEEDED):
            pytest.fail("There is no chromium: apt-get install chromium")
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run", "about:blank"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    with process:
        try:
            told = folder / "DevToolsActivePort"
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (told.exists() and told.read_text().count("\n")):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield int(told.read_text().splitlines()[0])
        finally:
            os.killpg(process.pid, 9)


class Tab:
    """A tab of the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.asked: list[str] = []
        """Every address that the page has asked for."""
        self.dialogs = 0
        self.problems: list[str] = []
        """What the page complained of: errors, and what its policy forbids."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return what it answers."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked.append(told["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs += 1
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.problems.append(told["entry"]["text"])

    async def evaluate(self, script: str) -> Any:
        """Return what a script of the page gives."""
        answer = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self) -> str:
        """Return what stands on the terminal; a tab behind another one draws nothing."""
        await self.call("Page.bringToFront")
        return (await self.evaluate(ROWS)).replace("\xa0", " ")

    async def until(self, text: str) -> str:
        """Wait until this stands on the terminal; return all that does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in (shown := await self.text()):
            assert time.monotonic() < deadline, f"{text} never appears:\n{shown}"
            await asyncio.sleep(0.05)
        return shown

    async def until_gone(self, text: str) -> None:
        """Wait until this stands on the terminal no more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text in (shown := await self.text()):
            assert time.monotonic() < deadline, f"{text} stays:\n{shown}"
            await asyncio.sleep(0.05)

    async def until_true(self, script: str) -> None:
        """Wait until a script of the page gives true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while await self.evaluate(script) is not True:
            assert time.monotonic() < deadline, f"{script} is never true:\n{await self.text()}"
            await asyncio.sleep(0.05)

    async def press(self, *keys: str) -> None:
        """Press keys: letters, or names of `KEYS`."""
        for key in keys:
            text, code = KEYS[key] if key in KEYS else (key, ord(key.upper()))
            own = {"key": key, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **own)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **own)

    async def resize(self, width: int, height: int) -> None:
        """Give the page another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        shot = await self.call("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self) -> None:
        """Close the tab, as its cross does."""
        with contextlib.suppress(TypeError, ConnectionError):  # its last word may be that it has gone
            await self.call("Page.close")


@contextlib.asynccontextmanager
async def opened(port: int, address: str) -> AsyncIterator[Tab]:
    """Open an address in a new tab."""
    devtools = f"http://127.0.0.1:{port}"
    async with ClientSession() as session:
        async with session.put(f"{devtools}/json/new?about:blank") as answer:
            target = await answer.json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime", "Network", "Log"):
                await tab.call(f"{domain}.enable")
            await tab.resize(1280, 900)
            await tab.call("Page.navigate", url=address)
            yield tab
