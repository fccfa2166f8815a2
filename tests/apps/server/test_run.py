"""How the server begins and ends: in sentences, and with everything in its place."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ingredients.apps.server.run import _listen, run_server
from ingredients.apps.server.settings import check_host
from ingredients.core.errors import ModelFolderError, OutputError, UserInputError
from ingredients.generation.job_store import JobStore
from ingredients.generation.worker import Maker
from tests.apps.server.conftest import body
from tests.apps.server.listening import listening
from tests.generation.hand_maker import HandMaker

ROOT = Path(__file__).parents[3]


def no_model() -> Maker:
    raise ModelFolderError("The model is damaged.")


def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP  # without which asyncio leaves TCP_NODELAY off


def test_what_cannot_be_is_said_before_anything_listens(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("Dear Ana")
    with pytest.raises(OutputError, match="holds something already"):
        run_server(tmp_path / "other", HandMaker)
    with pytest.raises(UserInputError, match=r"listens on this machine only, not on 0\.0\.0\.0"):
        run_server(tmp_path / "store", HandMaker, host="0.0.0.0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserInputError, match=r"cannot listen on 127\.0\.0\.1, port"):
            run_server(tmp_path / "store", HandMaker, port=taken.getsockname()[1])
    with listening(tmp_path / "store", HandMaker()), pytest.raises(OutputError, match="Another process is writing"):
        run_server(tmp_path / "store", HandMaker, port=0)
    for host in ("127.0.0.1", "localhost", "::1"):
        check_host(host, has_keys=False)
    check_host("0.0.0.0", has_keys=True)


def test_a_model_that_cannot_be_loaded_ends_the_server_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="The model is damaged"):
        run_server(tmp_path / "store", no_model, port=0)


def test_a_signal_ends_the_server_in_good_order_and_the_next_one_goes_on(tmp_path: Path) -> None:
    store, address_file = tmp_path / "store", tmp_path / "address"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.generation.hand_maker", store, address_file, "0.5"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not address_file.exists():
            assert process.poll() is None
            time.sleep(0.05)
        with httpx.Client(base_url=address_file.read_text(), timeout=30) as client:
            while client.get("/healthz").json()["status"] != "ok":
                time.sleep(0.05)
            ids = [client.post("/v1/videos", json=body()).json()["id"] for _ in range(2)]
            while client.get(f"/v1/videos/{ids[0]}").json()["step"] == 0:
                time.sleep(0.02)
            with client.stream("GET", f"/v1/videos/{ids[1]}/events") as stream:  # which does not keep it from ending
                assert stream.status_code == 200
                process.send_signal(signal.SIGTERM)
                _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, told) == (0, "")
    found = JobStore(store)
    assert [job.state for job in found.page(newest_first=False).jobs] == ["queued", "queued"]
    found.close()
    with listening(store, HandMaker()) as address, httpx.Client(base_url=address) as client:
        while len(client.get("/v1/videos", params={"status": "completed"}).json()["data"]) < 2:
            time.sleep(0.05)
