"""Folders and shards through one door: the same clips, each fault one item, nothing left behind, nothing let out."""

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingredients.core.errors import OutputError, UserInputError
from ingredients.data import clip_shards
from ingredients.data.clip_check import check_clips
from ingredients.data.clip_folder import METADATA_NAME
from ingredients.data.clip_shards import INDEX_NAME
from ingredients.data.clip_source import open_clip_source
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import ClipRecord
from ingredients.data.shard_writer import pack_clips
from tests.data.drawn_clips import IDS, change, check, values_of

Edit = Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where samples are unpacked."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def packed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips in two shards."""
    folder = tmp_path_factory.mktemp("packed") / "shards"
    pack_clips(open_clip_source(drawn), folder, clips_per_shard=2, on_bad="stop", on_bad_input=never)
    return folder


@pytest.fixture
def shards(packed: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "shards"
    shutil.copytree(packed, copy)
    return copy


def never(name: str, problem: str) -> None:
    raise AssertionError(f"{name}: {problem}")


def rewrite(shard: Path, edit: Edit) -> None:
    """Changes what a tar file holds."""
    with tarfile.open(shard) as tar:
        members = [(member, read(tar, member)) for member in tar.getmembers()]
    edit(members)
    with tarfile.open(shard, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def renamed(old: str, new: str) -> Edit:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for member, _ in members:
            if member.name == old:
                member.name = new

    return edit


def with_record(clip_id: str, values: Mapping[str, Any]) -> Edit:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for index, (member, content) in enumerate(members):
            if member.name == f"{clip_id}.json":
                members[index] = (member, json.dumps(json.loads(content) | values).encode())

    return edit


def items(path: Path) -> list[tuple[str, str]]:
    """Where each item stands, and the clip's name or what is wrong."""
    return [
        (where, str(record) if isinstance(record, BadRecordError) else record.clip_id)
        for where, record in open_clip_source(path)
    ]


# Both forms


def test_both_forms_hold_the_same_clips(drawn: Path, packed: Path) -> None:
    assert items(drawn) == [(f"line {number}", clip_id) for number, clip_id in enumerate(IDS, start=1)]
    shards = ("clips-000000.tar", "clips-000000.tar", "clips-000001.tar")
    assert items(packed) == [(f"{shard}:{clip_id}", clip_id) for shard, clip_id in zip(shards, IDS, strict=True)]
    assert items(packed / "clips-000001.tar") == items(packed)[2:]
    assert open_clip_source(drawn).count() == open_clip_source(packed).count() == 3
    assert check(packed) == check(drawn)


def test_a_sample_is_there_while_its_turn_lasts(packed: Path, temporary_folder: Path) -> None:
    source = open_clip_source(packed)
    assert not source.keeps_files
    before: ClipRecord | None = None
    for _, record in source:
        assert isinstance(record, ClipRecord)
        assert all(path.is_file() for path in record.files)
        assert before is None or not any(path.exists() for path in before.files)
        assert len(list(temporary_folder.iterdir())) == 1
        before = record
    assert not list(temporary_folder.iterdir())
    for _ in source:
        break
    assert not list(temporary_folder.iterdir())


@pytest.mark.parametrize("form", ["drawn", "packed"])
def test_parts_make_up_the_whole(form: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(form)
    parts = [open_clip_source(path, part=(index, 2)) for index in range(2)]
    found = [[where for where, _ in part] for part in parts]
    assert sorted(found[0] + found[1]) == [where for where, _ in items(path)]
    assert [part.count() for part in parts] == [len(part) for part in found] == [2, 1]
    assert len({part.fingerprint() for part in (*parts, open_clip_source(path))}) == 1
    with pytest.raises(ValueError, match="part is 2 of 2"):
        open_clip_source(path, part=(2, 2))


def test_a_pipe_holds_nothing_up(shards: Path) -> None:
    os.mkfifo(shards / "pipe.tar")
    assert "is no file" in items(shards)[-1][1]


def test_a_fingerprint_follows_what_a_folder_holds(folder: Path, drawn: Path, tmp_path: Path) -> None:
    def fingerprint() -> str:
        return open_clip_source(folder).fingerprint()

    assert fingerprint() == open_clip_source(drawn).fingerprint()
    found = {fingerprint()}
    change(folder, 1, caption="Something else.")
    found.add(fingerprint())
    (folder / "videos" / f"{IDS[0]}.mp4").write_bytes(b"another")
    found.add(fingerprint())
    (folder / "videos" / f"{IDS[0]}.mp4").unlink()
    found.add(fingerprint())
    assert len(found) == 4


def test_a_fingerprint_follows_what_shards_hold(shards: Path, packed: Path) -> None:
    found = {open_clip_source(packed).fingerprint(), open_clip_source(shards).fingerprint()}
    assert len(found) == 1
    (shards / INDEX_NAME).unlink()
    found.add(open_clip_source(shards).fingerprint())
    (shards / "clips-000001.tar").rename(shards / "others.tar")
    found.add(open_clip_source(shards).fingerprint())
    assert len(found) == 3


def test_no_data_set_and_two(tmp_path: Path, shards: Path, drawn: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "temporary", drawn / METADATA_NAME):
        with pytest.raises(UserInputError, match="There is no data set at"):
            open_clip_source(path)
    (shards / METADATA_NAME).write_text("")
    with pytest.raises(UserInputError, match="holds two data sets"):
        open_clip_source(shards)


# Shards of strangers


def test_clips_are_counted_without_an_index(shards: Path) -> None:
    (shards / INDEX_NAME).write_text('{"shards": {"clips-000000.tar": [7, 1]}}')
    assert open_clip_source(shards).count() == 3
    (shards / INDEX_NAME).unlink()
    assert open_clip_source(shards).count() == 3


def test_samples_of_another_order_and_folder(shards: Path) -> None:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members.reverse()
        for member, _ in members:
            member.name = f"./some.folder/{member.name}"
        members.insert(0, (directory("./some.folder"), b""))
        members.append((tarfile.TarInfo("README"), b"no dot, no sample"))
        members.append((tarfile.TarInfo("__meta__/info.json"), b"{}"))

    rewrite(shards / "clips-000000.tar", edit)
    assert [clip_id for _, clip_id in items(shards)] == [IDS[1], IDS[0], IDS[2]]
    assert check(shards).num_usable == 3


def directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member


def test_a_clip_id_in_two_shards(shards: Path) -> None:
    shutil.copy(shards / "clips-000001.tar", shards / "more.tar")
    where, problem = items(shards)[-1]
    assert where == f"more.tar:{IDS[2]}"
    assert f"clips-000001.tar:{IDS[2]} and more.tar:{IDS[2]}" in problem
    assert (check(shards).num_clips, check(shards).num_usable) == (4, 3)


def test_a_clip_id_twice_in_one_shard(shards: Path) -> None:
    def twice(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members += members[: len(members)]

    rewrite(shards / "clips-000000.tar", twice)
    assert [clip_id for _, clip_id in items(shards)][:2] == list(IDS[:2])
    assert ["same clip_id" in text for _, text in items(shards)] == [False, False, True, True, False]


@pytest.mark.parametrize(
    "content", [b"", b"no tar" * 1000, bytes(100), bytes(10240)], ids=["nothing", "text", "short", "no members"]
)
def test_a_shard_that_holds_nothing(shards: Path, content: bytes) -> None:
    (shards / "clips-000000.tar").write_bytes(content)
    (shards / "directory.tar").mkdir()
    found = items(shards)
    assert [where for where, _ in found] == ["clips-000000.tar", f"clips-000001.tar:{IDS[2]}", "directory.tar"]
    assert str(shards / "clips-000000.tar") in found[0][1]
    assert open_clip_source(shards).count() == 3


@pytest.mark.parametrize("where", ["in a file", "between files", "in a header", "before the end mark"])
def test_a_shard_that_is_cut_off(shards: Path, where: str) -> None:
    shard = shards / "clips-000000.tar"
    with tarfile.open(shard) as tar:
        members = tar.getmembers()
    last = members[-1]
    end = {
        "in a file": last.offset_data + 10,
        "between files": last.offset,
        "in a header": last.offset + 99,
        "before the end mark": (last.offset_data + last.size + 511) // 512 * 512,
    }[where]
    shard.write_bytes(shard.read_bytes()[:end])
    found = dict(items(shards))
    assert found.pop(f"clips-000000.tar:{IDS[0]}") == IDS[0]
    assert found.pop(f"clips-000001.tar:{IDS[2]}") == IDS[2]
    assert "is damaged or cut off" in found["clips-000000.tar"]
    assert check(shards).num_usable >= 2


def test_a_damaged_header_is_not_the_end(shards: Path) -> None:
    shard = shards / "clips-000000.tar"
    with tarfile.open(shard) as tar:
        [middle] = [member for member in tar.getmembers() if member.name == f"{IDS[1]}.json"]
    content = bytearray(shard.read_bytes())
    content[middle.offset + 3] ^= 1
    shard.write_bytes(content)
    assert "clips-000000.tar" in dict(items(shards))


def test_a_file_of_negative_length_is_no_endless_loop(shards: Path) -> None:
    shard = shards / "clips-000000.tar"
    header = tarfile.TarInfo(f"{IDS[0]}.json")
    header.size = -1024
    shard.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    [(where, problem), _] = items(shards)
    assert where == "clips-000000.tar"
    assert "damaged" in problem


@pytest.mark.parametrize("name", ["../../evil.mp4", "/tmp/evil.mp4", "a/../../evil", "../.bashrc"])
def test_names_that_lead_out_are_refused(shards: Path, tmp_path: Path, name: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    rewrite(shards / "clips-000000.tar", lambda members: members.insert(0, (tarfile.TarInfo(name), b"evil")))
    found = items(shards)
    assert [text for _, text in found[1:]] == list(IDS)
    assert "leads out of its folder" in found[0][1]
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_record_cannot_lead_out(shards: Path) -> None:
    rewrite(shards / "clips-000000.tar", with_record(IDS[0], {"file_name": "../../evil.mp4"}))
    assert "must lie in the folder of the data set" in items(shards)[0][1]
    rewrite(shards / "clips-000000.tar", with_record(IDS[0], {"file_name": "x/y.mp4"}))
    assert "lacks the file that its record calls x/y.mp4" in items(shards)[0][1]


def test_a_link_is_refused(shards: Path) -> None:
    def link(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for index, (member, _) in enumerate(members):
            if member.name == f"{IDS[0]}.mp4":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                members[index] = (member, b"")

    rewrite(shards / "clips-000000.tar", link)
    assert "no plain file at 'mp4'" in items(shards)[0][1]


@pytest.mark.parametrize(
    ("suffix", "problem"),
    [
        ("mp4", "lacks the file that its record calls mp4"),
        ("json", "lacks its record"),
        ("0.mask.png", "calls 0.mask.png"),
    ],
)
def test_a_sample_that_lacks_a_file(shards: Path, suffix: str, problem: str) -> None:
    rewrite(shards / "clips-000000.tar", renamed(f"{IDS[0]}.{suffix}", f"{IDS[0]}.other"))
    found = items(shards)
    assert found[0][0] == f"clips-000000.tar:{IDS[0]}"
    assert problem in found[0][1]
    assert [clip_id for _, clip_id in found[1:]] == list(IDS[1:])


def test_two_files_of_one_name(shards: Path) -> None:
    rewrite(shards / "clips-000000.tar", renamed(f"{IDS[0]}.0.mask.png", f"{IDS[0]}.mp4"))
    assert "has 'mp4' twice" in items(shards)[0][1]


def test_a_check_names_the_sample_and_no_temporary_folder(shards: Path, temporary_folder: Path) -> None:
    def damage(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for index, (member, _) in enumerate(members):
            if member.name == f"{IDS[0]}.mp4":
                members[index] = (member, b"no video")

    rewrite(shards / "clips-000000.tar", damage)
    [problem] = check(shards).problems
    assert problem.clip_id == f"clips-000000.tar:{IDS[0]}"
    assert f"The video {IDS[0]}.mp4 cannot be read" in problem.problem


def test_no_room_to_unpack_is_no_bad_clip(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    with pytest.raises(OutputError, match="TMPDIR"):
        items(packed)


def test_a_record_that_is_too_large(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_shards, "_MOST_RECORD_BYTES", 10)
    assert all("is larger than" in problem for _, problem in items(shards))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    in_headers=st.booleans(),
    end=st.floats(0, 1) | st.none(),
)
def test_a_damaged_shard_is_survived(
    packed: Path, tmp_path: Path, changes: list[tuple[int, int]], in_headers: bool, end: float | None
) -> None:
    content = bytearray((packed / "clips-000001.tar").read_bytes())
    for place, value in changes:
        place %= len(content)
        content[place - place % 512 + 124 + place % 36 if in_headers else place] = value
    shard = tmp_path / "damaged.tar"
    shard.write_bytes(content if end is None else content[: int(end * len(content))])
    report = check_clips(open_clip_source(shard), progress=lambda done, total: None)
    assert report.num_clips >= 1


def test_records_of_foreign_shards_are_read(tmp_path: Path, drawn: Path) -> None:
    """A shard that plain tar wrote, with other keys and suffixes than ours."""
    values = values_of(drawn, 0) | {"people": values_of(drawn, 0)["people"][:1]}
    person = values["people"][0]
    files = {"video.mp4": values["file_name"], "face.png": person["face_masks"]}
    values["file_name"] = "video.mp4"
    person |= {"face_masks": "face.png", "person_masks": None, "references": []}
    with tarfile.open(tmp_path / "foreign.tar", "w") as tar:
        (tmp_path / "record").write_text(json.dumps(values))
        tar.add(tmp_path / "record", "ünï code/Ключ.JSON")
        for suffix, name in files.items():
            tar.add(drawn / name, f"ünï code/Ключ.{suffix}")
    assert items(tmp_path / "foreign.tar") == [("foreign.tar:ünï code/Ключ", IDS[0])]
    assert check(tmp_path / "foreign.tar").num_usable == 1
