"""`ingredients curate`: a data set, a try, one clip explained, one step again; and mistakes in one sentence."""

import json
import os
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner, Result

from ingredients.apps.cli import app
from tests.curation.films import SETTINGS, shot, write_film


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two shots."""
    return write_film(tmp_path_factory.mktemp("films") / "holiday.mp4", [shot(0), shot(1, 70)])


@pytest.fixture(scope="module")
def data_set(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is made of it."""
    output = tmp_path_factory.mktemp("made") / "clips"
    result = curate(str(film), "--output", str(output), "--verbose")
    assert result.exit_code == 0, result.output
    assert "2 of 2 clips of 1 videos are kept" in result.output
    assert ": kept" in result.output
    return output


def curate(*arguments: str) -> Result:
    settings = [] if arguments[0] in ("show", "replay", "--help") else SETTINGS
    return CliRunner().invoke(app, ["curate", *arguments, *settings])


def test_a_folder_has_the_data_set_the_tables_the_log_and_the_card(data_set: Path) -> None:
    names = {path.name for path in data_set.iterdir()}
    assert names >= {"metadata.jsonl", "videos", "clips.jsonl", "sources.jsonl", "provenance.jsonl", "card.html"}
    assert names >= {"card.md", "curation.log", "curation.yaml"}
    log = (data_set / "curation.log").read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in log] == ["kept", "kept"]
    assert "holiday.mp4" in (data_set / "card.md").read_text()


def test_videos_of_an_address_are_copied_once_and_say_where_they_are_from(
    film: Path, data_set: Path, tmp_path: Path
) -> None:
    storage = fsspec.filesystem("memory")
    storage.pipe("/store/films/holiday.mp4", film.read_bytes())
    storage.pipe("/store/films/holiday.json", b'{"licence": "CC0-1.0"}')
    output = tmp_path / "clips"
    copies = []
    for _ in range(2):
        result = curate("memory://store/films", "--output", str(output))
        assert result.exit_code == 0, result.output
        (copy,) = (output / ".curation" / "raw").rglob("holiday.mp4")
        copies.append((copy.stat().st_ino, copy.stat().st_mtime_ns))
    assert copies[0] == copies[1]
    lines = [json.loads(line) for line in (output / "provenance.jsonl").read_text().splitlines()]
    assert [(line["address"], line["said"]) for line in lines] == 2 * [
        ("memory://store/films/holiday.mp4", {"licence": "CC0-1.0"})
    ]
    for name in ("metadata.jsonl", *(f"videos/{path.name}" for path in (data_set / "videos").iterdir())):
        assert (output / name).read_bytes() == (data_set / name).read_bytes()
    assert "ingredients curate memory://store/films" in (output / "card.md").read_text()


def test_a_try_writes_nothing(film: Path, tmp_path: Path) -> None:
    before = sorted(film.parent.iterdir())
    result = curate(str(film), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "1 of 1 videos can be used, 5 seconds of film" in result.output
    assert "about 2 clips" in result.output
    assert sorted(film.parent.iterdir()) == before


def test_one_clip_is_explained_on_one_page(film: Path, tmp_path: Path) -> None:
    page = tmp_path / "clip.html"
    arguments = ["show", str(film), "--time", "3.5", "--output", str(page), *SETTINGS]
    assert curate(*arguments).exit_code == 0
    text = page.read_text()
    assert "from 3.00 to 4.92 s" in text
    assert "is kept" in text
    assert text.count("data:image/jpeg") == 5
    assert curate(*arguments).exit_code == 2
    rejected = curate(*arguments, "quality.min_motion=9", "--overwrite")
    assert rejected.exit_code == 0
    assert "too little motion" in page.read_text()
    files = []
    for name, limit in (("strict", 9), ("easy", 0)):
        files += ["--config", str(tmp_path / f"{name}.yaml")]
        (tmp_path / f"{name}.yaml").write_text(f"quality:\n  min_motion: {limit}\n")
    assert curate(*arguments, *files, "--overwrite").exit_code == 0  # the later file has the last word
    assert "is kept" in page.read_text()
    late = curate("show", str(film), "--time", "99", "--output", str(tmp_path / "b.html"), *SETTINGS)
    assert late.exit_code == 2
    assert "ends after 5.4 seconds" in late.output


def test_a_step_is_taken_again_on_what_was_saved(data_set: Path) -> None:
    [name, _] = [json.loads(line)["clip_id"] for line in (data_set / "clips.jsonl").read_text().splitlines()]
    before = {path: path.read_bytes() for path in data_set.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, ["curate", "replay", str(data_set), name, "text", "quality.max_text_share=0"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[0])
    assert found["measured"] == found["saved"]
    assert {path: path.read_bytes() for path in data_set.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.mp4", "--output", "clips"], "nowhere.mp4 does not exist"),
        (["--output", "clips"], "Usage: ingredients curate [OPTIONS]"),
        (["films"], "--output"),
        (["films", "--output", "clips", "quality.min_sharp=1"], "min_sharp"),
        (["films", "--output", "clips", "shots.min_seconds=20"], "max_seconds"),
        (["films", "--output", "films"], "holds something already"),
        (["replay", "films", "x", "text"], "curation.yaml"),
        (["memory://nowhere/films", "--output", "clips"], "memory://nowhere/films"),
        (["memory://ana:secret@store/films", "--dry-run"], "`ingredients curate fetch`"),
        (["films", "--output", "s3://bucket/clips"], "s3://bucket/clips is no file or folder of this machine"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], said: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fsspec.filesystem("memory").pipe("/ana:secret@store/films/a.mp4", b"frames")
    (tmp_path / "films").symlink_to(film.parent)
    result = CliRunner().invoke(app, ["curate", *arguments])
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())
    assert "secret" not in result.output
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize("options", [["--output", "clips"], ["--dry-run"]])
@pytest.mark.parametrize(
    ("kind", "said"),
    [("pipe", "is a pipe or a device"), ("empty", "the file is empty"), ("text", "a.mp4")],
)
def test_videos_of_which_none_can_be_read_are_a_mistake(
    kind: str, said: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make = {"pipe": os.mkfifo, "empty": Path.touch, "text": lambda path: path.write_text("no video")}[kind]
    make(tmp_path / "a.mp4")
    make(tmp_path / "b.mp4")
    alone = curate("a.mp4", *options)
    assert alone.exit_code == 2, alone.output
    assert said in " ".join(alone.output.split())
    assert "a.mp4" in alone.output
    both = curate("a.mp4", "b.mp4", *options)
    assert both.exit_code == 2, both.output
    assert "None of the 2 videos can be read" in " ".join(both.output.split())
    assert not (tmp_path / "clips" / "metadata.jsonl").exists()


def test_one_of_them_beside_a_good_one_is_left_out(film: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    result = curate(str(tmp_path / "a.mp4"), str(film), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "1 of 2 videos can be used" in result.output


def test_an_empty_file_is_explained_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    result = CliRunner().invoke(app, ["curate", "show", str(tmp_path / "a.mp4"), "--output", str(tmp_path / "a.html")])
    assert result.exit_code == 2
    assert "a.mp4 cannot be read: the file is empty" in " ".join(result.output.split())
