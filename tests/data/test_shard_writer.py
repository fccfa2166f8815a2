"""What is packed is what is read, by us and by webdataset; stopped work goes on; bad clips are skipped or refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import webdataset

from ingredients.core.errors import OutputError, UserInputError
from ingredients.data.clip_check import iterate_usable
from ingredients.data.clip_folder import read_clip_folder
from ingredients.data.clip_shards import INDEX_NAME, read_index
from ingredients.data.clip_source import open_clip_source
from ingredients.data.schema import ClipRecord
from ingredients.data.shard_writer import pack_clips
from tests.data.drawn_clips import IDS, change, check, people_of


def pack(folder: Path, output: Path, **options: Any) -> list[Path]:
    return pack_clips(
        open_clip_source(folder),
        output,
        **({"clips_per_shard": 2, "on_bad": "stop", "on_bad_input": lambda name, problem: None} | options),
    )


def without_files(record: ClipRecord) -> ClipRecord:
    """A record with the content of its files in place of their names."""

    def content(path: Path | None) -> Any:
        return path and path.read_bytes()

    return dataclasses.replace(
        record,
        video=content(record.video),
        people=tuple(
            dataclasses.replace(
                person,
                face_masks=content(person.face_masks),
                person_masks=content(person.person_masks),
                references=tuple(content(photo) for photo in person.references),
            )
            for person in record.people
        ),
    )


def test_the_way_into_shards_and_out_changes_nothing(folder: Path, tmp_path: Path) -> None:
    person = people_of(folder, 1)[0]
    person["boxes"][1] = [1.23456789012345, 2, 30.1, 40]  # more digits than we write
    person["references"] *= 2  # one photo named twice
    del person["person_masks"]
    change(folder, 1, people=[person], clip_id="a clip. of/mine é")
    progress: list[tuple[int, int]] = []
    made = pack(folder, tmp_path / "shards", progress=lambda *done: progress.append(done))
    assert [shard.name for shard in made] == ["clips-000000.tar", "clips-000001.tar"]
    assert progress == [(1, 3), (2, 3), (3, 3)]
    expected = [without_files(record) for record in read_clip_folder(folder)]
    found = []
    for _, record in open_clip_source(tmp_path / "shards"):
        assert isinstance(record, ClipRecord)
        found.append(without_files(record))
    assert found == expected


def test_shards_are_packed_again_into_others(drawn: Path, tmp_path: Path) -> None:
    pack(drawn, tmp_path / "pairs")
    pack(tmp_path / "pairs", tmp_path / "one", clips_per_shard=5)
    pack(drawn, tmp_path / "straight", clips_per_shard=5)
    assert (tmp_path / "one" / "clips-000000.tar").read_bytes() == (
        tmp_path / "straight" / "clips-000000.tar"
    ).read_bytes()


def test_webdataset_reads_the_shards(drawn: Path, tmp_path: Path) -> None:
    made = pack(drawn, tmp_path / "shards")
    samples = list(webdataset.WebDataset([str(shard) for shard in made], shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == list(IDS)
    for sample, record in zip(samples, read_clip_folder(drawn), strict=True):
        assert sample["mp4"] == record.video.read_bytes()
        assert sample["0.mask.png"] == record.people[0].face_masks.read_bytes()


def test_packing_goes_on_where_it_stopped(drawn: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    made = pack(drawn, shards)
    times = made[0].stat().st_mtime_ns
    index, content = (shards / INDEX_NAME).read_text(), made[1].read_bytes()
    made[1].unlink()
    assert pack(drawn, shards) == made
    assert made[0].stat().st_mtime_ns == times
    assert made[1].read_bytes() == content
    assert (shards / INDEX_NAME).read_text() == index


def test_shards_of_something_else_are_not_mixed_in(folder: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    pack(folder, shards)
    with pytest.raises(OutputError, match=r"were not packed from .* 3 clips each"):
        pack(folder, shards, clips_per_shard=3)
    change(folder, 2, caption="Something else.")
    with pytest.raises(OutputError, match="were not packed from"):
        pack(folder, shards)
    (shards / INDEX_NAME).unlink()
    with pytest.raises(OutputError, match="were not packed from"):
        pack(folder, shards)
    with pytest.raises(OutputError, match="holds a data set of clips, not shards of clips"):
        pack(folder, folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; choose the name of a folder"):
        pack(folder, tmp_path / "file")


# Clips that cannot be used


@pytest.fixture
def broken(folder: Path) -> Path:
    """The first clip has no video, and nobody has a face in it; the second is no record."""
    person = people_of(folder, 0)[0]
    person["boxes"] = [None] * len(person["boxes"])
    change(folder, 0, people=[person])
    (folder / "videos" / f"{IDS[0]}.mp4").unlink()
    change(folder, 1, fps=0)
    return folder


def test_bad_clips_are_reported_and_skipped(broken: Path) -> None:
    reports: list[tuple[str, str]] = []
    usable = iterate_usable(open_clip_source(broken), "skip", lambda *report: reports.append(report))
    assert [record.clip_id for record in usable] == [IDS[2]]
    assert [name for name, _ in reports] == [IDS[0], "line 2"]
    assert "does not exist" in reports[0][1]
    assert "no frame has a face" in reports[0][1]


def test_bad_clips_stop_the_work(broken: Path) -> None:
    with pytest.raises(UserInputError, match=rf"The clip {IDS[0]} of .* cannot be used: The video .* does not exist"):
        list(iterate_usable(open_clip_source(broken), "stop", lambda *report: None))


def test_doubts_stop_nothing(folder: Path) -> None:
    change(folder, 0, caption="word " * 300)
    assert len(list(iterate_usable(open_clip_source(folder), "stop", lambda *report: None))) == 3


def test_bad_clips_are_not_packed(broken: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    with pytest.raises(UserInputError, match="cannot be used"):
        pack(broken, shards)
    assert [path.name for path in shards.iterdir() if not path.name.startswith(".")] == [INDEX_NAME]
    [shard] = pack(broken, shards, on_bad="skip")
    assert shard.name == "clips-000001.tar"
    index = read_index(shards)
    assert index is not None
    assert index.shards == {shard.name: (1, shard.stat().st_size)}
    assert check(shards).num_usable == 1
    change(broken, 2, caption="")
    with pytest.raises(UserInputError, match="no clip that can be packed"):
        pack(broken, tmp_path / "none", on_bad="skip")
