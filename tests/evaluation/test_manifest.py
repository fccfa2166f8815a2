import json
from pathlib import Path

import pytest

from ingredients.casebook.cases import Case, Person
from ingredients.core.errors import UserInputError
from ingredients.evaluation.manifest import MANIFEST_NAME, read_manifest, write_manifest

ANA = {"name": "ana", "photos": ["ana/1.jpg", "ana/2.jpg"]}
LINE = {"file_name": "videos/a.mp4", "prompt": "A walk.", "people": [ANA]}


def write(folder: Path, *lines: object) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / MANIFEST_NAME).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def test_what_is_written_is_read(tmp_path):
    ben = Person(name="Bén", photos=("ben.png",), identity_seed=1_000_003)
    videos = [
        Case(file_name="a.mp4", prompt="Ä walk.", people=(Person(name="ana", photos=("a.png",)), ben)),
        Case(
            index=1,
            file_name="b.webm",
            prompt="A run.",
            people=(ben,),
            case_id="run",
            real_video="real/b.mp4",
            ordered=True,
        ),
    ]
    write_manifest(tmp_path, videos)
    assert read_manifest(tmp_path) == videos
    assert [video.label for video in videos] == ["a", "run"]
    first = json.loads((tmp_path / MANIFEST_NAME).read_text(encoding="utf-8").splitlines()[0])
    assert set(first) == {"file_name", "prompt", "people"}  # nothing that was left at its default


def test_a_line_needs_no_more_than_its_three_fields(tmp_path):
    (video,) = read_manifest(write(tmp_path, LINE, ""))
    assert video.people[0].photos == ("ana/1.jpg", "ana/2.jpg")
    assert (video.case_id, video.real_video, video.ordered, video.label) == (None, None, False, "a")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (LINE | {"seed": 3}, "no setting 'seed'"),
        (LINE | {"people": [ANA | {"age": 3}]}, "no setting 'age'"),
        ({"file_name": "a.mp4", "people": [ANA]}, "needs the setting 'prompt'"),
        (LINE | {"prompt": " "}, "the prompt is empty"),
        (LINE | {"prompt": 7}, "prompt must be of type str"),
        (LINE | {"people": []}, "nobody is asked for"),
        (LINE | {"people": [{"name": "ana", "photos": []}]}, "ana has no photos"),
        (LINE | {"people": [{"name": "", "photos": ["a.png"]}]}, "a person has no name"),
        (LINE | {"people": [ANA, ANA]}, "two people have one name: ana, ana"),
        (LINE | {"people": "ana"}, "people must be of type"),
        (LINE | {"file_name": "/etc/a.mp4"}, "file_name must be a file in the folder, not '/etc/a.mp4'"),
        (LINE | {"real_video": "../a.mp4"}, "real_video must be a file in the folder"),
        (LINE | {"people": [{"name": "ana", "photos": ["../a.png"]}]}, "a photo must be a file in the folder"),
        (LINE | {"case_id": ""}, "case_id is empty"),
        (LINE | {"ordered": "yes"}, "ordered must be of type bool"),
        ("[1]", "a video is a JSON object, not list"),
        ("{", "Expecting"),
    ],
)
def test_a_line_that_describes_no_video_is_named(tmp_path, line, fault):
    with pytest.raises(UserInputError, match=f"faults that must be mended first: line 2 .*{fault}"):
        read_manifest(write(tmp_path, LINE | {"case_id": "good"}, line))


def test_two_cases_with_one_name_are_named(tmp_path):
    with pytest.raises(UserInputError, match=r"line 3 \(the case 'a' is already in line 1\)"):
        read_manifest(write(tmp_path, LINE, LINE | {"case_id": "b"}, LINE))


def test_all_faults_are_said_at_once(tmp_path):
    with pytest.raises(UserInputError, match=r"line 1 .*, line 2 .*, line 3 .* and 2 more"):
        read_manifest(write(tmp_path, *["{"] * 5))


def test_no_manifest_and_an_empty_one_are_named(tmp_path):
    with pytest.raises(UserInputError, match=r"lacks manifest\.jsonl"):
        read_manifest(tmp_path)
    with pytest.raises(UserInputError, match="lists no video"):
        read_manifest(write(tmp_path, ""))
