"""A real ComfyUI, started headless on the CPU with the nodes installed, and asked over HTTP.

`COMFYUI_FOLDER` names its checkout, `COMFYUI_PYTHON` the interpreter that has what it needs (this one by default).
Where that interpreter has no torchvision or torchaudio, which ComfyUI imports at its start for models and nodes that
are not used here, empty modules stand in for them.
"""

import base64
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
NODES = ROOT / "comfyui"

_SECONDS_TO_START = 120


class ComfyUI:
    """One that listens."""

    def __init__(self, port: int, base: Path, log: Path) -> None:
        self.base, self._log, self._port = base, log, port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.known: dict[str, Any] = {}

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ask(self, prompt: dict[str, Any]) -> str:
        """Puts a prompt into the queue."""
        answer = self.client.post("/prompt", json={"prompt": prompt, "client_id": "tests"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])

    def wait(self, prompt_id: str) -> dict[str, Any]:
        """What became of it."""
        given_up = time.monotonic() + 120
        while time.monotonic() < given_up:
            record = self.client.get(f"/history/{prompt_id}").json().get(prompt_id)
            if record is not None and record["status"]["status_str"] is not None:
                return dict(record)
            time.sleep(0.1)
        raise AssertionError(f"{prompt_id} does not end:\n{self.log[-3000:]}")

    def messages(self) -> "WebSocket":
        """What it tells a page."""
        return WebSocket(self._port, "/ws?clientId=tests")


class WebSocket:
    """As much of one as it takes to listen: text frames without fragments."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        assert b"101" in self._file.readline()
        while self._file.readline() != b"\r\n":
            pass

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def next(self) -> dict[str, Any] | bytes:
        """The next message: JSON, or the bytes of a preview."""
        kind, length = self._file.read(2)
        if length >= 126:
            length = int.from_bytes(self._file.read(2 if length == 126 else 8), "big")
        content = self._file.read(length)
        if kind & 0x0F == 1:
            return dict(json.loads(content))
        return content


@contextlib.contextmanager
def running_comfyui(folder: Path, base: Path) -> Iterator[ComfyUI]:
    """Starts one whose files lie in `base`."""
    for name in ("custom_nodes", "input", "output", "models", "user"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "ingredients").symlink_to(NODES, target_is_directory=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = base / "log.txt"
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", f"sqlite:///{base}/user/comfyui.db"]
    command += ["--disable-api-nodes"]
    path = os.pathsep.join([str(Path(__file__).parent / "without_torchvision"), str(ROOT / "src")])
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=file, env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
        )
    try:
        comfyui = ComfyUI(port, base, log)
        given_up = time.monotonic() + _SECONDS_TO_START
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < given_up, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                comfyui.known = comfyui.client.get("/object_info").json()
                break
            time.sleep(0.2)
        yield comfyui
    finally:
        process.terminate()
        process.wait()


def as_prompt(workflow: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A workflow as it is saved, as ComfyUI's page sends it: inputs by name, wires as node and slot.

    Args:
        workflow: of a file.
        known: what ComfyUI says of its nodes.
    """
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        inputs: dict[str, Any] = {}
        values = iter(node["widgets_values"])
        declared = known[node["type"]]["input"]
        specs = {**declared.get("required", {}), **declared.get("optional", {})}
        for each in node["inputs"]:
            if "widget" in each:
                inputs[each["name"]] = next(values)
                if len(specs[each["name"]]) > 1 and specs[each["name"]][1].get("control_after_generate"):
                    next(values)
            if each["link"] is not None:
                inputs[each["name"]] = sources[each["link"]]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt
