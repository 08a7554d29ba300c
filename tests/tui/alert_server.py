"""A server on loopback that takes alerts, or hangs, or refuses."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class AlertServer:
    """What it was sent, and how it answers: the codes in turn, the last one from then on; 0 hangs."""

    url: str
    codes: list[int]
    posted: list[Posted] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    released: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Posted]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.posted) >= count, seconds), self.posted
            return list(self.posted)

    @property
    def titles(self) -> list[str]:
        return [posted.headers["Title"] for posted in self.posted]


@contextlib.contextmanager
def serving(*codes: int) -> Iterator[AlertServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with server.changed:
                server.posted.append(Posted(self.path, dict(self.headers), body))
                code = server.codes[min(len(server.posted), len(server.codes)) - 1]
                server.changed.notify_all()
            if code == 0:
                server.released.wait(60)
                return
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"{server.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = AlertServer(f"http://127.0.0.1:{http.server_address[1]}/topic", list(codes) or [200])
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            http.shutdown()
            thread.join()
