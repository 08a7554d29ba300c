"""The server of `arc-tui serve`: one page, and a websocket for each app that somebody looks at.

Over the websocket go the bytes of a terminal: keys come in, and what the app draws goes out, as binary
messages. Text messages are JSON: the page says `{"size": [columns, lines]}`, the server `{"read_only": bool}`
at the start and `{"told": sentence}` at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from arc_core.base.errors import ConfigError
from arc_core.base.signals import ENDING
from arc_core.base.text import printable
from arc_tui.runs.engine import Program
from arc_tui.serve.access import FOREIGN, NO_TOKEN, Access, is_same_origin
from arc_tui.serve.viewer import TerminalSize, Viewer, size_in

STATIC = Path(__file__).parent / "static"
MOST_VIEWERS = 16
MOST_TYPED = 65_536
"""Bytes of one message of a page, which sends what is pasted in pieces."""
FIRST_WORD_SECONDS = 10.0
"""How long a page may take to say its size."""
HEARTBEAT_SECONDS = 20.0
"""How often a page is asked whether it is still there."""
FAREWELL_SECONDS = 10.0
"""How long the viewers may take to leave when the server ends."""

HEADERS = {
    # xterm.js measures letters by style elements of its own; everything else comes from here alone.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "arc-tui",
    "X-Content-Type-Options": "nosniff",
}

# Whoever sends garbage would write into our terminal, and addresses hold the token. Made here, out of
# reach of whatever sets up all loggers of a process.
_SILENT = logging.Logger("arc_tui.serve")
_SILENT.addHandler(logging.NullHandler())

ENDED = "It has ended."
FULL = f"There are {MOST_VIEWERS} viewers already: close one of them."
CLOSING = "arc-tui serve has been ended; training goes on."
NOT_STARTED = "The viewer cannot be started: the machine has no terminal or no process left."


@dataclass(frozen=True)
class WebPage:
    """What a page shows.

    Attributes:
        words: A command of `arc-tui` with its options.
        what: Its arguments.
    """

    words: tuple[str, ...]
    what: tuple[str, ...] = ()

    def command(self, *, read_only: bool) -> list[str]:
        """Return the command line of a process that shows it."""
        options = ["--read-only"] if read_only else []
        return Program.COMMANDS.command(*self.words, *options, "--", *self.what)


def views_of(run: str | None, runs_dir: Path, evals_dir: Path) -> dict[str, WebPage]:
    """Return the pages by their paths.

    Args:
        run: The run that console and browser open; None begins with the list of runs, and the newest one.
        runs_dir: The folder of runs.
        evals_dir: The folder of evaluations.
    """
    runs, what = ("--runs-dir", str(runs_dir)), () if run is None else (run,)
    choose = ("--choose",) if run is None else ()
    return {
        "/": WebPage(("attach", *choose, *runs), what),
        "/inspect": WebPage(("inspect", "checkpoint", *runs), what),
        "/results": WebPage(("inspect", "results", "--evals-dir", str(evals_dir))),
    }


def listening(host: str, port: int) -> socket.socket:
    """Begin to listen.

    Args:
        host: An address of this machine, or a name of one.
        port: 0 takes a free one.

    Raises:
        ConfigError: If it is no address of this machine, or the port is taken or not allowed.
    """
    try:
        family, *_, address = socket.getaddrinfo(host or " ", port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        told = isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno
        reason = os.strerror(told) if told else "that is no address of this machine"
        raise ConfigError(f'Cannot listen on "{printable(host, 100)}", port {port}: {reason}.') from None


class Server:
    """Shows apps in pages.

    Args:
        views: What is shown, by the paths of the pages.
        access: Who may look and steer.
        port: Where it listens; a cookie is sent to all ports of a machine, so its name has the port.
    """

    def __init__(self, views: Mapping[str, WebPage], access: Access, port: int) -> None:
        self._views = views
        self._access = access
        self._cookie = f"arc_tui_{port}"
        self._sockets: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """Make what aiohttp serves."""
        application = web.Application(middlewares=[self._guarded])
        for path in self._views:
            application.router.add_get(path, self._page)
            application.router.add_get(f"/terminal{path}", self._terminal)
        application.router.add_static("/static", STATIC)
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._dismiss)
        return application

    @web.middleware
    async def _guarded(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer only who knows the token, and keep it out of the address from then on."""
        if not self._access.is_own_host(request.host):
            raise web.HTTPForbidden(text=FOREIGN)
        typed = request.query.get("token")
        if not self._access.knows(typed if typed is not None else request.cookies.get(self._cookie)):
            raise web.HTTPForbidden(text=NO_TOKEN)
        if typed is None:
            with _told_bugs():
                return await handler(request)
        response = web.Response(status=303, headers={"Location": request.path})
        response.set_cookie(self._cookie, typed, httponly=True, samesite="Strict")
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.FileResponse(STATIC / "index.html")

    async def _terminal(self, request: web.Request) -> web.StreamResponse:
        """Show an app over a websocket until either side leaves."""
        if not is_same_origin(request.headers.get("Origin"), request.host):
            raise web.HTTPForbidden(text=FOREIGN)
        page = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MOST_TYPED)
        await page.prepare(request)
        if len(self._sockets) >= MOST_VIEWERS:
            await _tell(page, FULL)
            return page
        self._sockets.add(page)
        try:
            view = self._views[request.path.removeprefix("/terminal")]
            steers = self._access.may_steer(request.remote, request.headers)
            await _show(page, view, steers=steers)
        finally:
            self._sockets.discard(page)
        return page

    async def _dismiss(self, application: web.Application) -> None:
        del application
        await asyncio.gather(*(_tell(page, CLOSING) for page in [*self._sockets]))


async def _show(page: web.WebSocketResponse, view: WebPage, *, steers: bool) -> None:
    size = await _first_size(page)
    if size is None:
        return
    await page.send_json({"read_only": not steers})
    try:
        viewer = await Viewer.start(view.command(read_only=not steers), size, may_write=steers)
    except OSError:
        await _tell(page, NOT_STARTED)
        return
    showing = asyncio.create_task(_relay(viewer, page))
    try:
        async for message in page:
            if message.type is WSMsgType.BINARY:
                viewer.type(message.data)
            elif message.type is WSMsgType.TEXT and (size := _size_of(message.data)) is not None:
                viewer.resize(size)
    finally:
        await viewer.close()
        await showing


async def _relay(viewer: Viewer, page: web.WebSocketResponse) -> None:
    """Send what an app draws until it has ended; once the page has gone, only read it."""
    while drawn := await viewer.output():
        with contextlib.suppress(ConnectionError):
            await page.send_bytes(drawn)
    await _tell(page, ENDED)


async def _first_size(page: web.WebSocketResponse) -> TerminalSize | None:
    try:
        message = await page.receive(FIRST_WORD_SECONDS)
    except TimeoutError:
        return None
    return _size_of(message.data) if message.type is WSMsgType.TEXT else None


def _size_of(text: str) -> TerminalSize | None:
    try:
        return size_in(json.loads(text))
    except (ValueError, RecursionError):
        return None


async def _tell(page: web.WebSocketResponse, sentence: str) -> None:
    """Say a last sentence and close."""
    with contextlib.suppress(ConnectionError):
        await page.send_json({"told": sentence})
    await page.close(code=WSCloseCode.GOING_AWAY)


@contextlib.contextmanager
def _told_bugs() -> Iterator[None]:
    """Print the traceback of what no handler expects: aiohttp's own log is silent."""
    try:
        yield
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        for line in "".join(traceback.format_exception(error)).splitlines():
            sys.stderr.write(f"{printable(line, 1000)}\n")
        raise


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers.update(HEADERS)


@contextlib.asynccontextmanager
async def serving(server: Server, on: socket.socket) -> AsyncIterator[None]:
    """Answer on a socket within the block; its viewers end with it, training does not."""
    runner = web.AppRunner(
        server.application(), access_log=None, logger=_SILENT, shutdown_timeout=FAREWELL_SECONDS
    )
    await runner.setup()
    try:
        await web.SockSite(runner, on).start()
        yield
    finally:
        await runner.cleanup()


async def run(server: Server, on: socket.socket, begun: Callable[[], None]) -> None:
    """Serve until a signal asks for an end.

    Args:
        server: What is served.
        on: Where it listens.
        begun: Called once it answers.
    """
    ended = asyncio.Event()
    for number in (signal.SIGHUP, *ENDING):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with serving(server, on):
        begun()
        await ended.wait()
