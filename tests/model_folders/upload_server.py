"""A hub on this computer that takes uploads: as much of the protocol as `create_repo` and `upload_folder` speak.

Accounts, repositories, "preupload" (which files are large), git-lfs for large ones, and commits of newline-delimited
JSON. The newer transfer of large files (Xet) has a server and a client of its own and is switched off here, unless a
test says that no file is large.
"""

import base64
import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from tests.model_folders.hub_server import COMMIT, Hub, point_at

TOKEN = "hf_of_someone"


@dataclasses.dataclass
class UploadHub:
    """What the server holds, and what it was asked."""

    folder: Path  # repositories, as folders OWNER/NAME
    url: str = ""
    account: str = "someone"
    organisations: tuple[str, ...] = ("club",)
    large: float = 1000  # bytes from which on files are large
    refusals: dict[str, int] = dataclasses.field(default_factory=dict)  # status by the beginning of a path
    private: dict[str, bool] = dataclasses.field(default_factory=dict)  # by repository
    requests: list[str] = dataclasses.field(default_factory=list)  # method and path of each
    objects: dict[str, bytes] = dataclasses.field(default_factory=dict)  # large files by their SHA-256
    commits: list[str] = dataclasses.field(default_factory=list)  # repositories in the order of commits

    def repository(self, repo_id: str) -> Path:
        return self.folder / repo_id

    def names(self, repo_id: str) -> set[str]:
        """The files of a repository."""
        entries = Hub(self.repository(repo_id), repo_id).entries()
        return {entry["path"] for entry in entries}

    def create(self, repo_id: str, *, private: bool = False) -> None:
        self.repository(repo_id).mkdir(parents=True)
        (self.repository(repo_id) / ".gitattributes").write_text("*.safetensors filter=lfs\n")
        self.private[repo_id] = private


class _RefusedError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "refused", url: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.url = status, code, url


def _answer(hub: UploadHub, method: str, path: str, body: bytes, *, token: str) -> Any:
    """What the hub says to a request; `_RefusedError` is an error."""
    refusal = next((status for beginning, status in hub.refusals.items() if path.startswith(beginning)), None)
    if refusal is not None:
        raise _RefusedError(refusal)
    if path.startswith("lfs/"):
        hub.objects[path.removeprefix("lfs/")] = body
        return {}
    if token != f"Bearer {TOKEN}":
        raise _RefusedError(401)
    if path == "api/whoami-v2":
        return {"name": hub.account, "orgs": [{"name": name} for name in hub.organisations]}
    if path == "api/validate-yaml":
        assert json.loads(body)["content"].startswith("---\n")
        return {"errors": [], "warnings": []}
    if path == "api/repos/create":
        return _create(hub, json.loads(body))
    if path.endswith(".git/info/lfs/objects/batch"):
        objects = json.loads(body)["objects"]
        return {
            "objects": [each | {"actions": {"upload": {"href": f"{hub.url}/lfs/{each['oid']}"}}} for each in objects]
        }
    _, _, owner, name, *rest = path.split("/")
    repo_id = f"{owner}/{name}"
    if not hub.repository(repo_id).is_dir():
        raise _RefusedError(404, "RepoNotFound")
    if not rest or rest[0] == "revision":
        siblings = [{"rfilename": name} for name in sorted(hub.names(repo_id))]
        return {"id": repo_id, "sha": COMMIT, "private": hub.private[repo_id], "siblings": siblings}
    if rest[0] == "tree":
        return Hub(hub.repository(repo_id), repo_id).entries()
    if owner not in (hub.account, *hub.organisations):
        raise _RefusedError(403, message="You do not have write access.")
    if rest[0] == "preupload":
        return {"files": [_mode(hub, each) for each in json.loads(body)["files"]]}
    assert (method, rest) == ("POST", ["commit", "main"])
    return _commit(hub, repo_id, body)


def _create(hub: UploadHub, wanted: dict[str, Any]) -> dict[str, str]:
    repo_id = f"{wanted['organization']}/{wanted['name']}"
    if wanted["organization"] not in (hub.account, *hub.organisations):
        raise _RefusedError(403, message="You do not have the rights to create a model under that namespace.")
    if hub.repository(repo_id).is_dir():
        raise _RefusedError(409, message="You already created this model repo", url=f"{hub.url}/{repo_id}")
    hub.create(repo_id, private=wanted.get("visibility") == "private")
    return {"url": f"{hub.url}/{repo_id}"}


def _mode(hub: UploadHub, file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["size"] >= hub.large else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


def _commit(hub: UploadHub, repo_id: str, body: bytes) -> dict[str, str]:
    for line in body.decode().splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "header":
            continue
        path = hub.repository(repo_id) / value["path"]
        if key == "deletedFile":
            path.unlink()
            continue
        content = base64.b64decode(value["content"]) if key == "file" else hub.objects[value["oid"]]
        if key == "lfsFile":
            assert hashlib.sha256(content).hexdigest() == value["oid"]
            assert len(content) == value["size"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    hub.commits.append(repo_id)
    return {"commitUrl": f"{hub.url}/{repo_id}/commit/{COMMIT}", "commitOid": COMMIT}


@contextmanager
def run_upload_hub(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    """A hub without repositories, to which somebody is logged in, while the block runs."""
    hub = UploadHub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _handle(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.requests.append(f"{self.command} {path}")
            try:
                answer, status, code = self._ask(path), 200, ""
            except _RefusedError as refusal:
                answer = {"error": str(refusal), "url": refusal.url}
                status, code = refusal.status, refusal.code
            body = json.dumps(answer).encode()
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "X-Error-Code": code}
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _ask(self, path: str) -> Any:
            body, token = self._body(), self.headers.get("Authorization", "")
            return _answer(hub, self.command, path, body, token=token)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_POST = do_PUT = _handle  # noqa: N815 - names of http.server

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    point_at(hub.url, cache, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
