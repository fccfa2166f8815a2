"""A hub on this computer: the parts of the Hugging Face protocol that a download uses, over a folder of files.

Files of a hundred bytes and more are "large": named by their SHA-256, as with git-lfs, and served in ranges.
"""

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LARGE = 100


@dataclasses.dataclass
class Hub:
    """What the server shows, and what it was asked for."""

    folder: Path
    repo_id: str
    refusal: tuple[int, str] | None = None  # status and X-Error-Code of every answer
    dies_after: int | None = None  # bytes of a file after which the connection breaks, and every later one is refused
    damages: bool = False  # whether large files arrive with another first byte
    newest: str | None = COMMIT
    info: bytes | None = None  # answer to what the repository is, instead of the right one
    tree: bytes | None = None  # answer to which files it has, instead of the right one
    url: str = ""
    served: list[tuple[str, int]] = dataclasses.field(default_factory=list)  # file and first byte of each request

    def entries(self) -> list[dict[str, Any]]:
        listed = []
        for path in sorted(each for each in self.folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            entry: dict[str, Any] = {
                "type": "file",
                "path": path.relative_to(self.folder).as_posix(),
                "size": len(content),
                "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if len(content) >= _LARGE:
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            listed.append(entry)
        return listed


def point_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE do to a new process, and no waiting where huggingface_hub asks again."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(time, "sleep", lambda _: None)


@contextmanager
def run_hub(folder: Path, repo_id: str) -> Iterator[Hub]:
    """Serves a folder as the repository `repo_id` while the block runs."""
    hub = Hub(folder, repo_id)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            if hub.refusal is not None:
                self._send(hub.refusal[0], b"", {"X-Error-Code": hub.refusal[1]})
            elif not path.startswith((f"api/models/{repo_id}", f"{repo_id}/resolve/")):
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif path.startswith("api/"):
                if "/revision/" in path and path.rpartition("/")[2] not in ("main", "v1", hub.newest):
                    self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
                    return
                answer: Any = hub.entries() if "/tree/" in path else {"id": repo_id, "sha": hub.newest, "siblings": []}
                body = hub.tree if "/tree/" in path else hub.info
                body = json.dumps(answer).encode() if body is None else body
                self._send(200, body, {"Content-Type": "application/json"})
            else:
                self._send_file(path.split("/", 4)[4], with_body=with_body)

        def _send_file(self, name: str, *, with_body: bool) -> None:
            entry = next((each for each in hub.entries() if each["path"] == name), None)
            if entry is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            content = (hub.folder / name).read_bytes()
            if hub.damages and len(content) >= _LARGE:
                content = bytes([content[0] ^ 1]) + content[1:]
            headers = {
                "ETag": f'"{entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]}"',
                "X-Repo-Commit": str(hub.newest),
                "Accept-Ranges": "bytes",
            }
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            if with_body:
                hub.served.append((name, start))
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206 if start else 200, content[start:], headers, with_body=with_body)

        def _send(self, status: int, body: bytes, headers: dict[str, str], *, with_body: bool = True) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body and self.command == "GET":
                self.close_connection = hub.dies_after is not None and len(body) > hub.dies_after
                self.wfile.write(body[: hub.dies_after] if self.close_connection else body)
                if self.close_connection:
                    hub.refusal = (503, "")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
