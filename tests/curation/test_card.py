"""The data card says what is in the data set, what is not, and why."""

import itertools
import re
from pathlib import Path

import pytest

from ingredients.core.config import load_config
from ingredients.curation.card import funnel, html_card, markdown_card, versions
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import Curated
from tests.curation.films import shot, write_film
from tests.curation.test_engine import run


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Two clips, one of them a still; and a file that is no video, named like a tag of HTML."""
    films = tmp_path_factory.mktemp("films")
    write_film(films / "a.mp4", [shot(0), shot(1)[:1].repeat(60, axis=0)])
    (films / "<b>.mp4").write_text("none")
    (films / "a.json").write_text('{"license": "CC0", "consent": "<i>given</i>"}')
    found, _ = run(films, tmp_path_factory.mktemp("clips"))
    for _, clip in found.kept:
        clip.topics = {"people": "2", "size": "close", "place": "beach", "action": "wave"}
    return found


def test_the_funnel_adds_up(curated: Curated) -> None:
    rows = {row.step: row for row in funnel(curated)}
    assert (rows["videos"].num_in, rows["videos"].num_out) == (2, 1)
    assert (rows["length"].num_in, rows["balance"].num_out) == (2, 1)
    assert rows["stills"].reasons == {"a still": 1}
    steps = list(rows.values())[1:]
    for earlier, later in itertools.pairwise(steps):
        assert earlier.num_out == later.num_in
        assert earlier.num_in - earlier.num_out == sum(earlier.reasons.values())


def test_the_page_shows_clips_reasons_and_licences_and_nothing_foreign_acts(curated: Curated) -> None:
    page = html_card(curated, command="ingredients curate films")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "stills: a still (1 of 1)" in page
    assert "CC0" in page
    assert "&lt;i&gt;given&lt;/i&gt;" in page
    assert "&lt;b&gt;.mp4" in page
    assert "<b>.mp4" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_markdown_says_the_same(curated: Curated) -> None:
    text = markdown_card(curated, command="ingredients curate films")
    assert "| stills | 2 | 1 | 1 a still |" in text
    assert "| CC0 | 1 |" in text
    assert "**64**" in text
    assert "| beach | 1 |" in text


def test_a_card_says_which_libraries_decided() -> None:
    plain = versions(CurationConfig())
    assert {each.split()[0] for each in plain} >= {"ingredients", "av"}
    assert not any(each.startswith("transformers ") for each in plain)
    masked = versions(load_config(CurationConfig, overrides=["people.faces=drawn", "masks.by=sam"]))
    assert sum(each.startswith("torch ") for each in masked) == 1
    assert {each.split()[0] for each in masked} >= {"transformers", "scipy"}  # the latter finds the rims


def test_the_same_card_comes_out_again(curated: Curated, tmp_path: Path) -> None:
    assert html_card(curated, command="x") == html_card(curated, command="x")
