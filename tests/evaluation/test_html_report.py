"""The report in one file: 4 cases of 1 or 2 people."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from ingredients.casebook.cases import Case
from ingredients.evaluation import html_report as reports
from ingredients.evaluation.html_report import embed_photo, embed_video, html_report
from ingredients.evaluation.result import Result
from ingredients.media.video import plays_in_browsers, write_video
from tests.evaluation.video_folders import BLUE, GREEN, LEFT, RED, RIGHT, VideoFolder, judge_videos, make_judges, wave

EVIL = "<script>alert('x')</script> & \"more\""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Result:
    path = tmp_path_factory.mktemp("theirs")
    folder = VideoFolder(path)
    ana, ben = folder.person("ana", RED), folder.person(EVIL.replace("/", ""), GREEN)
    shown = {
        "right": {LEFT: RED, RIGHT: GREEN},
        "half": {LEFT: RED, RIGHT: BLUE},
        EVIL: {LEFT: BLUE},
    }
    videos = [
        Case(file_name=folder.video(f"{index}.mp4", wave(patches)), case_id=name, prompt=EVIL, people=(ana, ben))
        for index, (name, patches) in enumerate(shown.items())
    ]
    videos.append(Case(file_name="none.mp4", prompt="Nobody.", people=(ana,)))
    folder.write(*videos)
    return judge_videos(path, make_judges(), path / "output")


def test_it_asks_nothing_of_the_network(page):
    text = html_report(page)
    assert re.findall(r"(?:src|href)=\"(?!data:)[^\"]*", text) == []
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_what_others_wrote_is_text(page):
    text = html_report(page)
    assert "alert('x')" not in text
    assert "&lt;script&gt;alert(&#39;x&#39;)" in text
    assert text.count("<script>") == 1


def test_the_worst_come_first_and_have_their_videos_in_it(page):
    rows = re.findall(r"<tr><td data-value=\"([^\"]*)", html_report(page))
    assert rows[0] == "none"
    assert rows[-1] == "right"
    assert "autoplay controls loop muted playsinline" in html_report(page)
    for limit, embedded in ((24, 3), (1, 1), (0, 0)):
        text = html_report(page, num_videos=limit)
        assert text.count("<video ") == embedded
        assert f"{embedded} of 4 videos are in this file" in text
    assert html_report(page, num_videos=1).index("<video ") < html_report(page, num_videos=1).index(
        'data-value="right"'
    )


def test_it_says_who_appears_as_whom_and_what_went_wrong(page):
    text = html_report(page)
    assert "ana <b>1.00</b>" in text
    assert "as a stranger" in text
    assert "none.mp4 does not exist" in text
    for column in ("person 1", "person 2", "a stranger", "missing"):
        assert f"<th>{column}</th>" in text
    assert "<code>paper_face_similarity</code>" in text
    assert " %</td>" in text


def test_every_metric_has_its_interval(page):
    text = html_report(page)
    for name in page.metrics:
        assert f"<code>{name}</code>" in text


def test_a_video_that_browsers_play_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, wave({LEFT: RED}), fps=8)
    assert plays_in_browsers(path)
    element = embed_video(path)
    assert element is not None
    assert base64.b64encode(path.read_bytes()).decode() in element


@pytest.mark.parametrize(("width", "shown"), [(96, 384), (100, 300), (192, 384), (194, None), (480, None)])
def test_a_small_video_is_enlarged_by_whole_pixels(tmp_path, width, shown):
    write_video(tmp_path / "a.mp4", np.zeros((3, 32, width, 3), np.uint8), fps=8)
    element = embed_video(tmp_path / "a.mp4")
    template = Path(reports.__file__).with_name("report.html.jinja").read_text()
    assert (f'<video class="small" style="width: {shown}px" ' in element) == (shown is not None)
    assert element.startswith("<video autoplay" if shown is None else "<video class")
    assert ".cases video.small { image-rendering: pixelated;" in template


def test_any_other_is_made_one(tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, wave({LEFT: RED}), fps=8)
    assert not plays_in_browsers(path)
    element = embed_video(path)
    assert element is not None
    made = base64.b64decode(re.search(r"base64,([^\"]*)", element).group(1))
    (tmp_path / "b.mp4").write_bytes(made)
    assert plays_in_browsers(tmp_path / "b.mp4")


def test_what_cannot_be_read_has_no_picture(tmp_path):
    assert embed_video(tmp_path / "none.mp4") is None
    assert embed_photo(tmp_path / "none.png") == '<img alt="no photo">'
    photo = embed_photo(np.zeros((300, 200, 3), np.uint8))
    assert photo.startswith('<img alt="" src="data:image/jpeg;base64,')
    assert Path("none") not in tmp_path.iterdir()
