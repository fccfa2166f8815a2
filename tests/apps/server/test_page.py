"""The page in a real browser: Debian's Chromium, driven by Playwright; skipped where either is not installed."""

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from ingredients.apps.server.app import create_app
from ingredients.apps.server.keys import KeyRing, make_key
from ingredients.apps.server.run import _config
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.jobs import PersonTurn
from ingredients.generation.worker import Worker
from ingredients.media.video import write_video
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.execution.speed_options import VideoOptions
from tests.apps.server.conftest import EXAMPLES
from tests.generation.hand_maker import HandMaker

CHROMIUM = Path("/usr/bin/chromium")

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
if not CHROMIUM.exists():
    pytest.skip("Chromium is not installed (apt-get install chromium)", allow_module_level=True)
expect = sync_api.expect
expect.set_options(timeout=60_000)


class Site:
    """A server at an address, which can be stopped and started again at the same one."""

    def __init__(self, folder: Path, maker: Any, *, keys: KeyRing | None = None) -> None:
        self.maker = maker
        self.keys = keys
        self.store = JobStore(folder, StoreLimits(least_free_bytes=0))
        self.worker = Worker(self.store, lambda: maker, name="worker")
        self.worker.start()
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.listen()

    def listen(self) -> None:
        app = create_app(self.store, page_help=lambda: self.maker, keys=self.keys)
        config = _config(app)
        config.port, config.timeout_graceful_shutdown = self.port, 1
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def hang_up(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(20)

    def close(self) -> None:
        self.worker.stop()
        self.hang_up()
        assert self.worker.join(60)
        self.store.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def maker() -> HandMaker:
    return HandMaker(waits=True)


@pytest.fixture
def site(tmp_path: Path, maker: HandMaker) -> Iterator[Site]:
    site = Site(tmp_path / "store", maker)
    yield site
    maker.go_on.set()
    site.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """A page whose every error, and every request to anywhere else, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((site.address, "data:", "blob:")) else faults.append(f"asks {request.url}")
        ),
    )
    page.goto(site.address)
    yield page
    context.close()
    assert faults == []


def photo(name: str, *, width: int = 120, colour: tuple[int, int, int] = (200, 90, 60)) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (width, 120), colour).save(file, format="PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def add_two(page: Any) -> None:
    page.set_input_files("#files", [photo("ana.png"), photo("ben.png")])
    expect(page.locator("#cards li")).to_have_count(2)
    page.fill("#prompt", "Two people wave.")


def wait_until(page: Any, expression: str) -> None:
    """Waits for something of the page that no locator tells; its own policy forbids scripts that ask in the page."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"ten seconds later it is not so: {expression}")


def make(page: Any) -> None:
    expect(page.locator("#make")).to_be_enabled()
    page.click("#make")


def test_the_whole_way_from_photos_to_download(page: Any, maker: HandMaker) -> None:
    expect(page.locator("#stage")).to_contain_text("Your video appears here")
    expect(page.locator("#make")).to_be_disabled()
    expect(page.locator("#missing")).to_have_text("Add at least one person.")
    page.set_input_files("#files", [photo("ana.png"), photo("group.png", width=230)])
    expect(page.locator("#cards li")).to_have_count(3)
    expect(page.locator("#cards li").nth(1)).to_contain_text("The face is small.")
    page.click("[aria-label='Remove group 2']")
    page.fill("[aria-label='Name of person 2']", "ben")
    page.fill("#prompt", "Two people yodel.")
    expect(page.locator("#notes")).to_contain_text("does not know 'yodel'")
    page.click("#chips button.name >> nth=1")
    assert page.input_value("#prompt") == "Two people yodel. ben"
    page.fill("#seed", "7")
    make(page)
    expect(page.locator("#stage .state")).to_have_text("being made")
    expect(page.locator(".live img").first).to_be_visible()
    expect(page.locator(".live img").nth(1)).to_be_visible()
    expect(page).to_have_title("33 % · Ingredients")
    maker.go_on.set()
    expect(page.locator("#stage .state")).to_have_text("made")
    expect(page.locator(".fared li")).to_have_count(2)
    expect(page.locator(".fared li").nth(1)).to_contain_text("found, similarity 0.91")
    expect(page.locator("#stage")).to_contain_text("A stranger: face 3")
    expect(page.locator("#stage .stage-head")).to_contain_text("48x32, shown 4 times larger")
    wait_until(page, "document.querySelector('#stage video').readyState >= 2")
    assert all(page.evaluate("[...document.querySelectorAll('.fared img')].map((each) => each.complete)"))
    with page.expect_download() as video:
        page.click("#stage >> text=Download")
    assert video.value.suggested_filename == "two-people-yodel-ben-7.mp4"
    assert Path(video.value.path()).stat().st_size > 500
    with page.expect_download() as about:
        page.click("text=Its record (JSON)")
    record = json.loads(Path(about.value.path()).read_text())
    assert (record["seed"], [person["name"] for person in record["people"]]) == (7, ["ana", "ben"])
    (asked,) = maker.made
    assert [person.faces for person in asked.people] == [[1], [1]]
    expect(page.locator("#estimate")).to_contain_text("About a second")


def test_a_video_is_cancelled_made_again_filtered_compared_and_deleted(page: Any, maker: HandMaker) -> None:
    add_two(page)
    make(page)
    page.click("#stage >> text=Cancel")
    expect(page.locator("#stage .state")).to_have_text("cancelled")
    maker.go_on.set()
    page.click("text=Make it after all")
    expect(page.locator("#stage .state")).to_have_text("made")
    page.click("text=Again with another seed")
    expect(page.locator("#videos .video")).to_have_count(3)
    expect(page.locator("#videos video")).to_have_count(2)
    page.select_option("#filter-state", "cancelled")
    expect(page.locator("#videos .video")).to_have_count(1)
    page.select_option("#filter-state", "completed")
    expect(page.locator("#videos .video")).to_have_count(2)
    page.fill("#filter-text", "nobody")
    expect(page.locator("#videos")).to_contain_text("No video is like that.")
    page.fill("#filter-text", "ben")
    expect(page.locator("[data-compare]")).to_have_count(2)
    for box in page.locator("[data-compare]").all():
        box.check()
    expect(page.locator("#compare video")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    delete = page.locator("#videos .video").first.locator("button.danger")
    delete.click()
    expect(delete).to_have_text("Really delete?")
    delete.click()
    expect(page.locator("#videos .video")).to_have_count(1)


def test_people_are_placed_by_mouse_by_keyboard_and_by_fields_and_move(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    page.click("#places summary")
    page.locator("#spots").scroll_into_view_if_needed()
    box = page.locator("[data-place='0']")
    at = box.bounding_box()
    whole = page.locator("#scene").bounding_box()
    page.mouse.move(at["x"] + 20, at["y"] + 20)
    page.mouse.down()
    page.mouse.move(at["x"] + 20 + whole["width"] / 4, at["y"] + 20, steps=4)
    page.mouse.up()
    expect(page.locator("[aria-label='left edge of ana, in percent']")).to_have_value("25")
    at = box.bounding_box()
    page.mouse.move(at["x"] + at["width"] - 6, at["y"] + at["height"] - 6)
    page.mouse.down()
    page.mouse.move(at["x"] + at["width"] - 6, at["y"] + at["height"] - 6 - whole["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator("[aria-label='bottom edge of ana, in percent']")).to_have_value("50")
    box.press("ArrowLeft")
    box.press("ArrowDown")
    box.press("Shift+ArrowRight")
    page.fill("[aria-label='top edge of ana, in percent']", "10")
    page.locator("[aria-label='top edge of ana, in percent']").press("Tab")
    page.select_option("[aria-label='Place of ben at the start']", "middle")
    expect(page.locator("#spots .doubt")).to_contain_text("ana and ben stand in the same place at the start")
    page.select_option("[aria-label='Place of ben at the start']", "left")
    page.click("#moments >> text=At the end")
    page.select_option("[aria-label='Place of ben at the end']", "right")
    expect(page.locator("#places-told")).to_have_text("2 of 2 placed")
    page.wait_for_timeout(400)
    page.reload()
    expect(page.locator("#cards li")).to_have_count(2)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    places = maker.made[0].places
    assert places["ana"]["0"] == pytest.approx([0.2, 0.1, 0.75, 0.55])
    assert (places["ben"]["0"], places["ben"]["8"]) == ("left", "right")
    for name in ("ben", "ana"):
        page.click(f"[aria-label='Remove {name}']")
    page.fill("#prompt", "")
    page.click("text=Change something")
    expect(page.locator("#cards li")).to_have_count(2)
    expect(page.locator("#places-told")).to_have_text("2 of 2 placed")
    assert page.input_value("#prompt") == "Two people wave."


def test_a_person_goes_a_way_with_moments_between_by_mouse_and_by_keyboard(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    page.click("#places summary")
    page.select_option("[aria-label='Place of ana at the start']", "left")
    page.click("#moments >> text=At the end")
    page.select_option("[aria-label='Place of ana at the end']", "right")
    page.click("[aria-label='Add a moment between']")
    pressed = page.locator("#moments [aria-pressed=true]")
    expect(pressed).to_have_text("At 0.5 s")
    expect(pressed).to_be_focused()
    spot = page.locator("[aria-label='Place of ana at 0.5 s']")
    expect(spot.locator("option:checked")).to_have_text("on the way")
    whole, box = page.locator("#scene").bounding_box(), page.locator("[data-place='0']")
    assert box.bounding_box()["x"] - whole["x"] == pytest.approx(whole["width"] / 4, abs=3)  # half of the way
    slider = page.get_by_label("When this moment is")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(pressed).to_have_text("At 0.75 s")
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", "0.75 s")
    at = box.bounding_box()
    page.mouse.move(at["x"] + 20, at["y"] + 20)
    page.mouse.down()
    page.mouse.move(at["x"] + 20, at["y"] + 20 - whole["height"], steps=4)  # no farther than the picture
    page.mouse.move(at["x"] + 20 - whole["width"], at["y"] + 20, steps=4)
    page.mouse.up()
    box.press("Shift+ArrowUp")
    expect(page.locator("#scene polyline")).to_have_count(1)
    page.click("[aria-label='Add a moment between']")  # in the widest gap, which is before the other
    expect(pressed).to_have_text("At 0.38 s")
    page.click("text=Remove this moment")
    expect(page.locator("#moments button")).to_have_count(4)
    page.wait_for_timeout(400)
    page.reload()
    expect(page.locator("#cards li")).to_have_count(2)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    way = maker.made[0].places["ana"]
    assert {frame: way[frame] for frame in ("0", "8")} == {"0": "left", "8": "right"}
    assert way["6"] == pytest.approx([0, 0, 0.5, 0.95])
    for name in ("ben", "ana"):
        page.click(f"[aria-label='Remove {name}']")
    add_two(page)
    expect(page.locator("#moments button")).to_have_count(3)  # nothing is left of the way of somebody else
    page.click("text=Change something")
    expect(page.locator("#moments >> text=At 0.75 s")).to_be_visible()
    make(page)
    expect(page.locator("#videos video")).to_have_count(2)
    assert maker.made[1].places == maker.made[0].places


def test_the_places_of_a_single_frame_come_back_as_those_of_the_start(page: Any, site: Site, maker: HandMaker) -> None:
    maker.go_on.set()
    ana = photo("ana.png")
    asked = {"prompt": "A person waves.", "people": "ana", "num_frames": "1", "place": '{"ana": "right"}'}
    sent = {"input_references": (ana["name"], ana["buffer"], ana["mimeType"])}
    assert httpx.post(f"{site.address}/v1/videos", data=asked, files=sent).status_code == 200
    page.locator("#videos .thumb video").wait_for(state="attached")
    page.click("#videos .thumb")
    page.click("text=Change something")
    expect(page.locator("[aria-label='Place of ana at the start']")).to_have_value("right")


def test_a_person_has_several_photos(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    others = page.get_by_label("Add photos of ben")
    others.set_input_files([photo("ben again.png", colour=(90, 200, 60)), photo("passport.png", colour=(20, 30, 200))])
    photos = page.get_by_role("group", name="Photos of ben").locator("button")
    expect(photos).to_have_count(2)
    expect(page.locator("#refused li")).to_contain_text("knows drawn people only")
    page.locator("#refused >> text=Leave it out").click()
    others.set_input_files([photo("group.png", width=230, colour=(60, 60, 60))])
    expect(page.locator("#refused li")).to_contain_text("Which of these is ben?")
    page.click("[aria-label='Take person 2 of group.png']")
    expect(photos).to_have_count(3)
    expect(page.locator("#refused li")).to_have_count(0)
    expect(page.locator("#cards li").nth(1)).to_contain_text("Photo 3: The face is small.")
    page.click("[aria-label='Remove photo 1 of ben']")
    expect(photos).to_have_count(2)
    page.set_input_files("#files", [photo("third.png", colour=(200, 90, 90))])
    expect(page.locator("#cards li")).to_have_count(3)
    page.fill("[aria-label='Name of person 3']", "ana")
    expect(page.locator("#missing")).to_contain_text("Two people have the same name")
    page.get_by_role("button", name="The same person: one card").click()
    expect(page.locator("#cards li")).to_have_count(2)
    expect(page.get_by_label("Name of person 1")).to_be_focused()
    page.wait_for_timeout(400)
    page.reload()
    expect(photos).to_have_count(2)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    expect(page.locator(".fared li").nth(1)).to_contain_text("photo, 1 of 2")
    ana, ben = maker.made[0].people
    assert [image[0, 0].tolist() for image in ana.images] == [[200, 90, 60], [200, 90, 90]]
    assert [image[0, 0].tolist() for image in ben.images] == [[90, 200, 60], [60, 60, 60]]
    assert (ana.faces, ben.faces) == ([1, 1], [1, 2])
    for name in ("ben", "ana"):
        page.click(f"[aria-label='Remove {name}']")
    page.click("text=Change something")
    expect(photos).to_have_count(2)
    make(page)
    expect(page.locator("#videos video")).to_have_count(2)
    assert [person.faces for person in maker.made[1].people] == [[1, 1], [1, 2]]


def test_a_face_that_is_chosen_for_somebody_who_was_removed_or_joined_is_not_lost(page: Any) -> None:
    add_two(page)
    page.get_by_label("Add photos of ben").set_input_files([photo("group.png", width=230, colour=(60, 60, 60))])
    question = page.locator("#refused li")
    expect(question).to_contain_text("Which of these is ben?")
    page.fill("[aria-label='Name of person 2']", "benno")
    expect(question).to_contain_text("Which of these is benno?")
    page.click("[aria-label='Remove ben']")
    expect(question).to_contain_text("benno, who was removed?")
    page.click("[aria-label='Take person 2 of group.png']")
    expect(page.locator("#cards li")).to_have_count(2)
    assert page.input_value("[aria-label='Name of person 2']") == "benno"
    expect(page.locator("#said")).to_have_text("benno was removed in the meantime, and is added again as benno")
    page.get_by_label("Add photos of benno").set_input_files([photo("again.png", width=230, colour=(60, 60, 60))])
    expect(question).to_have_count(1)
    page.fill("[aria-label='Name of person 2']", "ana")
    page.get_by_role("button", name="The same person: one card").click()
    expect(question).to_contain_text("Which of these is ana?")
    page.click("[aria-label='Take person 1 of again.png']")
    expect(page.get_by_role("group", name="Photos of ana").locator("button")).to_have_count(3)


def test_time_memory_and_guidance_are_chosen_and_the_estimate_follows(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    expect(page.locator("#estimate")).to_contain_text("About a second, 200 MB of memory")
    page.click("#tuning summary")
    page.get_by_label("Take over from earlier steps").select_option("pab")
    expect(page.locator("#estimate")).to_contain_text("Perhaps a second, for none was made like that yet")
    page.get_by_label("Decode in tiles").check()
    expect(page.locator("#estimate")).to_contain_text("180 MB of memory")
    perturbed = page.get_by_label("Against falling apart")
    expect(perturbed).to_have_attribute("placeholder", "0")  # the model's own
    perturbed.fill("-1")
    expect(page.locator("#missing")).to_contain_text("perturbed_attention_scale")
    expect(page.locator("#make")).to_be_disabled()
    perturbed.fill("1.5")
    expect(page.locator("#tuning-told")).to_have_text("3 changed")
    page.get_by_label("Take over from earlier steps").select_option("faster")
    expect(page.locator("#missing")).to_contain_text("these scales need other passes")
    page.get_by_label("Take over from earlier steps").select_option("pab")
    page.wait_for_timeout(400)
    page.reload()
    expect(page.locator("#tuning-told")).to_have_text("3 changed")
    make(page)
    expect(page.locator("#videos video")).to_have_count(2)
    asked = maker.made[1]
    assert asked.options == VideoOptions(step_cache="pab", decode_in_tiles=True)
    assert asked.sampling["perturbed_attention_scale"] == 1.5
    page.click("text=All as the model has it")
    expect(page.locator("#tuning-told")).to_have_text("")
    expect(page.locator("#estimate")).to_contain_text("200 MB of memory")
    page.click("text=Change something")
    expect(page.locator("#tuning-told")).to_have_text("3 changed")
    expect(page.get_by_label("Take over from earlier steps")).to_have_value("pab")


def test_of_several_takes_all_are_seen_and_the_estimate_counts_them(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    expect(page.locator("#stage .verdict").nth(1)).to_have_text("Not as asked (waves): nods")
    page.select_option("#takes", "4")
    with page.expect_response(lambda response: '"takes":4' in (response.request.post_data or "")) as told:
        page.fill("#prompt", "Two people nod.")
    assert told.value.json()["seconds"] == pytest.approx(4 * 0.25)
    make(page)
    expect(page.locator(".takes button")).to_have_count(4)
    expect(page.locator(".takes")).to_contain_text("Take 2 is kept")
    expect(page.locator(".takes")).to_contain_text("the similarity below is the judge's")
    expect(page.locator("#stage .verdict").nth(1)).to_have_text("✓ as asked: nods")
    page.click("text=Take 3: ana 0.80, ben 0.80")
    wait_until(page, "document.querySelector('#stage video').src.endsWith('take=3')")
    wait_until(page, "document.querySelector('#stage video').readyState >= 2")


def test_the_routing_is_kept_repainted_and_one_person_alone_made_anew(page: Any, maker: HandMaker) -> None:
    maker.go_on.set()
    add_two(page)
    page.fill("#seed", "3")
    for number, button in enumerate(("text=Make the video", "text=Keep this routing", "text=Only ben again"), start=1):
        page.click(button)
        expect(page.locator("#videos video")).to_have_count(number)
        expect(page.locator("#stage .state")).to_have_text("made")
    first, kept, only = maker.made
    told = page.locator("#videos .about")
    expect(told.nth(0).locator(".hint").last).to_have_text("only ben made anew")
    expect(told.nth(1).locator(".hint").last).to_have_text("by a given routing map")
    expect(told.nth(2).locator(".hint")).to_have_count(1)
    expect(page.locator("#stage .stage-head")).to_contain_text("only ben made anew")
    assert first.routing is None
    assert kept.routing is not None
    assert kept.seed != 3
    assert only.redrawn == ("ben",)
    page.click("text=Repaint the routing")
    board = page.locator("#paint canvas")
    expect(board).to_be_visible()
    page.click("#paint-body >> text=ben")
    page.uncheck("#paint-body >> text=wide brush")
    board.click(position={"x": 5, "y": 5})  # the first token of all moments
    page.uncheck("#paint-body >> text=paint all moments")
    page.click("text=nobody (rub out)")
    board.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", " "):  # the first shows where one is
        page.keyboard.press(key)
    page.click("text=Make it with this map")
    expect(page.locator("#videos video")).to_have_count(4)
    painted = maker.made[3]
    assert painted.routing is not None
    expected = kept.routing.copy()
    expected[:, 0, 0] = 1
    expected[0, 1, 1] = -1
    assert (painted.routing == expected).all()
    assert painted.seed == only.seed


def test_photos_that_cannot_be_used_say_why(page: Any) -> None:
    text = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#files", [photo("passport.png", colour=(20, 30, 200)), photo("tiny.png", width=40), text])
    refused = page.locator("#refused li")
    expect(refused).to_have_count(3)
    expect(refused.nth(0)).to_contain_text("the model of this server knows drawn people only")
    expect(refused.nth(0).locator("text=Draw this person")).to_be_visible()
    expect(refused.nth(1)).to_contain_text("No face was found in tiny.png")
    expect(refused.nth(2)).to_contain_text("notes.png")
    refused.nth(2).locator("text=Leave it out").click()
    expect(refused).to_have_count(2)
    expect(page.locator("#cards li")).to_have_count(0)
    refused.nth(0).locator("text=Draw this person").click()
    expect(page.locator("#draw-body")).to_contain_text("dlib finds no face")  # of one colour


def test_who_becomes_another_is_no_good_verdict(page: Any, maker: HandMaker) -> None:
    maker.turns = [PersonTurn(seconds=0.5, becomes="ben", is_exchange=True)]
    maker.go_on.set()
    add_two(page)
    make(page)
    expect(page.locator("#stage .fared .verdict.doubt").first).to_have_text("found, similarity 0.91")
    expect(page.locator("#stage .meter.doubtful")).to_have_count(2)


def test_a_reload_in_mid_job_loses_nothing(page: Any, maker: HandMaker) -> None:
    add_two(page)
    make(page)
    expect(page.locator(".live img").first).to_be_visible()
    choices = {"steps": "6", "length": "17", "size": "72x48", "takes": "2"}
    for name, value in choices.items():
        page.select_option(f"#{name}", value)
    page.wait_for_timeout(400)  # the draft is kept a moment after it changed
    page.reload()
    expect(page.locator("#cards li")).to_have_count(2)
    assert page.input_value("#prompt") == "Two people wave."
    assert {name: page.input_value(f"#{name}") for name in choices} == choices
    expect(page.locator("#stage .state")).to_have_text("being made")
    maker.go_on.set()
    expect(page.locator("#stage .state")).to_have_text("made")


def test_two_windows_see_the_same_videos(page: Any, maker: HandMaker, site: Site) -> None:
    other = page.context.new_page()
    other.goto(site.address)
    add_two(page)
    make(page)
    expect(other.locator("#videos .video")).to_have_count(1)
    other.locator("#videos .thumb").click()
    expect(other.locator("#stage .state")).to_have_text("being made")
    maker.go_on.set()
    for each in (page, other):
        expect(each.locator("#stage .state")).to_have_text("made")
    delete = other.locator("#stage button.danger")
    delete.click()
    delete.click()
    expect(other.locator("#stage")).to_contain_text("Your video appears here")
    expect(page.locator("#videos")).to_contain_text("There is none yet.")


def test_a_failure_and_a_server_that_is_gone_are_said(page: Any, maker: HandMaker, site: Site) -> None:
    maker.error = RuntimeError("a secret of the server")
    maker.go_on.set()
    add_two(page)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("failed")
    expect(page.locator("#stage .error")).to_contain_text("The server could not make this video")
    expect(page.locator("#stage")).to_contain_text("Try again with another seed")
    site.hang_up()
    page.fill("#prompt", "Two people nod.")
    expect(page.locator("#banner")).to_contain_text("The server cannot be reached")
    expect(page.locator("#make")).to_be_disabled()
    site.listen()
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#make")).to_be_enabled()


def test_a_video_that_waits_for_a_server_that_is_gone_says_so(page: Any, maker: HandMaker, site: Site) -> None:
    add_two(page)
    make(page)
    expect(page.locator(".live img").first).to_be_visible()
    site.hang_up()
    expect(page.locator("#stage")).to_contain_text("The server is away. It goes on with this video when it is back.")
    site.listen()
    expect(page.locator("#stage")).to_contain_text("Step 1 of 3")
    maker.go_on.set()
    expect(page.locator("#stage .state")).to_have_text("made")


def test_what_went_wrong_with_a_button_is_seen(page: Any, maker: HandMaker, site: Site) -> None:
    maker.go_on.set()
    add_two(page)
    make(page)
    expect(page.locator("#stage .state")).to_have_text("made")
    (job,) = site.store.page().jobs
    for file in site.store.folder_of(job.id).glob("*.mp4"):
        file.unlink()
    page.click("#stage >> text=Download")
    expect(page.locator("#banner")).to_have_text("This video was removed.")
    expect(page.locator("#banner")).to_be_in_viewport()
    expect(page.locator("#banner")).to_be_hidden()


def test_whoever_may_be_anywhere_is_shown_where_nobody_is(page: Any) -> None:
    add_two(page)
    page.set_input_files("#files", [photo("cleo.png")])
    expect(page.locator("#cards li")).to_have_count(3)
    page.click("#places summary")
    page.select_option("[aria-label='Place of ana at the start']", "right")
    page.select_option("[aria-label='Place of ben at the start']", "left")
    whole = page.locator("#scene").bounding_box()
    shares = [
        (page.locator(f"[data-place='{person}']").bounding_box()["x"] - whole["x"]) / whole["width"]
        for person in range(3)
    ]
    assert shares == pytest.approx([2 / 3, 0, 1 / 3], abs=0.02)
    page.select_option("[aria-label='Place of cleo at the start']", "left")
    expect(page.locator("#missing")).to_contain_text("leave no room")  # before anything is asked for
    expect(page.locator("#make")).to_be_disabled()


def test_a_video_of_any_system_is_judged(page: Any, maker: HandMaker, tmp_path: Path) -> None:
    maker.go_on.set()
    write_video(tmp_path / "theirs.mp4", np.zeros((9, 32, 48, 3), np.uint8), fps=8)
    page.click("#judge-open")
    page.set_input_files("#judge-video", str(tmp_path / "theirs.mp4"))
    page.set_input_files("#judge-photos", [photo("ana.png"), photo("ben.png")])
    page.click("text=Judge it")
    expect(page.locator("#judge-body li")).to_have_count(2)
    expect(page.locator("#judge-body")).to_contain_text("right, similarity 0.90")
    expect(page.locator("#judge-body")).to_contain_text("A stranger")
    expect(page.locator("#judge-body")).to_contain_text("0 to 1.")
    expect(page.locator("#judge-body img")).to_be_visible()
    page.click("#judge [data-close]")
    page.click("#judge-open")
    expect(page.locator("#judge-body img")).to_be_visible()


def test_a_video_of_the_people_on_the_page_is_judged_by_their_photos(
    page: Any, maker: HandMaker, tmp_path: Path
) -> None:
    maker.go_on.set()
    write_video(tmp_path / "theirs.mp4", np.zeros((9, 32, 48, 3), np.uint8), fps=8)
    add_two(page)
    page.click("#judge-open")
    expect(page.locator("#judge-whose")).to_have_text("None chosen: those of ana, ben, from the page.")
    page.set_input_files("#judge-video", str(tmp_path / "theirs.mp4"))
    page.click("text=Judge it")
    expect(page.locator("#judge-body li")).to_have_count(2)
    assert [[name for name, _ in people] for people in maker.judged] == [["ana", "ben"]]
    page.set_input_files("#judge-photos", [photo("ben.png")])
    expect(page.locator("#judge-whose")).to_have_text("")
    page.click("text=Judge it")
    expect(page.locator("#judge-body li")).to_have_count(1)


def test_how_far_a_judgement_is_is_seen_and_it_is_cancelled(page: Any, maker: HandMaker, tmp_path: Path) -> None:
    write_video(tmp_path / "theirs.mp4", np.zeros((9, 32, 48, 3), np.uint8), fps=8)
    page.click("#judge-open")
    page.set_input_files("#judge-video", str(tmp_path / "theirs.mp4"))
    page.set_input_files("#judge-photos", [photo("ana.png")])
    page.click("text=Judge it")
    expect(page.locator("#judge-body [role=status]")).to_have_text("Frame 2 of 8, 6 s left")
    assert page.locator("#judge-body progress").get_attribute("value") == "25"
    expect(page.locator("#judge-form button")).to_be_disabled()
    page.click("#judge [data-close]")  # it goes on
    page.click("#judge-open")
    page.locator("#judge-body").get_by_text("Cancel").click()
    expect(page.locator("#judge-body")).to_have_text("It was cancelled, and nothing of it is kept.")
    assert maker.cancelled.wait(10)
    maker.go_on.set()
    page.click("text=Judge it")
    expect(page.locator("#judge-body li")).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1440])
def test_everything_has_a_name_is_reached_by_keyboard_and_fits(page: Any, width: int, maker: HandMaker) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    maker.go_on.set()
    add_two(page)
    page.locator("#prompt").press("Control+Enter")
    expect(page.locator("#stage .state")).to_have_text("made")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select, textarea, img, video")].filter((each) =>
            !(each.labels && each.labels.length)
            && !each.getAttribute("aria-label")
            && !each.textContent.trim()
            && !each.hasAttribute("alt")
            && each.getAttribute("aria-hidden") !== "true"
        ).map((each) => each.outerHTML)"""
    )
    assert nameless == []
    small = page.evaluate(
        """[...document.querySelectorAll("button, select, input:not([type=checkbox]):not([type=file])")].filter(
            (each) => each.offsetHeight && each.offsetHeight < 32).map((each) => each.outerHTML)"""
    )
    assert small == []
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"files", "prompt", "steps", "length", "size", "seed", "make", "filter-state", "Delete"} <= reached


def test_a_key_is_asked_for_and_every_picture_comes_with_it(browser: Any, tmp_path: Path) -> None:
    key = make_key(tmp_path / "keys.json", "ana")
    site = Site(tmp_path / "store", HandMaker(), keys=KeyRing(tmp_path / "keys.json"))
    try:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(site.address)
        page.fill("#key", "not this one")
        page.keyboard.press("Enter")
        expect(page.locator("#banner")).to_contain_text("does not know this key")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        expect(page.locator("#examples button")).to_have_count(4)
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#banner")).to_be_hidden()
        add_two(page)
        make(page)
        expect(page.locator("#stage .state")).to_have_text("made")
        wait_until(page, "document.querySelector('#stage video').readyState >= 2")
        wait_until(page, "[...document.querySelectorAll('.fared img')].every((each) => each.naturalWidth > 0)")
        page.reload()
        expect(page.locator("#stage .state")).to_have_text("made")  # the key is kept as long as the window
        page.close()
    finally:
        site.close()


@pytest.mark.slow
def test_the_model_that_ships_makes_a_video_on_the_page(browser: Any, tmp_path: Path) -> None:
    from ingredients.generation.studio import Studio

    studio = Studio.load(default_model_path())
    site = Site(tmp_path / "store", studio)
    try:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(site.address)
        page.click("text=ana and ben")
        expect(page.locator("#cards li")).to_have_count(2)
        assert page.input_value("#prompt") == "Two people wave on a beach, smiling."
        page.wait_for_timeout(400)
        page.reload()
        expect(page.locator("#cards li")).to_have_count(2)
        expect(page.locator("[data-example=ana]")).to_be_disabled()
        expect(page.locator("[data-example=cleo]")).to_be_enabled()
        page.set_input_files("#files", str(EXAMPLES / "cleo.png"))
        expect(page.locator("#cards li")).to_have_count(3)
        assert page.input_value("#prompt") == "Three people wave on a beach, smiling."
        page.click("[aria-label='Remove cleo']")
        page.fill("#prompt", "Three people wave on a beach, smiling, with a zither.")
        expect(page.locator("#notes")).to_contain_text("does not know 'zither'")
        expect(page.locator("#notes")).to_contain_text("speaks of 3 people, with photos of 2 people")
        page.fill("#prompt", "Two people wave on a beach, smiling.")
        page.fill("#seed", "3")
        page.select_option("#steps", index=0)
        make(page)
        expect(page.locator(".live img").nth(1)).to_be_visible(timeout=120_000)
        expect(page.locator("#stage .state")).to_have_text("made", timeout=300_000)
        expect(page.locator(".fared img")).to_have_count(4)
        expect(page.locator(".fared")).to_contain_text("similarity")
    finally:
        site.close()
