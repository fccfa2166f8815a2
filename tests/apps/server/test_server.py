"""The addresses of the server: from photos to a video, and every refusal a sentence."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ingredients.apps.server.app import STATIC, ServerState, create_app
from ingredients.apps.server.keys import KeyRing, make_key, remove_keys
from ingredients.apps.server.settings import RequestLimits, ServerDefaults
from ingredients.apps.server.worker_team import WorkerCensus
from ingredients.core.config import config_from_dict
from ingredients.core.errors import ModelFolderError, SpeedOptionError
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.jobs import PREVIEW, PREVIEW_ROUTING, PersonTurn
from ingredients.generation.video_record import VideoRecord
from ingredients.media.video import read_video
from ingredients.pipelines.execution.speed_options import SpeedOptions, VideoOptions
from ingredients.pipelines.video_shape import VideoShape
from tests.apps.server.conftest import Serve, body, data_url, photo
from tests.fuzz.damage import huge_png
from tests.generation.hand_maker import FACTS, HandMaker


def refusal(response: Any) -> tuple[int, str, str]:
    """Status, code and sentence of a refusal, which has nothing else."""
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"].endswith(".")
    assert "\n" not in error["message"]
    return response.status_code, error["code"], error["message"]


def test_a_form_with_photos_becomes_a_video(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    sent = served.client.post(
        "/v1/videos",
        data={"prompt": "Two people wave.", "people": ["ana", "ben", "ana"], "seed": "7", "size": "64x40", "fps": "4"},
        files=[("input_references", ("../../ana.png", photo("ana"))), ("input_references", ("b", photo("ben"))),
               ("input_references", ("c", photo("cleo")))],
    )  # fmt: skip
    assert sent.status_code == 200, sent.text
    record = served.when_ended(sent.json()["id"])
    assert (record["status"], record["progress"], record["error"]) == ("completed", 100, None)
    assert (record["size"], record["seconds"], record["seed"], record["model"]) == ("64x40", "2.25", 7, "by-hand")
    assert record["variants"] == ["video", "contact_sheet", "routing_map", "routing"]
    people = [(each["name"], each["photos"], each["found"], each["similarity"]) for each in record["people"]]
    assert people == [("ana", 2, True, 0.9124), ("ben", 1, True, 0.9124)]
    file = tmp_path / "video.mp4"
    file.write_bytes(served.client.get(f"/v1/videos/{record['id']}/content").content)
    assert read_video(file).frames.shape == (9, 40, 64, 3)
    for variant in ("contact_sheet", "routing_map"):
        picture = served.client.get(f"/v1/videos/{record['id']}/content", params={"variant": variant})
        assert picture.content.startswith(b"\x89PNG")
    assert served.client.get(f"/v1/videos/{record['id']}/photos/1").content == photo("cleo")
    (request,) = served.maker.made
    assert (request.seed, request.height, request.width) == (7, 40, 64)


def test_people_are_placed_and_of_several_takes_the_record_says_which_was_kept_and_why(serve: Serve) -> None:
    served = serve()
    files = [("input_references", (name, photo(name))) for name in ("ana", "ben")]
    form = {"prompt": "Two people wave.", "people": ["ana", "ben"], "seed": "7", "takes": "3"}
    spelled = {"place": ["Ana@0=left Ana@8=0.5,0,1,1", "ben=right"]}
    sent = served.client.post("/v1/videos", data=form | spelled, files=files)
    assert sent.status_code == 200, sent.text
    assert (sent.json()["takes"], sent.json()["kept_take"]) == (3, None)
    record = served.when_ended(sent.json()["id"])
    assert (record["status"], record["step"], record["num_steps"], record["seed"]) == ("completed", 9, 9, 7)
    kept = record["kept_take"]
    assert (kept["number"], kept["seed"], kept["reason"][:16]) == (2, 8, "Take 2 is kept: ")
    assert [(take["number"], take["seed"], take["likeness"]) for take in kept["all"]] == [
        (1, 7, [0.8, 0.8]), (2, 8, [0.9, 0.9]), (3, 9, [0.8, 0.8]),
    ]  # fmt: skip
    places = {
        "ana": {"0": "left", "8": [0.5, 0.0, 1.0, 1.0], "strength": 4.0},
        "ben": {"0": "right", "strength": 4.0},
    }
    assert {person["name"]: person["place"] for person in record["people"]} == places
    for place in (places, json.dumps(places)):  # an object in JSON, its text in a form
        sent = (
            served.client.post("/v1/videos", json=body(place=place, seed=7))
            if isinstance(place, dict)
            else served.client.post("/v1/videos", data=form | {"place": place, "takes": "1"}, files=files)
        )
        assert served.when_ended(sent.json()["id"])["kept_take"] is None
    again = served.client.post(f"/v1/videos/{record['id']}/remix", json={"seed": kept["seed"], "takes": 1}).json()
    assert (again["takes"], served.when_ended(again["id"])["status"]) == (1, "completed")
    assert [request.seed for request in served.maker.made] == [7, 8, 9, 7, 7, 8]
    assert all(request.places == places for request in served.maker.made)


def test_takes_that_were_not_kept_are_seen_too_and_what_people_do_is_told(serve: Serve) -> None:
    served = serve()
    record = served.when_ended(served.ask(takes=2, seed=5, prompt="Ana waves and ben nods.")["id"])
    address = f"/v1/videos/{record['id']}/content"
    assert [take["has_video"] for take in record["kept_take"]["all"]] == [True, True]
    kept, other = served.client.get(address), served.client.get(f"{address}?take=1")
    assert kept.content == served.client.get(f"{address}?take=2").content != other.content
    assert refusal(served.client.get(f"{address}?take=3"))[2] == "This video has 2 takes, and no file of a take 3."
    assert refusal(served.client.get(f"{address}?take=1&variant=routing"))[:2] == (422, "invalid_request")
    one = served.when_ended(served.ask()["id"])
    address = f"/v1/videos/{one['id']}/content"
    assert served.client.get(f"{address}?take=1").content == served.client.get(address).content
    refused = refusal(served.client.get(f"{address}?take=5"))
    assert refused == (404, "not_found", "This video has one take, and no file of a take 5.")
    assert [person["action"] for person in record["people"]] == [
        {"asked": ["wave"], "seen": "nod", "share": 0.8, "as_asked": False},
        {"asked": ["nod"], "seen": "nod", "share": 0.8, "as_asked": True},
    ]


def test_the_record_says_whose_face_becomes_whose_and_when(serve: Serve) -> None:
    served = serve()
    served.maker.turns = (
        PersonTurn(seconds=0.5, becomes="ben", is_exchange=True),
        PersonTurn(seconds=1.0, becomes=None),
    )
    record = served.when_ended(served.ask()["id"])
    assert record["people"][0]["turns"] == [
        {"seconds": 0.5, "becomes": "ben", "is_exchange": True},
        {"seconds": 1.0, "becomes": None, "is_exchange": False},
    ]
    (turn, lost) = config_from_dict(VideoRecord, record).people[0].turns  # as the client reads it
    assert (turn.becomes, lost.becomes) == ("ben", None)


def test_a_routing_map_is_kept_repainted_and_some_people_alone_are_made_anew(serve: Serve) -> None:
    served = serve()
    first = served.when_ended(served.ask(seed=4, place={"ana": "right"})["id"])
    routing = served.client.get(f"/v1/videos/{first['id']}/content?variant=routing").json()
    assert (routing["people"], len(routing["tokens"]), len(routing["tokens"][0])) == (["ana", "ben"], 3, 4)
    remix = f"/v1/videos/{first['id']}/remix"
    kept = served.client.post(remix, json={"keep_routing": True, "seed": 5}).json()
    assert (kept["has_routing"], kept["people"][0]["place"]) == (True, None)
    edited = [[[1] * 6 for _ in range(4)]] * 3
    painted = served.client.post(remix, json={"routing": routing | {"tokens": edited}}).json()
    only = served.client.post(remix, json={"only": ["ben"], "seed": 9}).json()
    assert only["redrawn"] == ["ben"]
    again = served.client.post(f"/v1/videos/{painted['id']}/remix", json={}).json()
    by_id = served.ask(routing=first["id"])
    by_map = served.ask(routing=json.dumps(routing))
    for record in (kept, painted, only, again, by_id, by_map):
        assert served.when_ended(record["id"])["status"] == "completed"
    made = served.maker.made[1:]
    tokens = [request.routing.tolist() for request in made]  # type: ignore[union-attr]
    assert tokens == [routing["tokens"], edited, routing["tokens"], edited, routing["tokens"], routing["tokens"]]
    assert [request.redrawn for request in made] == [(), (), ("ben",), (), (), ()]
    assert made[2].kept_latents is not None
    assert (made[2].kept_latents.max(), made[2].seed) == (4, 9)


def test_what_another_model_made_is_refused_before_it_is_queued(serve: Serve) -> None:
    served = serve()
    first = served.when_ended(served.ask()["id"])
    remix = f"/v1/videos/{first['id']}/remix"
    forced = served.when_ended(served.client.post(remix, json={"keep_routing": True}).json()["id"])
    served.store.set_facts(dataclasses.replace(FACTS, name="another"))
    refused = refusal(served.client.post(remix, json={"only": ["ben"]}))
    assert refused[:2] == (409, "model")
    assert "made by by-hand, and this server has another now" in refused[2]
    assert served.client.get(f"/v1/videos/{first['id']}").json()["model"] == "by-hand"
    other = dataclasses.replace(FACTS.geometry, own_shape=VideoShape(height=48, width=64, num_frames=9))
    served.store.set_facts(dataclasses.replace(FACTS, geometry=other))
    for video_id, sent in (
        (first["id"], {"keep_routing": True}),
        (first["id"], {"only": ["ben"]}),
        (forced["id"], {}),
    ):
        refused = refusal(served.client.post(f"/v1/videos/{video_id}/remix", json=sent))
        assert refused[:2] == (422, "routing")
        assert "3 frames of 6 rows of 8" in refused[2]
    assert served.store.counters()["accepted"] == 2


def test_a_remix_comes_by_the_limits_of_a_request_and_once(serve: Serve) -> None:
    served = serve(
        limits=RequestLimits(most_upload_bytes=100_000, requests_per_minute=5),
        store_limits=StoreLimits(least_free_bytes=0, most_queued=1),
        maker=HandMaker(waits=True),
    )
    first = served.ask()["id"]
    remix = f"/v1/videos/{first}/remix"
    given_up = time.monotonic() + 20
    while served.store.count_by_state()["in_progress"] < 1:
        assert time.monotonic() < given_up
        time.sleep(0.01)
    assert refusal(served.client.post(remix, content=b" " * 100_001))[:2] == (413, "too_large")
    key = {"Idempotency-Key": "one"}
    sent = [served.client.post(remix, json={"seed": 5}, headers=key).json()["id"] for _ in range(2)]
    assert sent[0] == sent[1] != first  # the second time also while no other one may wait
    assert refusal(served.client.post(remix, json={"seed": 5}))[:2] == (429, "queue_full")
    assert refusal(served.client.post(remix, json={"seed": 5}))[0] == 429  # too many in a minute
    served.maker.go_on.set()
    assert served.when_ended(sent[0])["seed"] == 5


def test_a_request_that_was_taken_is_answered_again_also_while_no_other_may_wait(serve: Serve) -> None:
    served = serve(store_limits=StoreLimits(least_free_bytes=0, most_queued=1), maker=HandMaker(waits=True))
    served.ask()
    given_up = time.monotonic() + 20
    while served.store.count_by_state()["in_progress"] < 1:
        assert time.monotonic() < given_up
        time.sleep(0.01)
    key = {"Idempotency-Key": "one"}
    sent = [served.client.post("/v1/videos", json=body(), headers=key) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [200, 200], sent[-1].text
    assert sent[0].json()["id"] == sent[1].json()["id"]
    assert refusal(served.client.post("/v1/videos", json=body()))[:2] == (429, "queue_full")
    served.maker.go_on.set()


def test_a_request_chooses_options_of_time_and_memory(serve: Serve) -> None:
    served = serve()
    model = served.client.get("/v1/models").json()["data"][0]
    assert model["step_caches"] == ["first-block", "pab", "faster"]
    assert model["words"] == ["beach", "wave"]
    chosen = {"step_cache": "pab", "split_guidance": True, "decode_in_tiles": True}
    record = served.when_ended(served.ask(**chosen, num_inference_steps=2)["id"])
    assert record["settings"] == {"num_inference_steps": 2, **chosen}
    assert served.maker.made[-1].options == VideoOptions(step_cache="pab", split_guidance=True, decode_in_tiles=True)
    again = served.client.post(f"/v1/videos/{record['id']}/remix", json={}).json()
    served.when_ended(again["id"])
    assert served.maker.made[-1].options.step_cache == "pab"
    form = {key: str(value).lower() for key, value in chosen.items()} | {"prompt": "A person waves."}
    sent = served.client.post("/v1/videos", data=form, files={"input_references": photo("ana")})
    assert sent.json()["settings"] == chosen
    served.when_ended(sent.json()["id"])
    assert "step_cache" not in served.when_ended(served.ask()["id"])["settings"]


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        ({"memory": "low"}, "loaded_option", "`ingredients serve --memory`"),
        ({"precision": "auto"}, "loaded_option", "`ingredients serve --precision`"),
        ({"attention_backend": "sage"}, "loaded_option", "--attention-backend"),
        ({"compile": True}, "loaded_option", "step_cache, split_guidance, decode_in_tiles"),
        ({"step_cache": "mag"}, "speed_option", "choose one of first-block, pab, faster, none"),
        ({"step_cache": "bag"}, "invalid_request", "step_cache cannot be"),
        ({"step_cache": "faster", "split_guidance": True}, "speed_option", "leave split guidance out"),
        ({"step_cache": "faster", "perturbed_attention_scale": 1.0}, "speed_option", "these scales need other passes"),
        ({"split_guidance": "perhaps"}, "invalid_request", "true or false"),
    ],
)
def test_options_that_a_request_cannot_choose_are_refused(
    serve: Serve, sent: dict[str, Any], code: str, words: str
) -> None:
    served = serve()
    status, found, sentence = refusal(served.client.post("/v1/videos", json=body(**sent)))
    assert (status, found) == (422, code)
    assert words in sentence


@pytest.mark.parametrize(
    ("sent", "words"),
    [({"split_guidance": True}, "leave split guidance out"), ({"guidance_scale": 1.0}, "choose another step cache")],
)
def test_what_a_request_leaves_out_is_as_the_model_was_loaded_when_options_are_checked(
    serve: Serve, sent: dict[str, Any], words: str
) -> None:
    maker = HandMaker()
    maker.facts = dataclasses.replace(FACTS, speed=SpeedOptions(step_cache="faster"))
    served = serve(maker=maker)
    status, found, sentence = refusal(served.client.post("/v1/videos", json=body(**sent)))
    assert (status, found) == (422, "speed_option")
    assert words in sentence
    assert words in served.client.post("/v1/estimates", json=sent).json()["error"]
    served.ask(**sent, step_cache="none")
    assert served.client.post("/v1/estimates", json=sent | {"step_cache": "none"}).json()["error"] is None


def test_what_the_chosen_options_cannot_do_is_told_to_who_chose_them(serve: Serve) -> None:
    served = serve()
    served.maker.error = SpeedOptionError("These scales have three passes; choose another step cache.")
    failed = served.when_ended(served.ask(step_cache="pab")["id"])
    assert failed["error"] == {"code": "speed_option", "message": str(served.maker.error)}
    assert served.when_ended(served.ask()["id"])["error"]["code"] == "server_error"  # the operator's own choice
    served.maker.error = ModelFolderError("The folder /models/x is damaged.")
    assert served.when_ended(served.ask(step_cache="pab")["id"])["error"]["code"] == "server_error"


def test_the_preview_of_a_killed_worker_is_not_shown(serve: Serve) -> None:
    served = serve(maker=HandMaker(waits=True))
    first, second = served.ask()["id"], served.ask()["id"]
    folder = served.store.folder_of(second)
    for name in (PREVIEW, PREVIEW_ROUTING):
        (folder / name).write_bytes(b"of another attempt")  # as of a worker that was killed
    address = f"/v1/videos/{second}/content?variant=preview"
    assert refusal(served.client.get(address))[:2] == (409, "no_preview")
    nothing = served.client.get(f"{address}&or_nothing=true")  # as the page asks, whose browser calls refusals errors
    assert (nothing.status_code, nothing.content) == (204, b"")
    served.store.cancel(first)
    given_up = time.monotonic() + 20
    while not (record := served.client.get(f"/v1/videos/{second}").json())["step"]:
        assert "preview" not in record["variants"]
        assert time.monotonic() < given_up
        time.sleep(0.01)
    assert served.client.get(address).content.startswith(b"\x89PNG")
    served.maker.go_on.set()


def test_the_preview_of_a_killed_worker_is_gone_before_there_is_another(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingredients.generation.worker._write_preview", lambda preview, folder: None)
    served = serve(maker=HandMaker(waits=True))
    first, second = served.ask()["id"], served.ask()["id"]
    (served.store.folder_of(second) / PREVIEW).write_bytes(b"of another attempt")
    served.store.cancel(first)
    given_up = time.monotonic() + 20
    while not (record := served.client.get(f"/v1/videos/{second}").json())["step"]:
        assert time.monotonic() < given_up
        time.sleep(0.01)
    assert record["variants"] == []
    served.maker.go_on.set()


@pytest.mark.parametrize(
    ("path", "sent", "status", "words"),
    [
        ("remix", {"routing": {"people": ["ana", "ben"], "tokens": [[[0]]]}}, 422, "3 frames of 4 rows of 6"),
        ("remix", {"routing": {"people": ["ana", "eve"], "tokens": [[[0]]]}}, 422, "eve"),
        ("remix", {"routing": {"people": ["ana", "ben"], "tokens": [[[7] * 6] * 4] * 3}}, 422, "holds 7"),
        ("remix", {"routing": {"tokens": "here"}}, 422, "must be an object"),
        ("remix", {"only": ["eve"]}, 422, "no eve"),
        ("remix", {"only": ["ana", "ben"]}, 422, "Everybody"),
        ("", {"routing": "video_" + "0" * 24}, 404, "no such video"),
        ("", {"routing": "left"}, 422, "no JSON"),
        ("", {"routing": [[[0]]]}, 422, "must be an object"),
        ("", {"routing": {"people": ["ana"], "tokens": [[[0]]]}, "place": {"ana": "left"}}, 422, "one of the two"),
    ],
)
def test_a_routing_map_that_does_not_fit_is_refused(
    serve: Serve, path: str, sent: dict[str, Any], status: int, words: str
) -> None:
    served = serve()
    if path:
        record = served.when_ended(served.ask()["id"])
        answer = served.client.post(f"/v1/videos/{record['id']}/{path}", json=sent)
    else:
        answer = served.client.post("/v1/videos", json=body(**sent))
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]


def test_json_does_the_same_and_parts_of_files_are_served(serve: Serve) -> None:
    served = serve()
    record = served.when_ended(served.ask(faces=["", "2"])["id"])
    assert record["people"][1]["name"] == "ben"
    address = f"/v1/videos/{record['id']}/content"
    whole = served.client.get(address)
    part = served.client.get(address, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert served.client.get(address, headers={"Range": "bytes=999999999-"}).status_code == 416
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["x-content-type-options"] == "nosniff"


def test_sync_waits_and_answers_with_the_video_or_the_reason(serve: Serve) -> None:
    served = serve()
    answer = served.client.post("/v1/videos/sync", json=body())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert served.client.get(f"/v1/videos/{answer.headers['x-video-id']}").json()["status"] == "completed"
    served.maker.error = RuntimeError("secret")
    status, code, message = refusal(served.client.post("/v1/videos/sync", json=body()))
    assert (status, code) == (500, "server_error")
    assert "secret" not in message


def test_events_tell_each_step_and_end(serve: Serve) -> None:
    served = serve(maker=HandMaker(seconds_a_step=0.4))
    video_id = served.ask()["id"]
    with served.client.stream("GET", f"/v1/videos/{video_id}/events") as stream:
        text = "".join(stream.iter_text())
    events = [part.split("\ndata: ") for part in text.split("\n\n") if part.startswith("event: ")]
    records = [json.loads(data) for name, data in events if name == "event: video"]
    assert [record["step"] for record in records] == sorted(record["step"] for record in records)
    assert {1, 2} < {record["step"] for record in records}
    assert any("preview" in record["variants"] for record in records)
    assert (events[-1][0], json.loads(events[-1][1])["status"]) == ("event: end", "completed")


def test_delete_cancels_and_removes_and_cancel_keeps_the_record(serve: Serve) -> None:
    served = serve(maker=HandMaker(waits=True))
    running, queued, other = (served.ask()["id"] for _ in range(3))
    while served.client.get(f"/v1/videos/{running}").json()["step"] == 0:
        time.sleep(0.01)
    preview = served.client.get(f"/v1/videos/{running}/content", params={"variant": "preview_routing"})
    assert preview.content.startswith(b"\x89PNG")
    assert served.client.get(f"/v1/videos/{other}").json()["place"] == 2
    assert refusal(served.client.get(f"/v1/videos/{queued}/content"))[:2] == (409, "not_done")
    assert served.client.post(f"/v1/videos/{queued}/cancel").json()["status"] == "cancelled"
    assert served.client.get(f"/v1/videos/{other}").json()["place"] == 1
    assert served.client.delete(f"/v1/videos/{running}").json()["deleted"]
    assert refusal(served.client.get(f"/v1/videos/{running}"))[:2] == (404, "not_found")
    served.maker.go_on.set()
    assert served.when_ended(other)["status"] == "completed"
    assert served.client.get(f"/v1/videos/{queued}").json()["status"] == "cancelled"
    assert not served.store.folder_of(running).exists()


def test_lists_are_paged(serve: Serve) -> None:
    served = serve()
    ids = [served.ask()["id"] for _ in range(3)]
    for video_id in ids:
        served.when_ended(video_id)
    first = served.client.get("/v1/videos", params={"limit": 2}).json()
    assert ([each["id"] for each in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    second = served.client.get("/v1/videos", params={"limit": 2, "after": first["last_id"]}).json()
    assert ([each["id"] for each in second["data"]], second["has_more"]) == ([ids[0]], False)
    assert served.client.get("/v1/videos", params={"status": ["failed", "queued"]}).json()["data"] == []


def test_a_remix_has_the_same_people_and_another_seed(serve: Serve) -> None:
    served = serve()
    first = served.ask(seed=1, num_inference_steps=2)
    second = served.client.post(f"/v1/videos/{first['id']}/remix", json={"seed": 2}).json()
    third = served.client.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "They nod."}).json()
    for record in (first, second, third):
        served.when_ended(record["id"])
    assert [request.seed for request in served.maker.made][:2] == [1, 2]
    assert [request.prompt for request in served.maker.made] == ["Two people wave."] * 2 + ["They nod."]
    assert all(request.sampling == {"num_inference_steps": 2} for request in served.maker.made)


def test_a_request_beats_the_servers_defaults_which_beat_the_models(serve: Serve) -> None:
    defaults = ServerDefaults(
        sampling={"guidance_scale": 3.0, "layout_share": 0.2}, height=40, width=64, negative_prompt="blur"
    )
    served = serve(defaults=defaults)
    records = [
        served.ask(),
        served.ask(guidance_scale=5.0, width=72, negative_prompt="noise"),
        served.ask(size="48x32", layout_share=0.0),
    ]
    for record in records:
        served.when_ended(record["id"])
    plain, other, sized = served.maker.made
    assert plain.sampling == {"guidance_scale": 3.0, "layout_share": 0.2}
    assert (plain.height, plain.width, plain.negative_prompt, plain.num_frames) == (40, 64, "blur", None)
    assert other.sampling == {"guidance_scale": 5.0, "layout_share": 0.2}
    assert (other.height, other.width, other.negative_prompt) == (40, 72, "noise")
    assert sized.sampling == {"guidance_scale": 3.0, "layout_share": 0.0}
    assert (sized.height, sized.width) == (32, 48)
    (model,) = served.client.get("/v1/models").json()["data"]
    assert model["sampling"]["guidance_scale"] == 3.0
    assert model["sampling"]["num_inference_steps"] == 3


@pytest.mark.parametrize(
    ("seconds", "fps", "num_frames"), [("1", 8.0, 9), (2, 8.0, 17), (0.1, 8.0, 1), ("4.5", 4.0, 17)]
)
def test_seconds_become_the_nearest_length_that_the_model_makes(
    serve: Serve, seconds: object, fps: float, num_frames: int
) -> None:
    assert serve().ask(seconds=seconds, fps=fps)["num_frames"] == num_frames


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"prompt": " "}, 400, "prompt is empty"),
    ({"prompt": ...}, 422, "prompt is missing"),
    ({"prompt": 3}, 422, "prompt must be a text, not 3"),
    ({"prompt": "wave " * 2000}, 422, "prompt is too long"),
    ({"take": 3}, 422, "There is no field take; the fields are prompt"),
    ({"takes": 0}, 422, "takes must be at least 1, not 0"),
    ({"takes": 9}, 422, "takes must be at most 8, not 9"),
    ({"takes": "2"}, 422, "takes must be a whole number"),
    ({"place": 3}, 422, "place must be an object such as"),
    ({"place": ["ana", 3]}, 422, "or texts such as ana=left, not a list of 2"),
    ({"place": ["{"]}, 422, "place is no JSON that can be read"),
    ({"place": ["ana"]}, 422, "place ana must be NAME=PLACE"),
    ({"place": ["ana=up"]}, 422, "place ana=up names no place; give left, middle or right"),
    ({"place": {"cleo": "left"}}, 422, "cleo has a place and no photo; give one place to each of ana, ben"),
    ({"place": {"ana": "left", "Ana": "right"}}, 422, "Ana is placed twice"),
    ({"place": {"ana": "up"}}, 422, "The place of ana cannot be 'up'"),
    ({"place": {"ana": "up\n" * 9000}}, 422, "there is no place called"),
    ({"place": {"ana": [0.5, 0, 0.2, 1]}}, 422, "left comes before right"),
    ({"place": {"ana": {"x": "left"}}}, 422, "The place of ana cannot be"),
    ({"place": {"ana": {"9": "left"}}}, 422, "ana has a place at frame 9, but the last of the video's frames is 8"),
    ({"place": {"ana": [0, 0, 1, 1]}}, 422, "The places leave no room for 1 of 2 people"),
    ({"seed": "4"}, 422, "seed must be a whole number"),
    ({"seed": 2**70}, 422, "seed must be at most"),
    ({"num_inference_steps": 0}, 422, "num_inference_steps must be at least 1"),
    ({"num_inference_steps": 900}, 400, "at most 200 steps"),
    ({"guidance_scale": True}, 422, "guidance_scale must be a number"),
    ({"size": "9x"}, 422, "must be a width and a height"),
    ({"size": "48x32", "width": 48}, 422, "say the same"),
    ({"seconds": -1}, 422, "seconds must be a number above 0"),
    ({"height": 33}, 400, "The height 33 is not a multiple of 8"),
    ({"num_frames": 10}, 400, "number of frames 10 is not 8k + 1"),
    ({"width": 16000, "height": 16000}, 400, "larger than this server makes"),
    ({"model": "published"}, 400, "There is no model published here; this server has by-hand"),
    ({"people": ["ana"]}, 400, "2 photos were sent for 1 names"),
    ({"people": ["ana", "b\nen"]}, 400, "letters on one line"),
    ({"people": ["ana", "../ben"]}, 400, "../ben holds a slash"),
    ({"people": ["ana", ""]}, 400, "1 to 80 letters"),
    ({"people": "ana"}, 422, "people must be a list"),
    ({"faces": ["1"]}, 400, "but 1 faces"),
    ({"faces": ["up", "1"]}, 400, "A face is largest, left, right or a number"),
    ({"people": [], "input_references": []}, 400, "No photo was sent"),
    ({"input_references": ["http://169.254.169.254/a.png"] * 2}, 400, "this server fetches none"),
    ({"input_references": ["/etc/passwd"] * 2}, 400, "must be a text such as data:image/png;base64"),
    ({"input_references": ["data:image/png;base64,!!"] * 2}, 400, "no base64"),
    ({"input_references": [data_url(b"Dear Ana")] * 2}, 400, "photo 1 of ana is not an image"),
    ({"input_references": [data_url(b"")] * 2}, 400, "photo 1 of ana is an empty file"),
    ({"input_references": [data_url(photo("ana")[:900])] * 2}, 400, "photo 1 of ana is cut off or damaged"),
    ({"input_references": [data_url(huge_png(9000, 9000))] * 2}, 400, "more than the 40 million"),
    ({"input_references": [data_url(huge_png(99999, 99999))] * 2}, 400, "more than 170 million pixels"),
    ({"people": [f"p{n}" for n in range(9)], "input_references": [data_url(b"x")] * 9}, 400, "at most 8 people"),
    ({"people": ["p"] * 50, "input_references": [data_url(b"x")] * 50}, 400, "at most 24 photos, not 50"),
]


@pytest.mark.parametrize(("changes", "status", "sentence"), BAD, ids=lambda each: str(each)[:40])
def test_a_bad_request_is_refused_in_a_sentence_and_leaves_nothing(
    serve: Serve, changes: dict[str, Any], status: int, sentence: str
) -> None:
    served = serve()
    told_status, _, message = refusal(served.client.post("/v1/videos", json=body(**changes)))
    assert (told_status, sentence in message) == (status, True), message
    assert list((served.store.folder / "jobs").iterdir()) == []
    assert served.store.counters()["accepted"] == 0


def test_bodies_that_are_none_are_refused(serve: Serve) -> None:
    served = serve(limits=RequestLimits(most_upload_bytes=100_000))
    post = served.client.post
    assert refusal(post("/v1/videos", content=b"{}"))[:2] == (415, "content_type")
    as_json = {"Content-Type": "application/json"}
    for content in (b"{", b"[]", b'{"seed": NaN}', b"\xff", b"[" * 9999, b'{"prompt": "a", "prompt": "b"}'):
        assert refusal(post("/v1/videos", content=content, headers=as_json))[0] in (400, 422)
    assert refusal(post("/v1/videos", json=body(prompt="a" * 100_000)))[:2] == (413, "too_large")
    form = served.client.build_request("POST", "/v1/videos", data={"prompt": "a"}, files=[("input_references", b"a")])
    for num_cut in (5, 20, 60):
        cut = post(
            "/v1/videos", content=form.read()[:-num_cut], headers={"Content-Type": form.headers["content-type"]}
        )
        assert refusal(cut) == (400, "form", "The form is cut off; send it again.")
    as_form = {"Content-Type": "multipart/form-data"}
    assert refusal(post("/v1/videos", content=b"--x", headers=as_form))[:2] == (400, "form")
    large = [("input_references", ("a.png", b"x" * 200_000))]
    assert refusal(post("/v1/videos", data={"prompt": "a"}, files=large))[:2] == (413, "too_large")
    other = [("avatar", ("a.png", photo("ana")))]
    assert refusal(post("/v1/videos", data={"prompt": "a"}, files=other))[0] == 422
    twice = {"prompt": ["a", "b"]}
    assert "sent twice" in refusal(post("/v1/videos", data=twice, files=[("input_references", photo("ana"))]))[2]
    assert refusal(served.client.get("/nothing"))[:2] == (404, "not_found")
    assert refusal(served.client.put("/v1/videos"))[:2] == (405, "method_not_allowed")
    assert refusal(served.client.get("/v1/videos", params={"limit": 0}))[0] == 422
    for name in ("..%2f..%2fetc%2fpasswd", "video_" + "0" * 24, "%00"):
        assert refusal(served.client.get(f"/v1/videos/{name}"))[:2] == (404, "not_found")


def test_keys_say_whose_videos_are_whose(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ana, ben = make_key(file, "ana"), make_key(file, "ben")
    assert ana not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    served = serve(keys=KeyRing(file), any_host=True)
    as_ana, as_ben = ({"Authorization": f"Bearer {key}"} for key in (ana, ben))
    for wrong in (None, ana, f"Bearer {ana}x", "Basic eA=="):
        headers = {} if wrong is None else {"Authorization": wrong}
        for address in ("/v1/videos", "/v1/models", "/metrics"):
            answer = served.client.get(address, headers=headers)
            assert refusal(answer)[:2] == (401, "key")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert served.client.get("/healthz").status_code == 200
    assert served.client.get("/openapi.json").json()["security"] == [{"key": []}]
    video_id = served.client.post("/v1/videos", json=body(), headers=as_ana).json()["id"]
    assert served.when_ended(video_id, headers=as_ana)["status"] == "completed"
    for method, address in (
        ("GET", ""), ("GET", "/content"), ("GET", "/events"), ("GET", "/photos/0"), ("DELETE", ""),
        ("POST", "/cancel"), ("POST", "/remix"),
    ):  # fmt: skip
        answer = served.client.request(method, f"/v1/videos/{video_id}{address}", headers=as_ben)
        assert refusal(answer)[:2] == (404, "not_found"), (method, address)
    assert served.client.get("/v1/videos", headers=as_ben).json()["data"] == []
    assert len(served.client.get("/v1/videos", headers=as_ana).json()["data"]) == 1
    time.sleep(1.1)
    remove_keys(file, "ana")
    assert served.client.get("/v1/videos", headers=as_ana).status_code == 401
    assert served.client.get("/v1/videos", headers=as_ben).status_code == 200


def test_rate_and_queue_are_limited(serve: Serve) -> None:
    served = serve(
        maker=HandMaker(waits=True),
        limits=RequestLimits(requests_per_minute=3),
        store_limits=StoreLimits(most_queued=1, least_free_bytes=0),
    )
    first = served.ask()["id"]
    while served.client.get(f"/v1/videos/{first}").json()["status"] == "queued":
        time.sleep(0.01)
    served.ask()
    full = served.client.post("/v1/videos", json=body())
    assert refusal(full)[:2] == (429, "queue_full")
    limited = served.client.post("/v1/videos", json=body())
    assert refusal(limited)[:2] == (429, "rate_limit")
    assert int(limited.headers["retry-after"]) >= 1
    served.maker.go_on.set()


def test_a_full_disk_takes_nothing(serve: Serve) -> None:
    served = serve(store_limits=StoreLimits(least_free_bytes=2**62))
    assert refusal(served.client.post("/v1/videos", json=body()))[:2] == (507, "store_full")


def test_pages_of_other_servers_may_not_ask_unless_they_are_allowed(serve: Serve) -> None:
    served = serve(allowed_origins=["https://studio.example"])
    get = served.client.get
    assert refusal(get("/v1/videos", headers={"Host": "evil.example"}))[:2] == (421, "host")
    assert refusal(get("/v1/videos", headers={"Origin": "https://evil.example"}))[:2] == (403, "origin")
    assert refusal(get("/v1/videos", headers={"Origin": "null"}))[:2] == (403, "origin")
    own = get("/v1/videos", headers={"Origin": "http://127.0.0.1:8080"})
    assert (own.status_code, own.headers.get("access-control-allow-origin")) == (200, None)
    asked = {"Origin": "https://studio.example", "Access-Control-Request-Method": "POST"}
    allowed = served.client.options("/v1/videos", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == "https://studio.example"


def test_until_the_model_is_loaded_nothing_is_taken(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    client = TestClient(create_app(store), base_url="http://localhost:8080")
    answer = client.post("/v1/videos", json=body())
    assert refusal(answer)[:2] == (503, "loading")
    assert answer.headers["retry-after"] == "3"
    assert client.get("/healthz").json() == {"status": "loading", "model": None}
    assert client.get("/v1/models").json()["data"] == []


def test_the_same_request_sent_again_is_taken_once(serve: Serve) -> None:
    served = serve()
    answers = [
        served.client.post("/v1/videos", json=body(), headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)
    ]
    assert answers[0] == answers[1]
    served.when_ended(answers[0])
    assert len(served.maker.made) == 1


def test_all_examples_of_the_openapi_page_work(serve: Serve) -> None:
    served = serve()
    described = served.client.get("/openapi.json").json()
    num_sent = 0
    for address in ("/v1/videos", "/v1/videos/sync"):
        content = described["paths"][address]["post"]["requestBody"]["content"]
        for example in content["application/json"]["examples"].values():
            answer = served.client.post(address, json=example["value"])
            assert answer.status_code == 200, answer.text
            num_sent += 1
    assert num_sent == 6
    remix = described["paths"]["/v1/videos/{video_id}/remix"]["post"]["requestBody"]["content"]["application/json"]
    video_id = served.client.get("/v1/videos").json()["data"][0]["id"]
    assert served.client.post(f"/v1/videos/{video_id}/remix", json=remix["example"]).status_code == 200


def test_pages_load_nothing_from_outside(serve: Serve) -> None:
    client = serve().client
    for address in ("/", "/docs", "/static/docs.js", "/static/docs.css"):
        page = client.get(address)
        assert page.status_code == 200
        assert "//" not in page.text.replace("// Shows", "").replace("http://", "//") or address.endswith(".js")
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_browser_asks_whether_its_copy_of_a_script_is_still_the_servers(serve: Serve) -> None:
    client = serve().client
    for address in ("/", "/static/base.js"):
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_stays_small() -> None:
    sizes = [file.stat().st_size for file in STATIC.iterdir() if not file.name.startswith("docs")]
    assert len(sizes) == 7
    assert max(sizes) < 60_000
    assert sum(sizes) < 100_000  # docs/service.md says 99 kB


def test_metrics_count_workers_and_who_waits_longest(tmp_path: Path) -> None:
    """Of workers beyond what a cluster has room for, an operator sees that they never begin."""
    store = JobStore(tmp_path / "store", StoreLimits(least_free_bytes=0))
    store.set_facts(FACTS)
    census = WorkerCensus(ready=2, starting=6, replaced=1)
    client = TestClient(create_app(store, state=ServerState(workers=lambda: census)), base_url="http://127.0.0.1")
    assert "ingredients_longest_wait_seconds 0.0" in client.get("/metrics").text
    client.post("/v1/videos", json=body())
    time.sleep(0.05)
    text = client.get("/metrics").text
    assert 0.05 <= float(text.partition("\ningredients_longest_wait_seconds ")[2].split()[0]) < 60
    assert 'ingredients_workers{state="ready"} 2.0' in text
    assert 'ingredients_workers{state="starting"} 6.0' in text
    assert "ingredients_workers_replaced_total 1.0" in text
    store.close()


def test_metrics_count_what_happened(serve: Serve) -> None:
    served = serve()
    video_id = served.ask()["id"]
    served.when_ended(video_id)
    text = served.client.get("/metrics").text
    assert 'ingredients_videos{status="completed"} 1.0' in text
    assert "ingredients_making_seconds_total 0.25" in text
    assert 'ingredients_requests_total{method="POST",route="/v1/videos",status="200"} 1.0' in text
    assert 'route="/v1/videos/{video_id}"' in text
    assert video_id not in text
    assert "ingredients_workers" not in text  # there is no team
