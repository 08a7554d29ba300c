"""The server as a browser sees it, with a small program in the place of the console."""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType, WSServerHandshakeError

from arc_tui.serve import server as served
from arc_tui.serve import viewer
from arc_tui.serve.access import TOKEN, Access
from arc_tui.serve.server import CLOSING, ENDED, FULL, STATIC, Server, WebPage, listening, serving

SECRET = "0123456789abcdefSECRET"
PATIENCE_SECONDS = 60.0

APP = r"""
import os, signal, subprocess, sys, tty
tty.setraw(0)
def tell(*words): os.write(1, (" ".join(map(str, words)) + ";").encode())
def size(*_): tell("size", *os.get_terminal_size())
signal.signal(signal.SIGWINCH, size)
size()
tell("pid", os.getpid(), *sys.argv[1:])
while key := os.read(0, 1):
    if key == b"w":
        try:
            with open("written", "w") as file: file.write("x")
            tell("wrote")
        except OSError as error: tell("refused", error.strerror)
    elif key == b"e": tell("environment", os.environ["TERM"], "SECRET" in str(os.environ))
    elif key == b"d": signal.signal(signal.SIGTERM, signal.SIG_IGN); tell("deaf")
    elif key == b"a": tell("apart", subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
    elif key == b"b": tell("beside", subprocess.Popen(["sleep", "600"]).pid)
    elif key == b"q": sys.exit()
    else: tell("key", key)
"""
"""Tells its size and its keys. `w` writes a file, `d` takes no SIGTERM, `a` and `b` start processes."""


@dataclass(frozen=True)
class Shown(WebPage):
    """The program of the tests as a page."""

    def command(self, *, read_only: bool) -> list[str]:
        return [sys.executable, "-c", APP, "reads" if read_only else "steers"]


PUBLISHED = {
    "addon-fit.mjs": "2d87e1bddc73be9111de8beee5370c3bb7aac9c94e18e6f245f02ca741ef1769",
    "xterm.css": "854a7c0fb70e8b1a083c16797ab827299fb18744f5ad34f227b48337e33293c6",
    "xterm.mjs": "b336ec65a086c056d4804b3d4c2347da5663d3f23c3f25be866467bd8857ad59",
}
"""The SHA-256 of what others made, as @xterm/xterm 6.0.0 and @xterm/addon-fit 0.11.0 hold it."""


class Page:
    """What a page does: it says its size, sends keys and takes in what comes."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen = ""
        self.told: list[dict[str, object]] = []

    async def until(self, pattern: str) -> re.Match[str]:
        """Wait until this was drawn."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := re.search(pattern, self.seen)):
                assert await self._take(), f"{pattern} never came: {self.seen} {self.told}"
        return found

    async def until_closed(self) -> str:
        """Wait until the server closes; returns the last sentence."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._take():
                pass
        return str(self.told[-1].get("told"))

    async def _take(self) -> bool:
        message = await self.socket.receive()
        if message.type is WSMsgType.BINARY:
            self.seen += message.data.decode()
        elif message.type is WSMsgType.TEXT:
            self.told.append(json.loads(message.data))
        return message.type in (WSMsgType.BINARY, WSMsgType.TEXT)


class Browser:
    """Opens pages, with the cookie once it has logged in."""

    def __init__(self, client: ClientSession, port: int, closing: contextlib.AsyncExitStack) -> None:
        self.client = client
        self.port = port
        self.end_server = closing.aclose

    async def page(self, size: str = '{"size": [100, 30]}', **headers: str) -> Page:
        sent = {"Origin": f"http://127.0.0.1:{self.port}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        page = Page(await self.client.ws_connect("/terminal/", headers=sent))
        await page.socket.send_str(size)
        return page


@contextlib.asynccontextmanager
async def browser(read_only: bool | None = None, *, logged_in: bool = True) -> AsyncIterator[Browser]:
    server = Server({"/": Shown(()), "/inspect": Shown(())}, Access(SECRET, read_only=read_only), 1234)
    async with contextlib.AsyncExitStack() as closing:
        on = closing.enter_context(listening("127.0.0.1", 0))
        port = on.getsockname()[1]
        await closing.enter_async_context(serving(server, on))
        async with ClientSession(f"http://127.0.0.1:{port}", cookie_jar=CookieJar(unsafe=True)) as client:
            if logged_in:
                await client.get("/", params={"token": SECRET})
            yield Browser(client, port, closing)


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": SECRET[:-1]}, {"token": "ü"}])
@pytest.mark.parametrize("path", ["/", "/inspect", "/static/page.mjs", "/terminal/", "/none"])
async def test_nothing_is_answered_without_the_token(path: str, query: dict[str, str]):
    async with browser(logged_in=False) as one:
        answer = await one.client.get(path, params=query)
        assert answer.status == 403
        assert await answer.text() == served.NO_TOKEN
        assert not answer.cookies


async def test_websocket_without_the_token_is_refused():
    async with browser(logged_in=False) as one:
        with pytest.raises(WSServerHandshakeError, match="403"):
            await one.page()
        one.client.cookie_jar.update_cookies({"arc_tui_1234": SECRET[:-1] + "x"})
        with pytest.raises(WSServerHandshakeError, match="403"):
            await one.page()


async def test_token_moves_from_the_address_into_a_cookie_that_no_script_reads():
    async with browser(logged_in=False) as one:
        first = await one.client.get("/inspect", params={"token": SECRET}, allow_redirects=False)
        assert (first.status, first.headers["Location"]) == (303, "/inspect")
        cookie = first.cookies["arc_tui_1234"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert (await one.client.get("/inspect")).status == 200
        assert (await one.client.get("/none")).status == 404


async def test_cookie_does_not_help_a_wrong_token():
    async with browser() as one:
        assert (await one.client.get("/")).status == 200
        assert (await one.client.get("/", params={"token": "wrong"})).status == 403


async def test_token_is_in_no_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    caplog.set_level(logging.DEBUG)
    async with browser() as one:
        page = await one.page()
        await page.until("pid")
        await page.socket.send_bytes(b"eq")
        assert await page.until_closed() == ENDED
        assert "environment xterm-256color False;" in page.seen
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(f"GET /?token={SECRET}\x1b]0;x\x07 \r\nbad header\x00\r\n\r\n".encode())
        await writer.drain()
        await reader.read()
        writer.close()
    assert SECRET not in caplog.text
    assert capfd.readouterr() == ("", "")


async def test_bug_of_the_server_prints_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def fail(request: object) -> None:
        raise RuntimeError("a bug\x1b]0;x\x07")

    monkeypatch.setattr(served.web, "FileResponse", fail)
    async with browser() as one:
        assert (await one.client.get("/")).status == 500
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "RuntimeError: a bug" in told
    assert SECRET not in told
    assert "\x1b" not in told


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", ""])
async def test_websocket_of_another_page_is_refused(origin: str):
    async with browser() as one:
        with pytest.raises(WSServerHandshakeError, match="403"):
            await one.page(Origin=origin)


async def test_name_that_was_led_here_is_refused():
    async with browser() as one:
        answer = await one.client.get("/", headers={"Host": "evil.example"})
        assert (answer.status, await answer.text()) == (403, served.FOREIGN)
        with pytest.raises(WSServerHandshakeError, match="403"):
            await one.page(Host="evil.example", Origin="http://evil.example")


async def test_page_takes_everything_from_its_own_server():
    async with browser() as one:
        answer = await one.client.get("/")
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        text = await answer.text()
        asked = re.findall(r'(?:src|href)="(/static/[^"]*)"', text)
        assert len(asked) == 3
        for path in [*asked, "/static/xterm.mjs", "/static/addon-fit.mjs"]:
            assert (await one.client.get(path)).status == 200
        assert (await one.client.get("/static/../server.py")).status == 404
    for name in ("index.html", "page.css", "page.mjs"):
        assert "//" not in (STATIC / name).read_text().replace("`${scheme}//${location.host}", "").replace(
            "// ", ""
        )


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_others_made_is_as_they_published_it(name: str):
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == PUBLISHED[name]


async def test_keys_go_in_and_sizes_too():
    async with browser() as one:
        page = await one.page()
        await page.until("size 100 30;")
        await page.socket.send_bytes(b"x\x1b")
        await page.until(r"key b'x';key b'\\x1b';")
        for nonsense in ("", "{", '{"size": [0, 5]}', '{"size": [5000, 5]}', '{"size": "x"}', "[" * 9999):
            await page.socket.send_str(nonsense)
        await page.socket.send_str('{"size": [80, 24]}')
        await page.until("size 80 24;")
        assert page.seen.count("size ") == 2


@pytest.mark.parametrize("first", ["", '{"size": [80]}', '{"size": [true, 24.5]}'])
async def test_page_that_says_no_size_gets_no_viewer(first: str):
    async with browser() as one:
        page = await one.page(first)
        assert not await page._take()
        assert (page.seen, page.told) == ("", [])


async def test_from_elsewhere_a_viewer_only_looks_and_can_write_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    async with browser() as one:
        reader, steerer = await one.page(X_Forwarded_For="10.0.0.9"), await one.page()
        await reader.until("pid .* reads;")
        assert reader.told == [{"read_only": True}]
        await reader.socket.send_bytes(b"w")
        await reader.until("refused File too large;")
        assert (tmp_path / "written").read_text() == ""
        await steerer.until("pid .* steers;")
        assert steerer.told == [{"read_only": False}]
        await steerer.socket.send_bytes(b"w")
        await steerer.until("wrote;")


@pytest.mark.parametrize(("read_only", "what"), [(True, "reads"), (False, "steers")])
async def test_read_only_is_for_everybody_where_it_is_said(read_only: bool, what: str):
    async with browser(read_only) as one:
        for headers in ({}, {"Via": "proxy"}):
            await (await one.page(**headers)).until(f"pid .* {what};")


async def test_viewers_are_bounded_and_each_has_its_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(served, "MOST_VIEWERS", 2)
    async with browser() as one:
        first, second = await one.page(), await one.page()
        pids = [int((await page.until(r"pid (\d+)"))[1]) for page in (first, second)]
        assert pids[0] != pids[1]
        assert await (await one.page()).until_closed() == FULL
        await first.socket.close()
        await gone(pids[0])
        assert psutil.pid_exists(pids[1])
        while True:  # the server counts a viewer until its process has ended
            page = await one.page()
            await page._take()
            if page.told[0] != {"told": FULL}:
                break
        await page.until("pid")


@pytest.mark.parametrize("keys", [b"", b"d"])
async def test_closed_page_ends_its_viewer_and_not_what_runs_apart(
    keys: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(viewer, "LAST_WORD_SECONDS", 0.5 if keys else 60)
    async with browser() as one:
        page = await one.page()
        own = int((await page.until(r"pid (\d+)"))[1])
        await page.socket.send_bytes(keys + b"ab")
        apart = int((await page.until(r"apart (\d+);"))[1])
        beside = int((await page.until(r"beside (\d+);"))[1])
        await page.socket.close()
        await gone(own)
        await gone(beside)
        assert psutil.pid_exists(apart), "as training does"
        os.kill(apart, 9)


async def test_lost_connection_ends_its_viewer():
    async with browser() as one:
        page = await one.page()
        own = int((await page.until(r"pid (\d+)"))[1])
        transport = page.socket.get_extra_info("socket")
        assert transport is not None
        transport.shutdown(2)
        await gone(own)


async def test_app_that_ends_is_told():
    async with browser() as one:
        page = await one.page()
        await page.until("pid")
        await page.socket.send_bytes(b"q")
        assert await page.until_closed() == ENDED


async def test_server_that_ends_takes_its_viewers_along_and_tells_the_pages():
    async with browser() as one:
        page = await one.page()
        own = int((await page.until(r"pid (\d+)"))[1])
        ending = asyncio.create_task(one.end_server())
        assert await page.until_closed() == CLOSING
        await ending
        await gone(own)


async def test_variables_of_the_servers_terminal_are_not_the_pages(monkeypatch: pytest.MonkeyPatch):
    told = viewer.environment({"TMUX": "x", "TERM": "dumb", "LINES": "3", TOKEN: SECRET, "NO_COLOR": "1"})
    assert told == {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}
