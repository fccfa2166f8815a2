"""From films to a data set, again and again, with the same outcome."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.curation.chain import costly_steps
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import Curated, curate
from ingredients.curation.estimate import estimate
from ingredients.curation.ray_pool import _Doer
from ingredients.curation.source_work import SourceTask, _span_key, num_unanswered, survey
from ingredients.curation.sources import find_sources
from ingredients.curation.step import step_keys
from ingredients.curation.store import SourceStore
from ingredients.curation.workers import LocalPool
from ingredients.curation.write import write_data_set
from ingredients.data.clip_folder import read_clip_folder
from ingredients.media.video import measure_video
from tests.curation.films import SETTINGS, shot, write_film


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, name: str, done: float, total: float | None, note: str = "") -> None:
        """Nobody looks."""

    def tell(self, sentence: str) -> None:
        """Keeps a sentence."""
        self.lines.append(sentence)

    def clip(self, line: str) -> None:
        """Keeps a line."""
        self.lines.append(line)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two films; the second shows a shot of the first again."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mp4", [shot(0), shot(1, 70)])
    write_film(folder / "b.mp4", [shot(2), shot(1, 70)])
    (folder / "a.json").write_text(json.dumps({"licence": "CC-BY-4.0", "creator": "Ana"}))
    (folder / "notes.mp4").write_text("no film")
    return folder


def run(films: Path, output: Path, *settings: str, num_workers: int = 0) -> tuple[Curated, Watcher]:
    watcher = Watcher()
    config = load_config(CurationConfig, overrides=[*SETTINGS, *settings])
    output.mkdir(exist_ok=True)
    curated = curate(find_sources([films]), config, output / ".curation", num_workers=num_workers, watcher=watcher)
    write_data_set(output, curated)
    return curated, watcher


def test_films_become_clips_and_each_says_why(films: Path, tmp_path: Path) -> None:
    curated, watcher = run(films, tmp_path)
    records = read_clip_folder(tmp_path)
    assert [record.clip_id.split("-")[0] for record in records] == ["a", "a", "b"]
    for record in records:
        size = measure_video(record.video, most_frames=100)
        assert (size.num_frames, size.height, size.width) == (record.num_frames, record.height, record.width)
        assert size.fps == record.fps == 12
    [dropped] = [clip for _, clip in curated.clips if clip.rejection is not None]
    assert dropped.rejection is not None
    assert dropped.rejection.step == "duplicates"
    assert records[1].clip_id in str(dropped.rejection.value)
    [bad] = [source for source in curated.sources if source.state.rejection is not None]
    assert bad.source.path.name == "notes.mp4"
    assert any("notes.mp4: left out at probe" in line for line in watcher.lines)
    said = [json.loads(line) for line in (tmp_path / "provenance.jsonl").read_text().splitlines()]
    assert [line["said"].get("licence") for line in said] == ["CC-BY-4.0", "CC-BY-4.0", None]


def test_thresholds_decide_anew_on_what_was_measured(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ".curation").rglob("*") if path.is_file()}
    curated, _ = run(films, tmp_path, "shots.min_seconds=1.8")
    assert len(curated.kept) == 1
    assert [path.name for path in (tmp_path / "videos").iterdir()] == [f"{curated.kept[0][1].clip_id}.mp4"]
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / ".curation").rglob("*") if path.is_file()}
    assert after == before


def test_whoever_works_in_another_folder_finds_the_same_files(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(LocalPool):
        """Works in another folder than the command."""

        def do_all(self, work: Any, tasks: Any, *, on_done: Any, is_heavy: bool) -> Any:
            with monkeypatch.context() as patch:
                patch.chdir("/")
                yield from list(super().do_all(work, tasks, on_done=on_done, is_heavy=is_heavy))

    monkeypatch.chdir(tmp_path)
    Path("films").symlink_to(films)
    config = load_config(CurationConfig, overrides=SETTINGS)
    pool = Elsewhere(num_workers=0)
    curated = curate(find_sources([Path("films")]), config, Path("work"), watcher=Watcher(), pool=pool)
    assert len(curated.kept) == 3
    assert all(not source.source.path.is_absolute() for source in curated.sources)  # tables say what was named


def test_an_actor_of_ray_works_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    _Doer(len, None, str(tmp_path))
    assert Path.cwd() == tmp_path
    _Doer(len, None, str(tmp_path / "on-no-other-machine"))
    assert Path.cwd() == tmp_path


def test_what_captions_cost_is_said_before_the_first_and_may_be_too_much(films: Path, tmp_path: Path) -> None:
    settings = ("people.min_people=1", "people.faces=drawn", "captions.by=endpoint", "captions.model=large",
                "captions.base_url=http://127.0.0.1:9/v1", "captions.dollars_per_million_input=1000",
                "captions.most_dollars=0.5")  # fmt: skip
    with pytest.raises(UserInputError, match=r"may cost \d+\.\d\d US dollars, and captions.most_dollars allows 0.5"):
        run(films, tmp_path, *settings)
    sources = find_sources([films])
    config = load_config(CurationConfig, overrides=[*SETTINGS, *settings])
    found = estimate(sources, config, num_workers=0)  # nobody is asked, or the address would fail
    assert found.captions is not None
    assert "requests" in found.captions.sentence
    without = estimate(sources, load_config(CurationConfig, overrides=SETTINGS), num_workers=2)
    assert without.captions is None
    assert (without.num_videos, without.num_left_out) == (2, 1)
    assert without.num_clips == 4  # of which one shows the same as another
    assert without.work_seconds > 0


def test_clips_that_were_answered_cost_nothing_more(films: Path, tmp_path: Path) -> None:
    settings = ("people.min_people=1", "people.faces=drawn", "captions.by=endpoint", "captions.model=large",
                "captions.base_url=http://127.0.0.1:9/v1")  # fmt: skip
    config, path = load_config(CurationConfig, overrides=[*SETTINGS, *settings]), films / "a.mp4"
    task = SourceTask(
        path=path, digest="ab12", num_bytes=path.stat().st_size, work=tmp_path, config=config, num_threads=1
    )
    clips = survey(task, lambda step, amount: None).clips
    task = dataclasses.replace(task, clip_ids=tuple(clip.clip_id for clip in clips))
    assert num_unanswered(task) == len(clips) == 2
    key = step_keys(costly_steps(config), config, base="")["answers"]
    SourceStore(tmp_path, "ab12").put("answers", _span_key(clips[0]), key, {"said": "A person waves."})
    assert num_unanswered(task) == 1
    assert num_unanswered(dataclasses.replace(task, clip_ids=(clips[0].clip_id,))) == 0
    others = load_config(CurationConfig, overrides=[*SETTINGS, *settings, "captions.num_pictures=2"])
    assert num_unanswered(dataclasses.replace(task, config=others)) == 2


def test_what_is_wrong_with_the_machine_ends_the_work(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="nowhere"):
        run(films, tmp_path, "people.min_people=1", "people.faces=drawn", "people.face_encoder=nowhere")
