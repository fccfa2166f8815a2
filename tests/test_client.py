"""The client, against a server that listens on this machine and makes videos without a model."""

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingredients.client import Client, Photo, ServerError
from ingredients.core.errors import PhotoError
from ingredients.media.video import read_video
from tests.apps.server.listening import listening
from tests.generation.hand_maker import HandMaker

EXAMPLES = Path(__file__).parents[1] / "examples"
ANA, BEN = EXAMPLES / "ana.png", EXAMPLES / "ben.png"


@contextlib.contextmanager
def served(store: Path, maker: HandMaker) -> Iterator[Client]:
    with listening(store, maker) as address, Client(address, patience=10) as client:
        yield client


def test_it_needs_neither_the_models_nor_the_servers_libraries() -> None:
    heavy = ("torch", "diffusers", "transformers", "fastapi", "pydantic", "uvicorn", "av")
    script = f"import sys, ingredients.client; print(set({heavy!r}) & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout == "set()\n"


def test_from_photos_to_a_file(tmp_path: Path) -> None:
    maker = HandMaker(seconds_a_step=0.3)
    with served(tmp_path / "store", maker) as client:
        assert client.model()["id"] == "by-hand"
        video = client.create(
            prompt="Two people wave.",
            people={"ana": [ANA, BEN.read_bytes()], "ben": Photo(content=BEN, face=2)},
            seed=3,
            size="64x40",
            allow_photographs=True,
            place={"ben": {0: "left", 8: (0.5, 0.0, 1.0, 1.0)}},
            takes=2,
        )
        assert (video.status, video.seed, [person.photos for person in video.people]) == ("queued", 3, [2, 1])
        told = []
        done = client.wait(video.id, on_change=told.append)
        assert (done.status, done.progress, done.size) == ("completed", 100, "64x40")
        assert done.people[0].similarity == 0.9124
        assert done.people[1].place == {"0": "left", "8": [0.5, 0.0, 1.0, 1.0], "strength": 4.0}
        assert done.kept_take is not None
        assert (done.takes, done.kept_take.seed, len(done.kept_take.all)) == (2, 4, 2)
        assert {1, 2} < {each.step for each in told}
        client.download(video.id, tmp_path / "out.mp4")
        assert read_video(tmp_path / "out.mp4").frames.shape == (9, 40, 64, 3)
        client.download(video.id, tmp_path / "sheet.png", variant="contact_sheet")
        assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
        again = client.wait(client.remix(video.id, seed=4, keep_routing=True).id)
        assert [each.id for each in client.videos()] == [again.id, video.id]
        client.delete(video.id)
        assert [each.id for each in client.videos(statuses=["completed"])] == [again.id]
        assert maker.made[0].allow_photographs


def test_refusals_are_the_servers_sentences(tmp_path: Path) -> None:
    with served(tmp_path / "store", HandMaker(waits=True)) as client:
        with pytest.raises(ServerError, match="The prompt is empty") as raised:
            client.create(prompt=" ", people={"ana": ANA})
        assert (raised.value.status, raised.value.code) == (400, "prompt")
        with pytest.raises(PhotoError, match=r"nowhere\.png of ana cannot be read"):
            client.create(prompt="A person waves.", people={"ana": "nowhere.png"})
        for act in (client.retrieve, client.wait, client.cancel, client.delete):
            with pytest.raises(ServerError, match="There is no such video"):
                act(f"video_{'0' * 24}")
        video = client.create(prompt="A person waves.", people={"ana": ANA})
        with pytest.raises(ServerError, match="it is not done yet"):
            client.download(video.id, tmp_path / "out.mp4")
        assert not (tmp_path / "out.mp4").exists()
        assert client.cancel(video.id).status == "cancelled"
        assert client.wait(video.id).status == "cancelled"


def test_a_server_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with listening(store, HandMaker(waits=True)) as address:
        client = Client(address, patience=20)
        video = client.create(prompt="A person waves.", people={"ana": ANA})
        while client.retrieve(video.id).step == 0:
            time.sleep(0.01)
    port = int(address.rpartition(":")[2])
    ended: list[str] = []
    waiting = threading.Thread(target=lambda: ended.append(client.wait(video.id).status))
    waiting.start()
    with listening(store, HandMaker(), port=port):
        waiting.join(20)
    assert ended == ["completed"]


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs/service.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    maker = HandMaker()
    with listening(tmp_path / "store", maker) as address:
        for example in examples:
            exec(example.replace("http://127.0.0.1:8080", address), {})
    assert read_video(tmp_path / "beach.mp4").frames.shape == (9, 32, 48, 3)
    assert [request.seed for request in maker.made[:2]] == [3, 4]
    assert sorted(request.seed for request in maker.made[2:]) == [0, 1, 2, 3]


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9", patience=0) as client, pytest.raises(ServerError, match="is it running"):
        client.retrieve("video_1")


def test_a_remix_whose_answer_is_lost_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path / "store", HandMaker()) as client:
        video = client.wait(client.create(prompt="A person waves.", people={"ana": ANA}).id)
        send, keys = client._http.request, []

        def lose_the_first(*asked: Any, **options: Any) -> httpx.Response:
            answer = send(*asked, **options)
            keys.append(options["headers"])
            if len(keys) == 1:
                raise httpx.ReadError("The line broke.")
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(client._http, "request", lose_the_first)
            again = client.remix(video.id, seed=4)
        assert [each.id for each in client.videos()] == [again.id, video.id]
        assert keys[0] == keys[1]
