"""Data sets on disk: what is written is what is read, and everything wrong with a clip is named."""

import dataclasses
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from ingredients.core.errors import OutputError, UserInputError
from ingredients.data.buckets import Bucket
from ingredients.data.clip_check import check_clips
from ingredients.data.clip_folder import METADATA_NAME, read_clip_folder, write_metadata
from ingredients.data.clip_source import open_clip_source
from ingredients.data.folder_examples import ReadingConfig, read_example
from ingredients.data.mask_files import read_masks, write_masks
from ingredients.data.record_json import BadRecordError
from ingredients.data.world_folder import write_world_folder
from ingredients.media.video import read_video, write_video
from ingredients.world import EACH_OWN, render_scene, sample_scene
from tests.data.drawn_clips import HEIGHT, IDS, NUM_FRAMES, SEEDS, WIDTH, change, check, people_of
from tests.media.phone_videos import TURNS, add_cover, shown_by, turn, write_plain

# Masks


def test_masks_survive(tmp_path: Path) -> None:
    masks = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    write_masks(tmp_path / "m.png", masks)
    np.testing.assert_array_equal(read_masks(tmp_path / "m.png", num_frames=3, height=5, width=7), masks)
    assert Image.open(tmp_path / "m.png").mode == "1"


@pytest.mark.parametrize("size", [(2, 5, 7), (3, 6, 7), (3, 5, 8)])
def test_masks_of_another_size_are_refused(tmp_path: Path, size: tuple[int, int, int]) -> None:
    write_masks(tmp_path / "m.png", np.zeros((3, 5, 7), dtype=bool))
    with pytest.raises(UserInputError, match=r"m\.png are 7 wide and 15 high"):
        read_masks(tmp_path / "m.png", num_frames=size[0], height=size[1], width=size[2])


def test_masks_of_a_long_clip_are_read(tmp_path: Path) -> None:
    masks = np.zeros((200, 720, 1280), dtype=bool)
    masks[7, 5:9, 100:200] = True
    write_masks(tmp_path / "m.png", masks)
    np.testing.assert_array_equal(read_masks(tmp_path / "m.png", num_frames=200, height=720, width=1280), masks)


def test_masks_in_shades_of_grey_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((15, 7), 160, np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UserInputError, match="have the mode L; write them with 1 bit"):
        read_masks(tmp_path / "m.png", num_frames=3, height=5, width=7)


# The drawn world's


def test_a_drawn_data_set_is_whole(drawn: Path) -> None:
    report = check(drawn)
    assert (report.num_clips, report.num_usable, report.problems) == (3, 3, ())
    assert report.num_frames == 3 * NUM_FRAMES
    assert sum(report.num_people.values()) == 3


def test_a_record_says_what_the_world_drew(drawn: Path) -> None:
    records = read_clip_folder(drawn)
    assert [record.clip_id for record in records] == list(IDS)
    for seed, record in zip(SEEDS, records, strict=True):
        spec = sample_scene(seed, split="train")
        scene = render_scene(spec, height=HEIGHT, width=WIDTH, num_frames=NUM_FRAMES, fps=8.0)
        assert record.caption == scene.caption
        frames = read_video(record.video).frames.astype(int)
        # A video keeps colour at half the size, which is much of a picture this small; another frame is further off.
        errors = [np.abs(frames - other).mean() for other in (scene.frames, scene.frames[:, :, ::-1])]
        assert errors[0] < errors[1] / 4
        for index, person in enumerate(record.people):
            masks = read_masks(person.face_masks, num_frames=NUM_FRAMES, height=HEIGHT, width=WIDTH)
            np.testing.assert_array_equal(masks, scene.face_masks[:, index])
            assert person.person_masks is not None
            masks = read_masks(person.person_masks, num_frames=NUM_FRAMES, height=HEIGHT, width=WIDTH)
            np.testing.assert_array_equal(masks, scene.person_masks[:, index])
            assert len(person.references) == 1
            for frame in person.frames_with_face:
                np.testing.assert_allclose(person.boxes[frame], scene.boxes[frame, index], atol=0.06)
                np.testing.assert_allclose(person.landmarks[frame], scene.landmarks[frame, index], atol=0.06)


def test_folders_from_before_person_masks_are_read(folder: Path) -> None:
    person = people_of(folder, 1)[0]
    del person["person_masks"]
    change(folder, 1, people=[person])
    assert read_clip_folder(folder)[1].people[0].person_masks is None
    assert check(folder).num_usable == 3


def test_people_are_known_across_clips(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "num_frames": 1, "num_references": 0}
    first = write_world_folder(tmp_path / "a", [3], **arguments)
    again = write_world_folder(tmp_path / "b", [3], **arguments)
    ids = [person.person_id for person in first[0].people]
    assert ids == [person.person_id for person in again[0].people]
    assert len(set(ids)) == len(ids)


def test_drawing_goes_on_where_it_stopped(folder: Path) -> None:
    videos = {path: path.stat().st_mtime_ns for path in (folder / "videos").iterdir()}
    records = write_world_folder(folder, range(5), height=HEIGHT, width=WIDTH, num_frames=NUM_FRAMES, num_references=1)
    assert len(records) == 5
    assert all(path.stat().st_mtime_ns == time for path, time in videos.items())
    assert check(folder).num_usable == 5


@pytest.mark.parametrize("changed", [{"height": 64}, {"num_frames": 9}, {"split": "eval"}])
def test_clips_of_another_kind_are_not_mixed_in(folder: Path, changed: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "num_frames": NUM_FRAMES} | changed
    with pytest.raises(OutputError, match="choose another folder"):
        write_world_folder(folder, range(5), **arguments)


def test_a_folder_can_be_moved(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    assert check(tmp_path / "elsewhere").num_usable == 3


def test_what_is_read_is_written_again(folder: Path) -> None:
    records = read_clip_folder(folder)
    before = (folder / METADATA_NAME).read_text()
    write_metadata(folder, records)
    assert (folder / METADATA_NAME).read_text() == before
    with pytest.raises(ValueError, match="is not in the subpath"):
        write_metadata(folder / "videos", records)


# Lines that are no records


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"caption": None}, "caption of a clip missing"),
        ({"shoes": 1}, "unknown shoes"),
        ({"fps": -8}, "not a positive number"),
        ({"num_frames": 0}, "num_frames must be a whole number above 0"),
        ({"num_frames": 4}, "5 boxes and 5 sets of landmarks for 4 frames"),
        ({"people": [{}]}, "boxes, face_masks, landmarks of a person missing"),
        ({"people": 3}, "people must be a list, not 3"),
        ({"clip_id": ""}, "clip_id must be a text"),
        ({"caption": 5}, "caption must be a text"),
        ({"fps": float("nan")}, "it holds NaN, which is no number of JSON"),
        ({"file_name": "/etc/passwd"}, "must lie in the folder of the data set"),
        ({"file_name": "videos/../../secret.mp4"}, "must lie in the folder"),
        ({"file_name": "."}, "must lie in the folder"),
        ({"file_name": "videos/\0.mp4"}, "control characters"),
        ({"file_name": "v" * 300}, "too long for a file"),
        ({"clip_id": "\x1b[2J"}, "control characters"),
        ({"caption": "\ud800"}, "half a letter"),
        ({"fps": "8"}, "not a positive number"),
        ({"fps": 10**400}, "too large"),
        ({"height": 10**9}, "height must be a whole number above 0 and at most 16384"),
        ({"height": 16384, "width": 16384, "num_frames": 9}, "cut it into shorter clips"),
    ],
)
def test_a_line_that_is_no_record(folder: Path, values: dict[str, Any], complaint: str) -> None:
    change(folder, 1, **values)
    with pytest.raises(BadRecordError, match=rf"Line 2 of .*{complaint}"):
        read_clip_folder(folder)
    report = check(folder)
    assert report.num_usable == 2
    assert [problem.clip_id for problem in report.problems] == ["line 2"]


def test_a_line_that_is_no_json(folder: Path) -> None:
    with (folder / METADATA_NAME).open("a") as metadata:
        metadata.write('{"file_name": "videos/')
    with pytest.raises(BadRecordError, match="Line 4"):
        read_clip_folder(folder)
    assert check(folder).num_usable == 3


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[" * 100_000])
def test_a_line_that_is_no_text(folder: Path, line: bytes) -> None:
    with (folder / METADATA_NAME).open("ab") as metadata:
        metadata.write(line + b"\n")
    report = check(folder)
    assert (report.num_usable, [problem.clip_id for problem in report.problems]) == (3, ["line 4"])


@pytest.mark.parametrize(
    ("field", "value"), [("references", "abc"), ("person_id", [1]), ("face_masks", "../m.png"), ("boxes", {})]
)
def test_a_person_that_is_none(folder: Path, field: str, value: object) -> None:
    person = people_of(folder, 1)[0]
    change(folder, 1, people=[person | {field: value}])
    with pytest.raises(BadRecordError, match="Line 2"):
        read_clip_folder(folder)


@pytest.mark.parametrize("name", ["videos\\a.mp4", "videos\\u.mp4", "videos\\take.mp4", "videos\\\\a.mp4"])
def test_names_with_backslashes_get_a_hint(folder: Path, name: str) -> None:
    path = folder / METADATA_NAME
    path.write_text(path.read_text().replace(f"videos/{IDS[1]}.mp4", name))
    assert "write / between folders" in problems_of(folder)


def test_masks_are_no_pipe_and_no_folder(folder: Path) -> None:
    for number, make in enumerate((Path.mkdir, os.mkfifo)):
        masks = folder / people_of(folder, number)[0]["face_masks"]
        masks.unlink()
        make(masks)
    assert "it is a folder" in problems_of(folder, num_usable=1)
    assert "it is a pipe or a device" in problems_of(folder, num_usable=1)


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"lacks metadata\.jsonl"):
        read_clip_folder(tmp_path)


def test_two_clips_of_one_name(folder: Path) -> None:
    change(folder, 2, clip_id="train-00000000")
    with pytest.raises(BadRecordError, match=r"Lines 1 and 3 .* same clip_id 'train-00000000'"):
        read_clip_folder(folder)
    report = check(folder)
    assert report.num_usable == 2
    assert "Lines 1 and 3" in report.problems[0].problem


# Clips that cannot be used


def problems_of(folder: Path, num_usable: int = 2) -> str:
    report = check(folder)
    assert report.num_usable == num_usable
    return " ".join(problem.problem for problem in report.problems)


def video_of(folder: Path, line: int) -> Path:
    return read_clip_folder(folder)[line].video


def test_a_corrupt_video(folder: Path) -> None:
    path = video_of(folder, 1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert str(path) in problems_of(folder)


def test_a_video_of_no_length(folder: Path) -> None:
    video_of(folder, 1).write_bytes(b"")
    assert "cannot be read" in problems_of(folder)


def test_a_video_whose_container_holds_no_frames(folder: Path) -> None:
    path = video_of(folder, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        container.start_encoding()
    assert str(path) in problems_of(folder)


def test_a_video_that_is_too_long(folder: Path) -> None:
    write_video(video_of(folder, 1), np.zeros((40, HEIGHT, WIDTH, 3), np.uint8), fps=8)
    assert problems_of(folder) == f"The video has more than the {NUM_FRAMES} frames that its record says."


PHONE_VIDEOS = {
    "turned": lambda path, frames: turn(write_plain(path, shown_by(TURNS["270"], frames)), TURNS["90"]),
    "upside down": lambda path, frames: turn(write_plain(path, frames[:, ::-1, ::-1]), TURNS["180"]),
    "mirrored": lambda path, frames: turn(write_plain(path, frames[:, :, ::-1]), TURNS["mirrored"]),
    "wide pixels": lambda path, frames: write_plain(path, frames[:, :, ::2], aspect=Fraction(2, 1)),
    "with a cover": lambda path, frames: add_cover(write_plain(path, frames)),
}


@pytest.mark.parametrize("kind", PHONE_VIDEOS)
def test_a_record_speaks_of_the_video_as_it_is_shown(folder: Path, kind: str) -> None:
    frames = read_video(video_of(folder, 1)).frames
    PHONE_VIDEOS[kind](video_of(folder, 1), frames)
    assert check(folder).problems == ()
    bucket = Bucket(num_frames=NUM_FRAMES, height=HEIGHT, width=WIDTH)
    example = read_example(read_clip_folder(folder)[1], ReadingConfig(buckets=(bucket,)), detector=None)
    assert np.abs(example.frames.astype(int) - frames).mean() < 6  # another way up it is 30 and more
    change(folder, 1, height=WIDTH, width=HEIGHT)
    assert f"The video is {WIDTH}x{HEIGHT}, and its record says {HEIGHT}x{WIDTH}" in problems_of(folder)


def test_a_list_of_videos_is_none(folder: Path) -> None:
    video = video_of(folder, 1)
    video.rename(video.with_name("real.mp4"))
    video.write_text("ffconcat version 1.0\nfile real.mp4\n")
    assert "of no kind that is read" in problems_of(folder)


def test_a_missing_video(folder: Path) -> None:
    video_of(folder, 1).unlink()
    assert "does not exist" in problems_of(folder)


def test_a_video_of_another_size_length_and_rate(folder: Path) -> None:
    write_video(video_of(folder, 1), np.zeros((4, 50, 70, 3), np.uint8), fps=12)
    found = problems_of(folder)
    for part in ("has 4 frames, and its record says 5", "is 70x50", "12 frames a second"):
        assert part in found


def test_masks_of_another_clip(folder: Path) -> None:
    write_masks(read_clip_folder(folder)[1].people[0].face_masks, np.ones((NUM_FRAMES, HEIGHT, WIDTH - 1), dtype=bool))
    assert "71 wide" in problems_of(folder)


def test_empty_and_missing_masks(folder: Path) -> None:
    records = read_clip_folder(folder)
    write_masks(records[0].people[0].face_masks, np.zeros((NUM_FRAMES, HEIGHT, WIDTH), dtype=bool))
    records[1].people[0].face_masks.unlink()
    found = problems_of(folder, num_usable=1)
    assert "are empty" in found
    assert "are missing" in found


def test_masks_of_a_person_are_checked(folder: Path) -> None:
    records = read_clip_folder(folder)
    for record, masks in zip(records[:2], (np.zeros((NUM_FRAMES, HEIGHT, WIDTH), dtype=bool), None), strict=True):
        path = record.people[0].person_masks
        assert path is not None
        if masks is None:
            face = read_masks(
                record.people[0].face_masks, num_frames=NUM_FRAMES, height=record.height, width=record.width
            )
            masks = ~face
        write_masks(path, masks)
    found = problems_of(folder, num_usable=1)
    assert "person.png are empty" in found
    assert "the masks of the face and of the person never overlap" in found


def test_masks_beside_the_box(folder: Path) -> None:
    masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), dtype=bool)
    masks[:, 0, 0] = True
    person = read_clip_folder(folder)[1].people[0]
    write_masks(person.face_masks, masks)
    assert f"the masks {person.face_masks.name} never overlap the boxes" in problems_of(folder)


def test_masks_that_are_no_png(folder: Path) -> None:
    path = read_clip_folder(folder)[1].people[0].face_masks
    Image.open(path).save(path, format="BMP")
    assert "write them again as PNG" in problems_of(folder)


@pytest.mark.parametrize("caption", ["", "  "])
def test_a_missing_caption(folder: Path, caption: str) -> None:
    change(folder, 1, caption=caption)
    assert "no caption" in problems_of(folder)


def test_nobody_and_no_face(folder: Path) -> None:
    change(folder, 1, people=[])
    person = people_of(folder, 2)[0]
    person["boxes"] = person["landmarks"] = [None] * NUM_FRAMES
    change(folder, 2, people=[person])
    found = problems_of(folder, num_usable=1)
    assert "It has no people." in found
    assert "Person 0: no frame has a face." in found


@pytest.mark.parametrize(
    ("box", "complaint"), [([5, 5, 5, 9], "is empty"), ([60, 5, 80, 9], "outside"), ([-9, 5, 8, 9], "outside")]
)
def test_boxes_that_cannot_be(folder: Path, box: list[float], complaint: str) -> None:
    person = people_of(folder, 1)[0]
    person["boxes"][2] = box
    change(folder, 1, people=[person])
    assert f"the box in frame 2 {'lies ' if complaint == 'outside' else ''}{complaint}" in problems_of(folder)


@pytest.mark.parametrize("num_outside", [1, 5])
def test_landmarks_outside_of_the_picture(folder: Path, num_outside: int) -> None:
    person = people_of(folder, 1)[0]
    for frame in (2, 4):
        person["landmarks"][frame][:num_outside] = [[WIDTH + 3.0, 5.0]] * num_outside
    change(folder, 1, people=[person])
    found = problems_of(folder, num_usable=2 if num_outside == 5 else 3)
    assert "landmarks in frame 2 (and 1 more) lie outside of the picture." in found


def test_a_photo_that_cannot_be_read(folder: Path) -> None:
    read_clip_folder(folder)[1].people[0].references[0].write_bytes(b"no picture")
    assert "not an image" in problems_of(folder)


def test_a_long_caption_is_doubtful_only(folder: Path) -> None:
    change(folder, 1, caption="word " * 300)
    report = check(folder)
    assert report.num_usable == 3
    assert [problem.is_fatal for problem in report.problems] == [False]


def test_a_report_is_plain_data(folder: Path) -> None:
    report = check_clips(open_clip_source(folder), progress=lambda done, total: None)
    assert json.loads(json.dumps(dataclasses.asdict(report)))["num_usable"] == 3


def test_drawn_clips_say_which_words_are_whose(tmp_path: Path) -> None:
    """From the scene through the folder to what is encoded."""
    records = write_world_folder(
        tmp_path, [3, 120], num_references=1, style=EACH_OWN, num_frames=5, height=48, width=72
    )
    phrases = [person.phrase for record in records for person in record.people]
    assert [person.phrase for record in read_clip_folder(tmp_path) for person in record.people] == phrases
    assert any(phrases)
    config = ReadingConfig(buckets=(Bucket(num_frames=5, height=48, width=72),))
    for record in records:
        said = tuple(person.phrase for person in record.people)
        assert read_example(record, config, detector=None).phrases == (said if any(said) else ())
