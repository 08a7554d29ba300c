"""A hub on loopback: what huggingface_hub asks of one, with repositories in memory.

Files of 100 bytes and more lie in large file storage, to which the hub redirects: another server, which must
not be told the token. `from fake_hub import hub` gives the fixture.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import huggingface_hub
import huggingface_hub.constants
import pytest

TOKEN = "hf_averysecrettokenthatnobodymaysee"
LARGE = 100


@dataclass
class Repo:
    """One repository: its files, and who may see it."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    commits: list[str] = field(default_factory=lambda: ["a" * 40])
    told_sizes: dict[str, int | None] = field(default_factory=dict)


@dataclass
class Asked:
    """One request, and how many bytes of a file it was given."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    served: int = 0


@dataclass
class FakeHub:
    """What is there, what was asked, and what goes wrong: the hub's faults by name."""

    url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)
    stored: dict[str, bytes] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    busy: int = 0
    storage: str = ""

    def served(self, file: str = "") -> int:
        """Bytes of files that were given."""
        return sum(one.served for one in self.asked if one.path.endswith(file))

    def paths(self, method: str) -> list[str]:
        return [one.path for one in self.asked if one.method == method]


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[FakeHub]
    is_storage: ClassVar[bool] = False

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, code: int, body: bytes = b"", error: str = "", **headers: str) -> None:
        self.send_response(code)
        if error:
            # As servers do that mean to be helpful.
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", f"not with {self.headers.get('Authorization')}")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    def _json(self, content: Any, code: int = 200, **headers: str) -> None:
        self._answer(code, json.dumps(content).encode(), Content_Type="application/json", **headers)

    def _take(self) -> Asked:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            self.command,
            unquote(urlsplit(self.path).path),
            {key.lower(): value for key, value in self.headers.items()},
            body,
        )
        self.hub.asked.append(asked)
        return asked

    def _refused(self, name: str) -> bool:
        """Refuse a repository that is not there, or not for who asks."""
        repo, token = self.hub.repos.get(name), self.headers.get("Authorization")
        if repo is None:
            self._answer(404 if token else 401, error="RepoNotFound")
        elif token not in (None, f"Bearer {TOKEN}"):
            self._answer(401, error="Unauthorized")
        elif repo.private and token is None:
            self._answer(401, error="RepoNotFound")
        elif repo.gated:
            self._answer(403, error="GatedRepo")
        else:
            return False
        return True

    def _wait(self) -> bool:
        if self.hub.busy:
            self.hub.busy -= 1
            self._answer(503)
            return True
        if "hang" in self.hub.faults:
            self.hub.released.wait(60)
            return True
        return False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        asked = self._take()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", asked.path):
            if not self._wait() and not self._refused(match[1]):
                self._info(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", asked.path):
            if "hang on files" in self.hub.faults:
                self.hub.released.wait(60)
            elif not self._wait() and (self.is_storage or not self._refused(match[1])):
                self._file(asked, *match.groups())
        else:
            self._answer(404)

    def _info(self, name: str, revision: str | None) -> None:
        repo = self.hub.repos[name]
        if revision not in (None, "main", *repo.commits):
            self._answer(404, error="RevisionNotFound")
        elif "no JSON" in self.hub.faults:
            self._answer(200, b"<html>hello</html>")
        else:
            sizes = {file: len(data) for file, data in repo.files.items()} | repo.told_sizes
            siblings = [{"rfilename": file, "size": size} for file, size in sizes.items()]
            about = {"id": name, "sha": repo.commits[-1], "private": repo.private, "siblings": siblings}
            self._json(about)

    def _file(self, asked: Asked, name: str, revision: str, file: str) -> None:
        repo = self.hub.repos[name]
        data = repo.files.get(file)
        if revision not in ("main", *repo.commits) or data is None:
            self._answer(404, error="EntryNotFound" if data is None else "RevisionNotFound")
            return
        digest = hashlib.sha256(data).hexdigest()
        about = {"ETag": f'"{digest}"', "X-Repo-Commit": repo.commits[-1]}
        if len(data) >= LARGE and not self.is_storage:
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"'}
            self._answer(302, Location=f"{self.hub.storage}{self.path}", **about, **linked)
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match is None or "no ranges" in self.hub.faults:
            asked.served = len(data) if self.command == "GET" else 0
            self._answer(200, data if self.command == "GET" else b"", Content_Length=str(len(data)), **about)
            return
        first, last = int(match[1]), int(match[2])
        part = data[first : last + 1]
        asked.served = len(part)
        place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        if "another part" in self.hub.faults:
            place = f"bytes 0-{len(part) - 1}/{len(data) + 1}"
        if "too much" in self.hub.faults:
            part += b"more"
        if "drip" in self.hub.faults:
            self._answer(206, Content_Range=place, Content_Length=str(len(part)), **about)
            for at in range(len(part)):
                if self.hub.released.wait(0.05):
                    break
                with contextlib.suppress(OSError):
                    self.wfile.write(part[at : at + 1])
            return
        if "too little" in self.hub.faults:
            self._answer(206, part[:-1], Content_Range=place, Content_Length=str(len(part)), **about)
        else:
            self._answer(206, part, Content_Range=place, **about)

    def do_POST(self) -> None:
        asked = self._take()
        if self._wait():
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, error="Unauthorized")
        elif "read only" in self.hub.faults:
            self._answer(403, b'{"error": "not you"}', error="Forbidden")
        elif asked.path == "/api/repos/create":
            self._create(json.loads(asked.body))
        elif asked.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", asked.path):
            files = json.loads(asked.body)["files"]
            self._json({"files": [self._upload_mode(match[1], one) for one in files]})
        elif re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", asked.path):
            objects = json.loads(asked.body)["objects"]
            self._json({"transfer": "basic", "objects": [self._upload(one) for one in objects]})
        elif asked.path == "/lfs/verify":
            self._json({})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", asked.path):
            self._commit(match[1], [json.loads(line) for line in asked.body.splitlines()])
        else:
            self._answer(404)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repos:
            self._json({"error": "there is one"}, 409)
            return
        private = wanted.get("private", wanted.get("visibility") == "private")
        self.hub.repos[name] = Repo({".gitattributes": b"*.safetensors filter=lfs\n"}, bool(private))
        self._json({"url": f"{self.hub.url}/{name}"})

    def _upload_mode(self, name: str, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def _upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
        storage = {"href": f"{self.hub.storage}/lfs/{wanted['oid']}", "header": {}}
        check = {"href": f"{self.hub.url}/lfs/verify", "header": {}}
        return {**wanted, "authenticated": True, "actions": {"upload": storage, "verify": check}}

    def do_PUT(self) -> None:
        asked = self._take()
        self.hub.stored[asked.path.rpartition("/")[2]] = asked.body
        self._answer(200)

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repo = self.hub.repos[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                stored = self.hub.stored[value["oid"]]
                assert hashlib.sha256(stored).hexdigest() == value["oid"]
                repo.files[value["path"]] = stored
        commit = hashlib.sha1(str(lines).encode()).hexdigest()
        repo.commits.append(commit)
        self._json(
            {"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit, "success": True}
        )


@contextlib.contextmanager
def serving() -> Iterator[FakeHub]:
    """Serve a hub and its storage, each on a port of its own."""
    handler = type("Handler", (_Handler,), {})
    storage = type("Storage", (_Handler,), {"is_storage": True})
    with contextlib.ExitStack() as stack:
        urls: list[str] = []
        for kind in (handler, storage):
            http = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), kind))
            urls.append(f"http://127.0.0.1:{http.server_address[1]}")
            thread = threading.Thread(target=http.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(http.shutdown)
        found = FakeHub(urls[0], storage=urls[1])
        handler.hub = storage.hub = found  # type: ignore[attr-defined]
        stack.callback(found.released.set)
        yield found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that this process asks, with a cache and a home of its own; nobody is logged in."""
    with serving() as found:
        constants = huggingface_hub.constants
        # huggingface_hub reads its environment once, when it is imported.
        for name, value in {
            "ENDPOINT": found.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": found.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_URL_HOSTS": frozenset({"127.0.0.1"}),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value, raising=False)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield found
        huggingface_hub.close_session()
