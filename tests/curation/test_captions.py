"""Captions: what they may say, whom their words stand for, and a server that answers as servers do."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import UserInputError
from ingredients.curation.answers import estimate_cost
from ingredients.curation.caption_endpoint import CaptionError, EndpointCaptioner
from ingredients.curation.captions import (
    Captions,
    bind_phrases,
    clean,
    read_captions,
)
from ingredients.curation.chain import costly_steps
from ingredients.curation.config import CaptionsConfig, CurationConfig
from ingredients.curation.looks import named_looks, without_looks
from ingredients.curation.plain_captions import PlainCaption, describe_measured, spots_of
from ingredients.curation.signals import Signals
from ingredients.curation.source_work import take_step
from ingredients.curation.step import Clip, Crop, Span, step_keys
from ingredients.curation.store import SourceStore

LOOKS = {
    "A young woman with long blonde hair and a bearded man in a blue suit are talking in an office.": (
        "A person and a person are talking in an office."
    ),
    "Two men wearing red shirts and black hats wave at the camera on a beach.": (
        "Two people wave at the camera on a beach."
    ),
    "An Asian girl with glasses sits beside a tall boy in a park.": "A person sits beside a person in a park.",
    "A dark-haired woman wearing a hat, a scarf and gloves walks with her dog.": "A person walks with their dog.",
    "The person on the right has short curly hair and smiles.": "The person on the right smiles.",
    "He waves.": "The person waves.",
}


TWO = describe_measured(("on the left", "on the right"))


@pytest.mark.parametrize("said", LOOKS)
def test_looks_are_taken_out(said: str) -> None:
    assert without_looks(said) == LOOKS[said]
    assert not named_looks(LOOKS[said])


@pytest.mark.parametrize(
    "said",
    [
        "The person on the left waves in the snow, and the person on the right looks sad.",
        "Two people talk in a dark room with white walls, at night.",
        "The sun sets over an old town behind two people.",
    ],
)
def test_what_names_no_looks_stays_as_it_is(said: str) -> None:
    assert not named_looks(said)
    assert clean(said, plain=TWO)["caption"] == said


def test_captions_of_the_drawn_world_name_no_looks() -> None:
    from ingredients.world import EACH_OWN, sample_scene

    for seed in range(60):
        caption = sample_scene(seed, style=EACH_OWN).caption
        assert not named_looks(caption), caption


def test_what_cannot_be_rewritten_is_replaced_and_said() -> None:
    found = clean("Their eyes shine, and a tattoo shows.", plain=TWO)
    assert found["is_replaced"]
    assert not found["is_rewritten"]
    assert found["looks"] == ["tattoo"]
    assert found["caption"] == "Two people are in the picture: the person on the left and the person on the right."
    assert found["phrases"] == ["the person on the left", "the person on the right"]


@pytest.mark.parametrize(
    ("caption", "num_people", "phrases"),
    [
        ("The person on the left waves.", 2, ["The person on the left", None]),
        ("A person standing at the right waves to the one on the left.", 2,
         ["the one on the left", "A person standing at the right"]),
        ("The person on the left, the person in the middle and the person on the right talk.", 3,
         ["The person on the left", "the person in the middle", "the person on the right"]),
        ("Two people wave.", 2, [None, None]),
        ("Four people wave, the person on the left most.", 4, [None] * 4),
        ("A person waves.", 1, ["A person"]),
    ],
)  # fmt: skip
def test_words_are_bound_to_who_stands_there(caption: str, num_people: int, phrases: list[str | None]) -> None:
    assert bind_phrases(caption, num_people) == phrases
    assert all(phrase is None or phrase in caption for phrase in phrases)


def tracks(*middles: tuple[float, float]) -> list[dict[str, object]]:
    """Faces of 20 by 30 pixels around places, seen in one of two frames."""
    return [{"boxes": [None, [across - 10, down - 15, across + 10, down + 15]]} for across, down in middles]


def shares(**sure: float) -> dict[str, float]:
    return {"never": 0.01, **sure}


@pytest.mark.parametrize("number", range(8))
def test_every_number_of_people_has_a_sentence(number: int) -> None:
    found = describe_measured(spots_of(tracks(*((40.0 * index, 50.0) for index in range(number)))))
    assert found.text.endswith(".")
    assert not named_looks(found.text)
    assert len(found.phrases) == number
    assert all(phrase is None or phrase in found.text for phrase in found.phrases)


def test_four_people_are_told_apart_by_rows_where_they_stand_in_rows() -> None:
    rows = tracks((20, 30), (50, 70), (90, 32), (130, 74))
    assert spots_of(rows) == ["behind on the left", "in front on the left", "behind on the right",
                              "in front on the right"]  # fmt: skip
    assert spots_of(tracks((20, 30), (50, 40), (90, 32), (130, 38))) == [None] * 4


def test_the_template_says_what_is_sure_enough_and_of_whom() -> None:
    acts = [
        {"actions": shares(wave=0.9), "expressions": shares(sad=0.95)},
        {"actions": shares(nod=0.5), "expressions": shares(smile=0.5)},
        {"actions": shares(talk=0.92), "expressions": shares(smile=0.3)},
    ]
    watched = {"people": acts, "setting": {"place": shares(desert=0.99), "light": shares(sunset=0.9)}}
    found = describe_measured(("on the left", "in the middle", "on the right"), watched)
    looks = ("looking sad", "with a sad face")
    assert found.text in [
        f"Three people are in a desert at sunset: the person on the left waves, {sad}, and the person on the right "
        "talks, beside the person in the middle."
        for sad in looks
    ]
    assert found.phrases == ("the person on the left", "the person in the middle", "the person on the right")
    assert not named_looks(found.text)
    acts[0]["actions"], acts[2]["actions"] = shares(stand=0.99), shares(talk=0.85)  # nothing was seen, or hardly
    calm = describe_measured(("on the left", "in the middle", "on the right"), watched)
    assert " stand" not in calm.text
    assert " talk" not in calm.text
    acts[0]["actions"] = shares(wave=0.9)
    dim = {"people": acts, "setting": {"place": shares(desert=0.5), "light": shares(sunset=0.5)}}
    assert " are in the picture: " in describe_measured(("on the left", "in the middle", "on the right"), dim).text
    alone = describe_measured((None,), {"people": acts[:1], "setting": watched["setting"]})
    assert alone.text in [f"One person waves in a desert at sunset, {sad}." for sad in looks]


def test_everything_that_the_template_can_say_names_no_looks() -> None:
    from ingredients.world.captions import EXPRESSIONS, LIGHT_PHRASES, PLACE_PHRASES, ROLE_ACTIONS

    for number, (action, expression) in enumerate((a, e) for a in ROLE_ACTIONS for e in EXPRESSIONS):
        place, light = (list(table)[number % len(table)] for table in (PLACE_PHRASES, LIGHT_PHRASES))
        person = {"actions": {action: 0.9}, "expressions": {expression: 0.9}}
        watched = {"people": [person, person], "setting": {"place": {place: 0.9}, "light": {light: 0.9}}}
        found = describe_measured(("on the left", "on the right"), watched, clip_id=str(number))
        assert clean(found.text, plain=found)["caption"] == found.text
        assert isinstance(found, PlainCaption)


def test_given_captions_are_read_and_other_ones_are_measured_anew(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"clip_id": "a-1", "caption": "Two people wave."}) + "\n")
    assert read_captions(file) == {"a-1": "Two people wave."}
    config = load_config(CurationConfig, overrides=["captions.by=given", f"captions.file={file}"])
    before = Captions(config).version
    assert Captions(config).version == before
    file.write_text(json.dumps({"clip_id": "a-1", "caption": "Two people nod."}) + "\n")
    assert Captions(config).version != before
    file.write_text('{"clip_id": "a-1"}\n')
    with pytest.raises(UserInputError, match="Line 1"):
        read_captions(file)


@pytest.mark.parametrize("by", ["given", "endpoint", "qwen"])
def test_what_a_captioner_needs_is_asked_for_at_once(by: str) -> None:
    with pytest.raises(UserInputError, match=rf"captions by {by} need captions\."):
        load_config(CurationConfig, overrides=[f"captions.by={by}"])


def test_the_cost_is_known_before() -> None:
    config = CaptionsConfig(
        by="endpoint", model="m", dollars_per_million_input=2.0, dollars_per_million_output=10.0, requests_a_minute=30
    )
    cost = estimate_cost(600, config)
    assert (cost.num_requests, cost.minutes, cost.output_tokens) == (600, 20.0, 600 * config.max_tokens)
    assert cost.dollars == pytest.approx((cost.input_tokens * 2 + cost.output_tokens * 10) / 1e6)
    assert cost.sentence.startswith("600 requests, ")
    assert cost.sentence.endswith("with one process")
    assert estimate_cost(1200, config).dollars == pytest.approx(2 * cost.dollars)


class Server:
    """Answers a list of (status, body) in turn, and keeps what it was asked."""

    def __init__(self, answers: list[tuple[int, object]]) -> None:
        self.asked: list[dict[str, object]] = []
        self.keys: list[str | None] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                served.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                served.keys.append(self.headers.get("Authorization"))
                assert self.path == "/v1/chat/completions"
                status, body = answers[min(len(served.asked), len(answers)) - 1]
                content = json.dumps(body).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "7")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                del args

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"


def says(text: object) -> tuple[int, object]:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.fixture
def serve() -> Iterator[object]:
    servers: list[Server] = []

    def start(*answers: tuple[int, object]) -> Server:
        servers.append(Server(list(answers)))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()


def captioner(server: Server, **settings: object) -> tuple[EndpointCaptioner, list[float]]:
    waits: list[float] = []
    config = CaptionsConfig(by="endpoint", model="eyes", base_url=server.url, requests_a_minute=6e5)
    return EndpointCaptioner(dataclasses.replace(config, **settings), sleep=waits.append), waits  # type: ignore[arg-type]


PICTURES = [np.full((6, 8, 3), level, np.uint8) for level in (0, 255)]


def test_a_server_sees_the_pictures_and_its_words_come_back(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIONS_API_KEY", "secret")
    server = serve(says(" Two people wave. "))
    asking, waits = captioner(server)
    assert asking.caption(PICTURES, "What happens?") == "Two people wave."
    [question] = server.asked
    content = question["messages"][0]["content"]  # type: ignore[index]
    assert question["model"] == "eyes"
    assert [part["type"] for part in content] == ["text", "image_url", "image_url"]
    assert content[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert content[1] != content[2]
    assert server.keys == ["Bearer secret"]
    assert [wait for wait in waits if wait > 0.01] == []


def test_a_busy_server_is_asked_again_when_it_says_to(serve) -> None:
    server = serve((429, {}), (503, {}), says("Fine."))
    asking, waits = captioner(server)
    assert asking.caption(PICTURES, "?") == "Fine."
    assert [round(wait) for wait in waits if wait > 0.1] == [7, 2]


def test_a_server_that_does_not_get_better_is_given_up_and_nothing_is_kept(serve) -> None:
    server = serve((500, {}))
    with pytest.raises(CaptionError, match="answers 500, 3 times in a row"):
        captioner(server, most_attempts=3)[0].caption(PICTURES, "?")
    assert len(server.asked) == 3
    assert not issubclass(CaptionError, UserInputError)  # which the store would take for the clip's fault
    server.http.server_close()
    server.http.shutdown()
    with pytest.raises(CaptionError, match="cannot be reached"):
        captioner(server, most_attempts=2, timeout_seconds=0.5)[0].caption(PICTURES, "?")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((401, {}), "variable CAPTIONS_API_KEY"),
        ((404, {"error": "no such model"}), "answers 404.*no such model"),
        ((200, {"text": "hm"}), "another shape"),
        (says(None), "says nothing"),
    ],
)
def test_other_answers_are_said_once(serve, answer: tuple[int, object], complaint: str) -> None:
    server = serve(answer)
    with pytest.raises(CaptionError, match=complaint):
        captioner(server)[0].caption(PICTURES, "?")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "other",
    ["captions.min_place=0.5", "captions.min_action=0.1", "people.min_face=0.2", "masks.by=sam", "people.max_gap=2"],
)
def test_other_thresholds_compose_sentences_anew_and_ask_nobody_again(serve, tmp_path: Path, other: str) -> None:
    server = serve(says("A bearded man waves."), says("This would be paid twice."))
    settings = ["captions.by=endpoint", "captions.model=eyes", f"captions.base_url={server.url}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingredients.curation.caption_endpoint.time.sleep", lambda seconds: None)
        said = [
            captioned(load_config(CurationConfig, overrides=[*settings, *more]), tmp_path)
            for more in ([], [other], ["captions.num_pictures=2"])
        ]
    assert said == ["A person waves.", "A person waves.", "This would be paid twice."]
    assert len(server.asked) == 2  # once, and once more for other pictures


def captioned(config: CurationConfig, folder: Path) -> str:
    """Takes the last two steps with a clip of one person, as the next run would, on what the store has."""
    span = Span(first=0, end=4, start_seconds=0.0, end_seconds=0.5)
    store, keys = SourceStore(folder, "ab12"), step_keys(costly_steps(config), config, base="")
    clip = Clip(
        clip_id="film-0",
        path=Path("film.mp4"),
        span=span,
        crop=Crop(left=0, top=0, width=8, height=6),
        signals=measured_nothing(),
        folder=store.clips,
        results={"people": {"tracks": tracks((4.0, 3.0))}, "acting": {}},
        _frames=np.zeros((4, 6, 8, 3), np.uint8),
    )
    for step in costly_steps(config)[-2:]:
        assert take_step(step, keys[step.name], clip, store) is None
    return str(clip.results["captions"]["caption"])


def measured_nothing() -> Signals:
    """Signals of a source without frames: these steps do not look at them."""
    sizes = dict.fromkeys(("height", "width", "small_height", "small_width"), 8)
    arrays = {
        field.name: np.zeros(0)
        for field in dataclasses.fields(Signals)
        if field.name not in (*sizes, "fps", "motion_source", "damage")
    }
    return Signals(**sizes, fps=8.0, motion_source="codec", damage="", **arrays)  # type: ignore[arg-type]


def test_requests_keep_to_the_rate(serve) -> None:
    server = serve(says("Fine."))
    asking, waits = captioner(server, requests_a_minute=30.0)
    for _ in range(3):
        asking.caption(PICTURES, "?")
    assert len(waits) == 2
    assert waits[0] == pytest.approx(2.0, abs=0.5)
    assert waits[1] > waits[0]
