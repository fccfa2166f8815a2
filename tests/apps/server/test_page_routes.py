"""What the page asks of a server without a model."""

import asyncio
import contextlib
import dataclasses
import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import matplotlib
import numpy as np
import pytest
from PIL import Image

from ingredients.apps.server.app import ServerState
from ingredients.apps.server.event_stream import SECONDS_BETWEEN_LOOKS
from ingredients.apps.server.judgements import Judgements
from ingredients.apps.server.keys import KeyRing, make_key
from ingredients.apps.server.requests import SentRequest
from ingredients.apps.server.settings import ServerDefaults
from ingredients.core.errors import ModelFolderError, PhotoError, UserInputError
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.job_store import JobStore, QueueFullError, StoreLimits
from ingredients.generation.page_help import JudgedFile
from ingredients.generation.progress import StepDone
from ingredients.media.video import write_video
from ingredients.pipelines.execution.speed_options import SpeedOptions
from tests.apps.server.conftest import EXAMPLES, Serve
from tests.apps.server.listening import listening
from tests.generation.hand_maker import FACTS, HandMaker

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, format="PNG")
    return file.getvalue()


def form(content: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"input_references": ("a.png", content, "image/png")}


def test_faces_of_a_photo_are_listed_with_their_doubts(serve: Serve) -> None:
    client = serve().client
    seen = client.post("/v1/faces", files=form(png(230, 120, (200, 90, 60)))).json()
    assert [face["number"] for face in seen["faces"]] == [1, 2]
    assert seen["faces"][1]["box"] == [0.5, 0.0, 1.0, 1.0]
    assert seen["faces"][0]["notes"] == ["The face is small."]
    assert seen["faces"][0]["crop"].startswith("data:image/png;base64,")
    assert (seen["refusal"], seen["is_photograph"]) == (None, False)
    photograph = client.post("/v1/faces", files=form(png(120, 120, (20, 30, 200)))).json()
    assert photograph["is_photograph"]
    assert photograph["can_be_drawn"]
    assert "photograph" in photograph["refusal"]
    for files, status, sentence in (
        (form(b"no picture"), 400, "photo"),
        ({}, 415, "form"),
        ({"other": ("a.png", b"x", "image/png")}, 422, "input_references"),
    ):
        refused = client.post("/v1/faces", files=files)
        assert refused.status_code == status
        assert sentence in refused.json()["error"]["message"]


def test_an_estimate_grows_with_the_work_and_names_what_the_model_does_not_know(serve: Serve) -> None:
    served = serve()
    assert served.client.post("/v1/estimates", json={"prompt": "One yodel."}).json() == {
        "seconds": None,
        "is_rough": False,
        "waiting": 0,
        "bytes": 0,
        "notes": ["The text encoder does not know 'yodel'."],
        "error": None,
    }
    served.when_ended(served.ask()["id"])
    one = served.client.post("/v1/estimates", json={"num_inference_steps": 3, "people": ["ana", "ben"]}).json()
    two = served.client.post("/v1/estimates", json={"num_inference_steps": 6, "people": ["ana", "ben"]}).json()
    assert one["seconds"] == 0.25
    assert two["seconds"] == 0.5
    taken = {"num_inference_steps": 3, "takes": 4}
    assert served.client.post("/v1/estimates", json=taken).json()["seconds"] == 1.0
    assert one["bytes"] == 200_000_000
    wrong = served.client.post("/v1/estimates", json={"width": 33}).json()
    assert wrong["error"] is not None
    assert wrong["seconds"] is None
    assert served.client.post("/v1/estimates", json={"steps": 3}).status_code == 422


def test_notes_are_told_by_what_is_asked_for(serve: Serve) -> None:
    served = serve(defaults=ServerDefaults(sampling={"guidance_scale": 3.0}))
    asked = {"prompt": "They wave.", "people": ["ana", "ben"]}

    def estimate(**changes: Any) -> dict[str, Any]:
        return dict(served.client.post("/v1/estimates", json=asked | changes).json())

    assert estimate()["error"] is None
    estimate(layout_share=0.0, place={"ana": "right", "ben": "left"})
    assert served.maker.noted == [
        ({"guidance_scale": 3.0}, None),
        ({"guidance_scale": 3.0, "layout_share": 0.0}, [1, 0]),
    ]
    same = estimate(place={"ana": "left", "ben": "left"})
    assert "leave no room for 1 of 2 people" in same["error"]
    assert served.maker.noted[-1][1] is None


def test_an_estimate_goes_by_passes_caches_and_tiles(serve: Serve) -> None:
    served = serve()

    def estimate(**asked: Any) -> dict[str, Any]:
        return dict(served.client.post("/v1/estimates", json={"people": ["ana", "ben"], **asked}).json())

    served.when_ended(served.ask()["id"])
    assert (estimate()["seconds"], estimate()["is_rough"]) == (0.25, False)  # of two passes a step
    assert estimate(perturbed_attention_scale=1.0)["seconds"] == pytest.approx(0.375, abs=0.006)
    assert estimate(guidance_scale=1.0)["seconds"] == pytest.approx(0.125, abs=0.006)
    assert estimate(decode_in_tiles=True)["bytes"] == estimate()["bytes"] - 20_000_000
    for manner in ({"step_cache": "pab"}, {"likeness_guidance_scale": 2.0}):
        assert (estimate(**manner)["seconds"], estimate(**manner)["is_rough"]) == (0.25, True)
    served.when_ended(served.ask(step_cache="pab", num_inference_steps=6)["id"])  # twice as quick, by hand
    assert (estimate(step_cache="pab")["seconds"], estimate(step_cache="pab")["is_rough"]) == (0.12, False)
    assert estimate(step_cache="none")["seconds"] == 0.25
    assert "choose one of first-block, pab, faster, none" in estimate(step_cache="mag")["error"]
    refused = served.client.post("/v1/estimates", json={"perturbed_attention_scale": -1.0})
    assert refused.status_code == 422
    assert "perturbed_attention_scale" in refused.json()["error"]["message"]


def test_an_estimate_tells_what_the_server_has_from_a_video_all_of_whose_steps_are_worked_out(serve: Serve) -> None:
    maker = HandMaker()
    maker.facts = dataclasses.replace(FACTS, speed=SpeedOptions(step_cache="pab"))
    served = serve(maker=maker)
    served.when_ended(served.ask()["id"])

    def is_rough(**asked: Any) -> bool:
        return bool(served.client.post("/v1/estimates", json=asked).json()["is_rough"])

    assert (is_rough(), is_rough(step_cache="pab"), is_rough(step_cache="none")) == (False, False, True)


def test_people_to_start_with_are_those_of_the_examples(serve: Serve) -> None:
    client = serve().client
    assert client.get("/v1/examples").json() == ["ana", "ben", "cleo"]
    for name in ("ana", "ben", "cleo"):
        drawn = np.asarray(Image.open(io.BytesIO(client.get(f"/v1/examples/{name}").content)))
        assert (drawn == np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("RGB"))).all()
    assert client.get("/v1/examples/nobody").status_code == 404


def test_the_person_of_a_photograph_is_drawn_and_corrected(serve: Serve) -> None:
    client = serve().client
    drawn = client.post("/v1/drawings", files=form(HOPPER.read_bytes())).json()
    assert drawn["features"]["glasses"] == "round"
    assert drawn["choices"]["glasses"] == ["none", "round", "square", "dark"]
    by_hand = client.post("/v1/drawings", files=form(HOPPER.read_bytes()), data={"features": '{"hat": "band"}'}).json()
    assert by_hand["features"]["hat"] == "band"
    assert by_hand["drawing"] != drawn["drawing"]
    for data, sentence in (
        ({"features": '{"hat": "sofa"}'}, "sofa"),
        ({"features": "[1]"}, "object"),
        ({"face": "0"}, "0"),
    ):
        refused = client.post("/v1/drawings", files=form(HOPPER.read_bytes()), data=data)
        assert refused.status_code in (400, 422)
        assert sentence in refused.json()["error"]["message"]


def test_the_best_face_of_each_person_is_there_when_the_video_is(serve: Serve) -> None:
    served = serve()
    record = served.when_ended(served.ask()["id"])
    assert [person["has_best_face"] for person in record["people"]] == [True, True]
    assert record["remarks"] == ["A stranger: face 3 is nobody of those asked for."]
    face = served.client.get(f"/v1/videos/{record['id']}/faces/1")
    assert Image.open(io.BytesIO(face.content)).size == (16, 16)
    assert served.client.get(f"/v1/videos/{record['id']}/faces/2").status_code == 404


def test_a_video_of_any_system_is_judged_and_nothing_is_kept(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    write_video(tmp_path / "a.mp4", np.zeros((9, 32, 48, 3), np.uint8), fps=8)
    video = (tmp_path / "a.mp4").read_bytes()
    files = [("video", ("a.mp4", video, "video/mp4")), ("input_references", ("ana.png", png(120, 120, (9, 9, 9)), ""))]
    before = sorted(path.name for path in served.store.folder.iterdir())
    told = served.client.post("/v1/judgements", files=files, data={"people": "ana"}).json()
    assert [person["name"] for person in told["judgement"]["people"]] == ["ana"]
    assert told["sheet"].startswith("data:image/png")
    assert told["notices"] == ["dlib judges."]
    group = [files[0], *2 * [("input_references", ("all.png", png(120, 120, (9, 9, 9)), ""))]]
    served.client.post("/v1/judgements", files=group, data={"people": ["ana", "ben"], "faces": ["2", ""]}).json()
    assert served.maker.judged == [[("ana", [None])], [("ana", [2]), ("ben", [None])]]
    refused = served.client.post("/v1/judgements", files=group, data={"people": ["ana", "ben"], "faces": ["2"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "faces")
    long = tmp_path / "long.mp4"
    write_video(long, np.zeros((62, 16, 16, 3), np.uint8), fps=1)
    for sent, names, sentence in (
        (files[1:], ["ana"], "Send a video"),
        (files, [], "a name"),
        ([("video", ("a.mp4", b"no video", "")), files[1]], ["ana"], "cannot be read"),
        ([("video", ("a.mp4", long.read_bytes(), "")), files[1]], ["ana"], "at most 60 s"),
    ):
        refused = served.client.post("/v1/judgements", files=sent, data={"people": names})
        assert refused.status_code in (400, 422)
        message = refused.json()["error"]["message"]
        assert sentence in message
        assert str(served.store.folder) not in message
    assert sorted(path.name for path in served.store.folder.iterdir()) == before


def judging_form(folder: Path) -> dict[str, Any]:
    write_video(folder / "a.mp4", np.zeros((9, 32, 48, 3), np.uint8), fps=8)
    video = ("a.mp4", (folder / "a.mp4").read_bytes(), "video/mp4")
    photo = ("ana.png", png(120, 120, (9, 9, 9)), "")
    return {"files": [("video", video), ("input_references", photo)], "data": {"people": "ana"}, "headers": EVENTS}


EVENTS = {"Accept": "text/event-stream"}


class Refusing(HandMaker):
    """Refuses to judge, in words of its own."""

    refusal: UserInputError

    def judge_file(self, video: Path, *_: Any, **__: Any) -> JudgedFile:
        raise self.refusal


def test_why_there_is_no_judgement_is_said_without_folders_of_the_server(serve: Serve, tmp_path: Path) -> None:
    maker, asked = Refusing(), judging_form(tmp_path)
    client = serve(maker=maker).client
    for refusal, status, code in (
        (PhotoError("The photo of ana shows no face."), 400, "photo"),
        (ModelFolderError(f"The model folder lacks {tmp_path}/judge.json."), 500, "server_error"),
    ):
        maker.refusal = refusal
        answer = client.post("/v1/judgements", **{**asked, "headers": {}})
        said = answer.json()["error"]
        assert (answer.status_code, said["code"]) == (status, code)
        assert str(tmp_path) not in said["message"]
        assert status == 400 or said["message"].startswith("The server could not judge this video, for a reason")
        told = client.post("/v1/judgements", **asked).text.split("\n")
        last = [json.loads(line[6:]) for line in told if line.startswith("data: ")][-2]
        assert last["error"] == {"code": code, "message": said["message"]}


def test_a_server_that_stops_ends_a_judgement_and_says_so(serve: Serve, tmp_path: Path) -> None:
    maker, asked = HandMaker(waits=True), judging_form(tmp_path)
    client = serve(maker=maker, state=ServerState(is_stopping=lambda: True)).client
    answer = client.post("/v1/judgements", **{**asked, "headers": {}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
    assert maker.cancelled.wait(10)
    maker.go_on.set()


def test_how_far_a_judgement_is_comes_as_events(serve: Serve, tmp_path: Path) -> None:
    client, asked = serve().client, judging_form(tmp_path)
    answer = client.post("/v1/judgements", **asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]
    last = told[-2]
    assert (last["object"], last["status"], last["progress"]) == ("judgement", "completed", 100)
    assert [person["name"] for person in last["result"]["judgement"]["people"]] == ["ana"]
    assert told[-1] == {"status": "completed"}
    asked["files"][0] = ("video", ("a.mp4", b"no video", ""))
    told = [json.loads(line[6:]) for line in client.post("/v1/judgements", **asked).text.split("\n") if "data" in line]
    assert (told[-2]["error"]["code"], told[-1]["status"]) == ("video", "failed")
    assert "cannot be read" in told[-2]["error"]["message"]
    asked["data"] = {"people": []}
    assert client.post("/v1/judgements", **asked).status_code == 422


class AtTheEnd(HandMaker):
    """Looks at all frames at once, and takes long to say who is who."""

    def judge_file(self, video: Path, people: Sequence[IdentityPhotos], *, title: str, **told: Any) -> JudgedFile:
        told["on_step"](StepDone(step=8, total=8, seconds_left=0.0))
        time.sleep(3 * SECONDS_BETWEEN_LOOKS)
        return super().judge_file(video, people, title=title)


def test_a_judgement_is_not_whole_before_it_is_there(serve: Serve, tmp_path: Path) -> None:
    told = serve(maker=AtTheEnd()).client.post("/v1/judgements", **judging_form(tmp_path)).text.split("\n")
    records = [json.loads(line[6:]) for line in told if line.startswith("data: ")]
    progress = [(record["status"], record["step"], record["progress"]) for record in records[:-1]]
    assert ("in_progress", 8, 99) in progress
    assert progress[-1] == ("completed", 0, 100)


def test_whoever_hangs_up_cancels_the_judgement_and_the_next_one_begins(tmp_path: Path) -> None:
    maker, asked = HandMaker(waits=True), judging_form(tmp_path)
    with listening(tmp_path / "store", maker) as address, httpx.Client(base_url=address, timeout=20) as client:
        while client.get("/healthz").json()["model"] is None:
            time.sleep(0.02)

        def records(response: httpx.Response) -> Iterator[dict[str, Any]]:
            return (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))

        with client.stream("POST", "/v1/judgements", **asked) as first:
            far, told = records(first), {"step": 0}
            while told["step"] < 2:
                told = next(far)
            shown = told["status"], told["num_steps"], told["progress"], told["seconds_left"]
            assert shown == ("in_progress", 8, 25, 6.0)
            with client.stream("POST", "/v1/judgements", **asked) as second:
                waits = records(second)
                assert next(waits)["status"] == "queued"
                with client.stream("POST", "/v1/judgements", **asked) as third:
                    assert next(records(third))["status"] == "queued"
                assert not maker.cancelled.is_set()
                first.close()
                assert maker.cancelled.wait(10)
                maker.go_on.set()
                assert [record["status"] for record in waits][-1] == "completed"
        assert list((tmp_path / "store").glob("passing-*")) == []
        maker.go_on.clear()
        maker.cancelled.clear()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/v1/judgements", **{**asked, "headers": {}}, timeout=1.0)
        assert maker.cancelled.wait(10)
        assert len(maker.judged) == 3  # the third one hung up before its turn


def test_judgements_wait_on_the_disk_and_not_without_end(tmp_path: Path) -> None:
    maker, asked, store = HandMaker(waits=True), judging_form(tmp_path), tmp_path / "store"

    def waiting() -> list[str]:
        while True:
            with contextlib.suppress(FileNotFoundError):  # of a folder that goes meanwhile
                return sorted(file.name for file in store.glob("passing-*/*"))

    def wait_for(number: int) -> None:
        for _ in range(1000):
            if len(waiting()) == 2 * number:
                return
            time.sleep(0.02)
        raise AssertionError(f"{waiting()} lie there, of {number} judgements")

    with listening(store, maker) as address, httpx.Client(base_url=address, timeout=20) as client:
        while client.get("/healthz").json()["model"] is None:
            time.sleep(0.02)
        with contextlib.ExitStack() as others:
            answers = [others.enter_context(client.stream("POST", "/v1/judgements", **asked)) for _ in range(8)]
            assert [answer.status_code for answer in answers] == 8 * [200]
            wait_for(8)
            assert waiting() == 8 * ["photo-0"] + 8 * ["video"]
            refused = client.post("/v1/judgements", **asked)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
            assert refused.json()["error"]["message"].startswith("8 videos wait to be judged already")
            assert int(refused.headers["Retry-After"]) > 0
            answers[-1].close()
            wait_for(7)  # who hangs up makes room before it would have been the turn
            bad = client.post("/v1/judgements", files=asked["files"][:1], data=asked["data"])
            assert bad.status_code == 422
            wait_for(7)  # what is refused holds no place
            with client.stream("POST", "/v1/judgements", **asked) as again:
                assert again.status_code == 200
                wait_for(8)
        wait_for(0)
        maker.go_on.set()
        assert client.post("/v1/judgements", **{**asked, "headers": {}}).status_code == 200


def test_sixteen_judgements_wait_of_all_keys_and_eight_of_each(tmp_path: Path) -> None:
    judgements = Judgements(JobStore(tmp_path), most_photo_pixels=10**6, is_stopping=lambda: False)
    sent = SentRequest(fields={"video": b"a video", "people": ["ana"]}, photos=(png(9, 9, (9, 9, 9)),), is_form=True)

    async def read() -> SentRequest:
        return sent

    async def unread() -> SentRequest:
        raise AssertionError("a request that is not taken is not read")

    async def take() -> None:
        taken = [await judgements.take(owner, read) for owner in ("ana", "ben") for _ in range(8)]
        with pytest.raises(QueueFullError, match=r"^16 videos wait to be judged already, and the server lets 16 wait"):
            await judgements.take("eve", unread)
        taken[0].leave()
        with pytest.raises(QueueFullError, match=r"^8 videos .* lets 8 wait"):
            await judgements.take("ben", unread)
        await judgements.take("eve", read)

    asyncio.run(take())


def test_a_video_to_judge_is_not_taken_where_the_disk_is_full(serve: Serve, tmp_path: Path) -> None:
    client = serve(store_limits=StoreLimits(least_free_bytes=2**62)).client
    answer = client.post("/v1/judgements", **judging_form(tmp_path))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "store_full")


def test_everything_needs_the_key(serve: Serve, tmp_path: Path) -> None:
    make_key(tmp_path / "keys.json", "ana")
    client = serve(keys=KeyRing(tmp_path / "keys.json")).client
    for address in ("faces", "drawings", "estimates", "judgements"):
        assert client.post(f"/v1/{address}", files=form(b"x")).status_code == 401, address
    for address in ("examples", "examples/ana", f"videos/video_{'0' * 24}/faces/0"):
        assert client.get(f"/v1/{address}").status_code == 401, address
