"""Uses the page as somebody who makes videos would, for half an hour, and says what went wrong.

    python -m benchmarks.page_use                    # 28 minutes, with Debian's Chromium and the model that ships
    python -m benchmarks.page_use --minutes 3

People with places, ways and several photos, takes, step caches, a repainted routing map, one person alone, other
seeds, reloads in the middle, cancelled and deleted videos, two windows; the server is ended once by SIGTERM and once
by SIGKILL while it makes a video. At the end: whether a video that was accepted is missing, errors of the page, memory
after each action.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import Error, Page, expect, sync_playwright

EXAMPLES = Path(__file__).parents[1] / "examples"
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 400_000  # milliseconds, for a machine that others use, too
SENTENCES = ("{} on a beach.", "{} in a park.", "{} in a room.")
COUNTED = ("One person waves", "Two people wave", "Three people wave")


class _Server:
    """A server of the model that ships, in a process of its own, which can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = "0"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "ingredients", "serve", "--port", self.port, "--store", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # its log shows
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = self.address.rpartition(":")[2]
        while not httpx.get(f"{self.address}/v1/models", timeout=60).json()["data"]:
            time.sleep(0.5)

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(60)

    def memory(self) -> str:
        server = psutil.Process(self.process.pid)
        workers = sum(each.memory_info().rss for each in server.children(recursive=True))
        return f"server {server.memory_info().rss / 2**20:.0f} MiB, workers {workers / 2**20:.0f} MiB"

    def states(self) -> dict[str, str]:
        """The state of each video, by its id."""
        found: dict[str, str] = {}
        while True:
            after = {"after": next(reversed(found))} if found else {}
            page = httpx.get(f"{self.address}/v1/videos", params={"limit": 100} | after, timeout=60).json()
            found |= {video["id"]: video["status"] for video in page["data"]}
            if not page["has_more"]:
                return found


class _Visitor:
    """Somebody with two windows, who remembers what was accepted and what was deleted."""

    def __init__(self, pages: tuple[Page, Page], server: _Server, seed: int) -> None:
        self.page, self.other = pages
        self.server = server
        self.chance = random.Random(seed)
        self.accepted: list[str] = []
        self.deleted: set[str] = set()
        self.faults: list[str] = []
        self.is_away = False  # the server, which the page may say
        for page in pages:
            page.on("pageerror", lambda error: self.faults.append(str(error)))
            page.on("console", self._hear)
            page.on("response", self._note)
            page.goto(server.address)

    def _hear(self, said: Any) -> None:
        if said.type == "error" and not self.is_away:
            self.faults.append(said.text)

    def _note(self, response: Any) -> None:
        method, path = response.request.method, response.url.partition("/v1/")[2]
        if response.status >= 400:
            self.faults.append(f"{response.status} for {method} {path}")
        elif method == "POST" and (path == "videos" or path.endswith("/remix")):
            self.accepted.append(response.json()["id"])
        elif method == "DELETE":
            self.deleted.add(path.rpartition("/")[2])

    # What is done again and again

    def choose(self) -> list[str]:
        """Other people, and a sentence; the names."""
        page = self.page
        page.bring_to_front()
        while page.locator("#cards li").count():
            page.locator("#cards .remove").first.click()
        names = self.chance.sample(["ana", "ben", "cleo"], self.chance.choice([1, 2, 2, 3]))
        for name in names:
            page.locator("#examples button", has_text=name).first.click()
            page.get_by_role("button", name=f"Remove {name}").wait_for()
        page.fill("#prompt", self.chance.choice(SENTENCES).format(COUNTED[len(names) - 1]))
        page.select_option("#steps", index=0)
        page.select_option("#takes", "1")
        page.fill("#seed", str(self.chance.randrange(1000)))
        return names

    def begin(self) -> None:
        expect(self.page.locator("#make")).to_be_enabled()
        self._click_and_follow("#make")

    def wait(self) -> None:
        expect(self.page.locator("#stage .state")).to_have_text("made")

    def _click_and_follow(self, what: str) -> None:
        before = self.page.url
        self.page.click(what)
        for _ in range(600):
            if self.page.url != before:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"No video was begun by {what}: {self.page.inner_text('#missing')}")

    def again(self, what: str) -> None:
        self.wait()
        self._click_and_follow(what)
        self.wait()

    # What somebody does

    def plain(self) -> None:
        self.choose()
        self.begin()
        self.wait()

    def placed(self) -> None:
        name = self.choose()[0]
        page = self.page
        if not page.locator("#moments").is_visible():
            page.click("#places summary")
        page.select_option(f"[aria-label='Place of {name} at the start']", "left")
        page.click("#moments >> text=At the end")
        page.select_option(f"[aria-label='Place of {name} at the end']", "right")
        page.click("[aria-label='Add a moment between']")
        box = page.locator("[data-place='0']")
        box.scroll_into_view_if_needed()
        at = box.bounding_box()
        assert at is not None
        page.mouse.move(at["x"] + 20, at["y"] + 20)
        page.mouse.down()
        page.mouse.move(at["x"] + 20 + self.chance.randrange(-60, 60), at["y"] + 25, steps=3)
        page.mouse.up()
        box.press("Shift+ArrowUp")
        self.begin()
        self.wait()

    def several_photos(self) -> None:
        name = self.choose()[0]
        self.page.get_by_label(f"Add photos of {name}").set_input_files(str(EXAMPLES / f"{name}.png"))
        self.page.get_by_role("group", name=f"Photos of {name}").wait_for()
        self.begin()
        self.wait()

    def takes(self) -> None:
        self.choose()
        self.page.select_option("#takes", "2")
        self.begin()
        self.wait()
        self.page.locator(".takes button").last.click()

    def another_pace(self) -> None:
        self.choose()
        if not self.page.locator("#tuning-fields").is_visible():
            self.page.click("#tuning summary")
        self.page.get_by_label("Take over from earlier steps").select_option("first-block")
        self.page.get_by_label("Against falling apart").fill(self.chance.choice(["", "1"]))
        self.begin()
        self.wait()
        self.page.click("text=All as the model has it")

    def another_seed(self) -> None:
        self.again("text=Again with another seed")

    def keep_routing(self) -> None:
        self.again("text=Keep this routing")

    def only_one(self) -> None:
        self.wait()
        if self.page.locator("#stage .fared button").count():
            self.again("#stage .fared button >> nth=0")

    def repaint(self) -> None:
        self.wait()
        self.page.click("text=Repaint the routing")
        board = self.page.locator("#paint canvas")
        board.wait_for()
        at = board.bounding_box()
        assert at is not None
        self.page.mouse.move(at["x"] + at["width"] / 3, at["y"] + at["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 1.5, steps=6)
        self.page.mouse.up()
        self.again("text=Make it with this map")

    def change(self) -> None:
        self.wait()
        seed = str(self.chance.randrange(1000, 2000))
        self.page.fill("#seed", "")
        self.page.click("text=Change something")
        expect(self.page.locator("#seed")).not_to_have_value("")
        self.page.fill("#seed", seed)
        self.begin()
        self.wait()

    def reload(self) -> None:
        self.choose()
        self.begin()
        self.page.wait_for_timeout(4000)
        self.page.reload()
        self.wait()

    def cancel(self) -> None:
        self.choose()
        self.begin()
        self.page.click("#stage >> text=Cancel")
        expect(self.page.locator("#stage .state")).to_have_text("cancelled")
        self._click_and_follow("text=Make it after all")
        self.wait()

    def delete(self) -> None:
        button = self.page.locator("#videos .video button.danger").last
        button.click()
        button.click()
        self.page.wait_for_timeout(1500)

    def compare_in_the_other_window(self) -> None:
        self.other.bring_to_front()
        self.other.locator("#videos .thumb").first.click()
        boxes = self.other.locator("#videos [data-compare]")
        if boxes.count() > 1:
            chosen = [boxes.nth(number).get_attribute("data-compare") for number in (0, 1)]
            for name in chosen:  # by name: one that is done meanwhile comes before them
                self.other.check(f"#videos [data-compare='{name}']")
            self.other.locator("#compare video").nth(1).wait_for()
            self.other.keyboard.press("Escape")
        self.page.bring_to_front()

    def see_the_server_end(self, how: signal.Signals) -> None:
        self.choose()
        self.begin()
        self.page.wait_for_timeout(3000)
        self.is_away = True
        self.server.end(how)
        expect(self.page.locator("#banner")).to_contain_text("cannot be reached")
        self.server.start()
        self.wait()
        expect(self.page.locator("#banner")).to_be_hidden()
        self.is_away = False


def use(folder: Path, *, minutes: float, seed: int) -> None:
    """Uses the page, and prints what happened."""
    started = time.monotonic()

    def tell(words: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {words}", flush=True)

    expect.set_options(timeout=PATIENCE)
    server = _Server(folder)
    started = time.monotonic()  # loading the model is no use of the page
    tell(f"the server is up: {server.memory()}; load {os.getloadavg()[0]:.1f}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE)
        visitor = _Visitor((context.new_page(), context.new_page()), server, seed)
        actions: list[Callable[[], None]] = [
            visitor.placed, visitor.several_photos, visitor.takes, visitor.another_pace, visitor.another_seed,
            visitor.keep_routing, visitor.only_one, visitor.repaint, visitor.change, visitor.reload, visitor.cancel,
            visitor.delete, visitor.compare_in_the_other_window,
        ]  # fmt: skip
        ends = [(0.6, signal.SIGKILL), (0.3, signal.SIGTERM)]
        plan: list[Callable[[], None]] = []
        done: collections.Counter[str] = collections.Counter()
        while (share := (time.monotonic() - started) / (60 * minutes)) < 1:
            if ends and share > ends[-1][0]:
                how = ends.pop()[1]
                name, action = how.name, lambda how=how: visitor.see_the_server_end(how)
            else:
                plan = plan or [*visitor.chance.sample(actions, len(actions)), visitor.plain]
                action = plan.pop()
                name = action.__name__
            try:
                action()
                done[name] += 1
            except (Error, AssertionError) as error:
                visitor.faults.append(f"{name}: {error}"[:600])
                visitor.page.reload()
            tabs = sum(
                each.memory_info().rss
                for each in psutil.Process().children(recursive=True)
                if "--type=renderer" in each.cmdline()
            )
            tell(f"{name}; {server.memory()}, windows {tabs / 2**20:.0f} MiB; load {os.getloadavg()[0]:.1f}")
        browser.close()
    states = server.states()
    server.end(signal.SIGTERM)
    tell(f"done: {dict(done)}")
    lost = [each for each in visitor.accepted if each not in states and each not in visitor.deleted]
    tell(f"accepted {len(visitor.accepted)}, deleted {len(visitor.deleted)}, lost {len(lost)}")
    tell(f"states: {dict(collections.Counter(states.values()))}; faults: {len(visitor.faults)}")
    print("\n".join(visitor.faults))


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=28)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        use(Path(name) / "store", minutes=options.minutes, seed=options.seed)


if __name__ == "__main__":
    main()
