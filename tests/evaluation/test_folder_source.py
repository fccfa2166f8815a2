"""Videos made elsewhere: 6 frames of 24 x 60 pixels, people of one colour each."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from ingredients.casebook.cases import Case, Person
from ingredients.core.errors import UserInputError
from ingredients.evaluation import evaluate as evaluation
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.result import Result
from ingredients.evaluation.tables import CASES_NAME, PEOPLE_NAME
from ingredients.evaluation.text_encoders import TextImageEncoder
from tests.evaluation.stand_ins import make_frames
from tests.evaluation.video_folders import BLUE, GREEN, LEFT, RED, RIGHT, VideoFolder, judge_videos, make_judges, wave
from tests.faces.onnx_models import write_mean_colour
from tests.media.phone_videos import TURNS, shown_by, turn, write_plain

CLOSE = 0.02  # what encoding may change


@pytest.fixture
def folder(tmp_path) -> VideoFolder:
    path = tmp_path / "theirs"
    path.mkdir()
    return VideoFolder(path)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


def ask(folder: VideoFolder, name: str, frames: np.ndarray, *people: Person, **fields) -> Case:
    return Case(file_name=folder.video(f"{name}.mp4", frames), prompt=f"They {name}.", people=people, **fields)


def values(result: Result, *names: str) -> dict[str, float]:
    return {name: result.metrics[name].value for name in names}


def test_everybody_in_place_scores_1_and_confuses_nobody(folder, output):
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    path = folder.write(ask(folder, "wave", wave({LEFT: RED, RIGHT: GREEN}), ana, ben, ordered=True))
    result = judge_videos(path, make_judges(), output)
    assert values(
        result, "normalised_similarity", "normalised_similarity_minimum", "raw_similarity", "paper_face_similarity"
    ) == pytest.approx(dict.fromkeys(
        ("normalised_similarity", "normalised_similarity_minimum", "raw_similarity", "paper_face_similarity"), 1
    ), abs=CLOSE)  # fmt: skip
    assert values(result, "right_person_rate", "all_present_rate", "found_rate") == {
        "right_person_rate": 1, "all_present_rate": 1, "found_rate": 1,
    }  # fmt: skip
    wrong = (
        "swapped_rate",
        "blended_rate",
        "dominated_rate",
        "missing_rate",
        "doubled_rate",
        "extra_rate",
        "still_rate",
    )
    assert values(result, *wrong) == dict.fromkeys(wrong, 0)
    assert not {"router_accuracy", "text_relevance", "paper_fid", "motion_amount"} & set(result.metrics)


def test_who_becomes_whom_on_the_way_is_a_rate_of_its_own(folder, output):
    """By each face as a whole, an exchange is two strangers or two who are right, and nobody has turned."""
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    own, other = wave({LEFT: RED, RIGHT: GREEN}), wave({LEFT: GREEN, RIGHT: RED})
    lost, half = wave({LEFT: BLUE, RIGHT: GREEN}), len(own) // 2
    path = folder.write(
        ask(folder, "stay", own, ana, ben),
        ask(folder, "exchange", np.concatenate([own, other]), ana, ben),
        ask(folder, "vanish", np.concatenate([own, lost]), ana, ben),
        ask(folder, "blink", np.concatenate([own[:half], other[half : half + 1], own[half + 1 :]]), ana, ben),
    )
    result = judge_videos(path, make_judges(), output)
    assert values(result, "turned_rate", "exchanged_rate") == {"turned_rate": 3 / 8, "exchanged_rate": 1 / 4}
    remarks = {case.record.label: case.remarks() for case in result.cases}
    assert {"ana is exchanged on the way", "ben is exchanged on the way"} <= set(remarks["exchange"])
    assert "ana becomes somebody else on the way" in remarks["vanish"]
    assert not [words for name in ("stay", "blink") for words in remarks[name] if "on the way" in words]


def test_a_phones_video_is_judged_as_it_is_shown(folder, output):
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    frames = wave({LEFT: RED, RIGHT: GREEN})
    turn(write_plain(folder.path / "on its side.mp4", shown_by(TURNS["270"], frames)), TURNS["90"])
    turn(write_plain(folder.path / "on its head.mp4", frames[:, ::-1, ::-1]), TURNS["180"])
    names = ("on its side.mp4", "on its head.mp4")
    path = folder.write(
        *(Case(file_name=name, prompt="They wave.", people=(ana, ben), ordered=True) for name in names)
    )
    result = judge_videos(path, make_judges(), output)
    assert values(result, "right_person_rate", "found_rate", "swapped_rate", "placed_rate") == {
        "right_person_rate": 1, "found_rate": 1, "swapped_rate": 0, "placed_rate": 1,
    }  # fmt: skip


def test_each_confusion_is_seen(folder, output):
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    yellow = (220, 220, 0)
    path = folder.write(
        ask(folder, "swap", wave({LEFT: GREEN, RIGHT: RED}), ana, ben, ordered=True),
        ask(folder, "blend", wave({LEFT: yellow}), ana, ben),
        ask(folder, "double", wave({LEFT: RED, RIGHT: (255, 40, 0)}), ana, ben),
        ask(folder, "miss", wave({LEFT: GREEN}), ana, ben),
        ask(folder, "more", wave({LEFT - 4: GREEN, 22: BLUE, RIGHT: RED}), ana, ben),
    )
    result = judge_videos(path, make_judges(), output)
    by_case = {case.record.label: case for case in result.cases}
    assert by_case["swap"].remarks() == ["swapped"]
    assert "blended" in by_case["blend"].remarks()
    assert by_case["double"].remarks() == ["doubled", "ben appears as ana"]
    assert by_case["miss"].remarks() == ["ana is missing"]
    assert by_case["more"].remarks() == ["1 extra"]
    rates = ("swapped_rate", "blended_rate", "doubled_rate", "dominated_rate", "missing_rate", "extra_rate")
    assert values(result, *rates) == pytest.approx(
        {"swapped_rate": 0.2, "blended_rate": 0.2, "doubled_rate": 0.2, "dominated_rate": 0.1, "missing_rate": 0.2,
         "extra_rate": 0.2}
    )  # fmt: skip


def test_permuting_people_permutes_the_answer(folder, output, tmp_path):
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN, BLUE)
    frames = wave({LEFT: RED, RIGHT: GREEN})
    video = ask(folder, "wave", frames, ana, ben)
    straight = judge_videos(folder.write(video), make_judges(), output)
    mirrored = dataclasses.replace(video, people=(ben, ana))
    permuted = judge_videos(folder.write(mirrored), make_judges(), tmp_path / "permuted")
    assert permuted.cases[0].record.people.people == straight.cases[0].record.people.people[::-1]
    assert permuted.metrics["normalised_similarity"] == straight.metrics["normalised_similarity"]
    assert straight.cases[0].record.people.people[1].similarity == pytest.approx(np.sqrt(0.5), abs=CLOSE)


def test_people_are_told_from_those_of_other_videos(folder, output):
    ana, ben = folder.person("ana", (255, 90, 0)), folder.person("ben", RED)
    path = folder.write(
        ask(folder, "wave", wave({LEFT: RED}), ana),  # nearer to ben, who is in another video
        ask(folder, "nod", wave({LEFT: RED}), ben),
    )
    result = judge_videos(path, make_judges(), output)
    assert [case.record.people.people[0].right_person for case in result.cases] == [False, True]
    assert result.judged_by.num_known_people == 2


def test_copies_of_a_photo_are_one_person(folder, output):
    ana, again = folder.person("ana", RED), folder.person("ana again", RED)
    path = folder.write(ask(folder, "wave", wave({LEFT: RED}), ana), ask(folder, "nod", wave({LEFT: RED}), again))
    result = judge_videos(path, make_judges(), output)
    assert result.metrics["right_person_rate"].value == 1
    assert result.judged_by.num_known_people == 1


def test_a_still_loses_on_motion(folder, output):
    ana = folder.person("ana", RED)
    real = folder.video("real.mp4", wave({LEFT: RED}))
    path = folder.write(
        ask(folder, "wave", wave({LEFT: RED}), ana, real_video=real),
        ask(folder, "freeze", make_frames(6, {LEFT: RED}), ana, real_video=real),
    )
    result = judge_videos(path, make_judges(), output)
    lively, still = (case.record.motion for case in result.cases)
    assert lively.generated == pytest.approx(lively.real, rel=0.05)
    assert still.generated < 0.05 * still.real
    assert result.cases[1].remarks() == ["still"]
    assert values(result, "still_rate")["still_rate"] == 0.5
    assert values(result, "motion_amount")["motion_amount"] == pytest.approx(0.5, abs=0.05)
    assert {"judge_frechet_distance", "variety"} <= set(result.metrics)


def spoil(folder: VideoFolder) -> dict[str, Case]:
    """A video each that cannot be judged, by what is wrong with it."""
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    fine = ask(folder, "fine", wave({LEFT: RED, RIGHT: GREEN}), ana, ben)
    videos = {
        name: dataclasses.replace(fine, file_name=f"{name.replace(' ', '-')}.mp4")
        for name in ("no video", "empty video", "cut off video", "text as video")
    }
    (folder.path / "empty-video.mp4").write_bytes(b"")
    (folder.path / "cut-off-video.mp4").write_bytes((folder.path / "fine.mp4").read_bytes()[:300])
    (folder.path / "text-as-video.mp4").write_text("not a video")
    folder.photo("black.png", (0, 0, 0))
    (folder.path / "photos" / "text.png").write_text("no picture")
    for name, photos in {
        "no photo": ("photos/none.png",),
        "text as photo": ("photos/text.png",),
        "photo without a face": (ana.photos[0], "photos/black.png"),
        "photo of two people": ben.photos,
    }.items():
        person = Person(name="ana", photos=photos)
        videos[name] = dataclasses.replace(fine, people=(person, ben), case_id=name)
    videos["no real video"] = dataclasses.replace(fine, real_video="none.mp4", case_id="no real video")
    return videos


def test_what_cannot_be_judged_counts_as_missing_and_says_why(folder, output):
    videos = spoil(folder)
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    good = ask(folder, "good", wave({LEFT: RED, RIGHT: GREEN}), ana, ben)
    result = judge_videos(folder.write(good, *videos.values()), make_judges(), output)
    errors = dict(zip(videos, (case.record.error for case in result.cases[1:]), strict=True))
    expected = {
        "no video": "no-video.mp4 does not exist",
        "empty video": "empty-video.mp4 cannot be read",
        "cut off video": "cut-off-video.mp4 holds no video",
        "text as video": "text-as-video.mp4 cannot be read",
        "no photo": "none.png does not exist",
        "text as photo": "text.png is not an image",
        "photo without a face": "no face in the photo .*black.png of ana",
        "photo of two people": "ana and ben have the same photo",
        "no real video": "none.mp4 does not exist",
    }
    for name, error in errors.items():
        assert error is not None, name
        assert re.search(expected[name], error), name
    share = 1 / (1 + len(videos))
    assert values(result, "normalised_similarity", "found_rate", "paper_face_similarity") == pytest.approx(
        {"normalised_similarity": share, "found_rate": share, "paper_face_similarity": share}, abs=CLOSE
    )
    assert result.metrics["missing_rate"].value == pytest.approx(1 - share)
    assert result.num_errors == len(videos)
    assert result.metrics["still_rate"].value == 0  # of the video that there is


def test_or_the_evaluation_stops(folder, output):
    video = spoil(folder)["no photo"]
    with pytest.raises(UserInputError, match=r"Case no photo: The photo .*none\.png does not exist"):
        judge_videos(folder.write(video), make_judges(), output, on_error="stop")


def test_what_is_judged_is_not_judged_again_unless_it_changed(folder, output):
    ana = folder.person("ana", RED)
    videos = [ask(folder, name, wave({LEFT: colour}), ana) for name, colour in (("wave", RED), ("nod", GREEN))]
    path = folder.write(*videos)
    first = judge_videos(path, make_judges(), output)
    records = sorted((output / "cases" / "videos").iterdir())
    times = [record.stat().st_mtime_ns for record in records]
    assert judge_videos(path, make_judges(), output).metrics == first.metrics
    assert [record.stat().st_mtime_ns for record in records] == times
    folder.video("nod.mp4", wave({LEFT: RED}))
    again = judge_videos(path, make_judges(), output)
    assert records[0].stat().st_mtime_ns == times[0]
    assert again.metrics["normalised_similarity"].value == pytest.approx(1, abs=CLOSE)
    folder.photo("ana-0.png", GREEN)
    with pytest.raises(UserInputError, match="differs in photos; choose another output folder"):
        judge_videos(path, make_judges(), output)


def test_a_judge_without_a_scale_gives_cosines_or_takes_one_from_photos(folder, output, tmp_path):
    dim, dark = (200, 40, 40), (200, 90, 90)
    people = [
        (folder.person(f"a{index}", (255, 0, index), dim, dark), folder.person(f"b{index}", (index, 255, 0)))
        for index in range(4)
    ]
    videos = [ask(folder, f"v{index}", wave({LEFT: RED, RIGHT: GREEN}), *pair) for index, pair in enumerate(people)]
    one = folder.write(dataclasses.replace(videos[0], people=(people[0][1],)))
    raw = judge_videos(one, make_judges(scale=None), tmp_path / "raw")
    assert "normalised_similarity" not in raw.metrics
    assert raw.metrics["raw_similarity"].value == pytest.approx(1, abs=CLOSE)
    assert json.loads((tmp_path / "raw" / "result.json").read_text())["judge"]["scale"] is None
    assert "not calibrated" in (tmp_path / "raw" / "report.md").read_text()
    many = folder.write(*videos)
    scaled = judge_videos(many, make_judges(scale=None), output)
    assert scaled.judged_by.folder_scale is not None
    assert scaled.judged_by.folder_scale.source == "photos"
    assert scaled.metrics["normalised_similarity"].value > 0.9
    written = json.loads((output / "result.json").read_text())["judge"]
    assert written["calibration"]["num_same"] == 12 == scaled.judged_by.folder_scale.num_same
    assert judge_videos(many, make_judges(scale=None), output).judged_by.folder_scale == scaled.judged_by.folder_scale
    handed_over = judge_videos(
        one, make_judges(scale=None), tmp_path / "other", calibration=output / "calibration.json"
    )
    assert handed_over.judged_by.scale == scaled.judged_by.scale


def test_real_videos_are_the_better_source_of_a_scale(folder, output):
    ana, ben = folder.person("ana", RED), folder.person("ben", GREEN)
    real = folder.video("real.mp4", wave({LEFT: (200, 60, 0), RIGHT: GREEN}))
    path = folder.write(ask(folder, "wave", wave({LEFT: RED, RIGHT: GREEN}), ana, ben, real_video=real))
    result = judge_videos(path, make_judges(scale=None), output)
    assert result.judged_by.folder_scale is not None
    assert (result.judged_by.folder_scale.source, result.judged_by.folder_scale.num_same) == ("real_videos", 12)
    assert result.metrics["normalised_similarity"].value > 1  # clearer than the real video


def test_people_known_by_one_photo_have_a_scale_of_their_own(folder, output, tmp_path):
    judges = make_judges()
    judges.judge.one_photo_scale = dataclasses.replace(judges.judge.scale, same_person_mean=0.5)
    one, two = folder.person("ana", RED), folder.person("ben", RED, (250, 0, 0))
    video = ask(folder, "wave", wave({LEFT: RED}), one)
    assert judge_videos(folder.write(video), judges, output).metrics["normalised_similarity"].value > 1.9
    video = dataclasses.replace(video, people=(two,))
    result = judge_videos(folder.write(video), judges, tmp_path / "two")
    assert result.metrics["normalised_similarity"].value == pytest.approx(1, abs=CLOSE)


def test_long_videos_can_be_looked_at_in_part(folder, output):
    ana = folder.person("ana", RED)
    frames = wave({LEFT: RED}, num_frames=9)
    frames[[1, 3, 5, 7]] = 0
    path = folder.write(ask(folder, "blink", frames, ana))
    result = judge_videos(path, make_judges(), output, max_frames=5)
    assert result.cases[0].record.people.people[0].frames_found == 5
    assert result.metrics["paper_face_similarity"].value == pytest.approx(1, abs=CLOSE)


def test_fid_needs_inception_and_compares_with_photos_and_real_videos(folder, output, tmp_path):
    weight = np.zeros((3, 2048))
    weight[0, 3] = 1
    network = InceptionFeatures(write_mean_colour(tmp_path / "inception.onnx", weight, size=299))
    judges = dataclasses.replace(make_judges(), inception=network)
    ana = folder.person("ana", RED, RED)
    real = folder.video("real.mp4", make_frames(6, {LEFT: (155, 0, 0)}))
    path = folder.write(ask(folder, "wave", make_frames(6, {LEFT: RED}), ana, real_video=real))
    result = judge_videos(path, judges, output)
    assert result.metrics["paper_fid"].value == pytest.approx(0, abs=2e-3)
    assert result.metrics["fid"].value == pytest.approx((100 / 255) ** 2, rel=0.1)


class RednessEncoder:
    """Frames are as red as they are; so are sentences that say so."""

    name = "clip"
    network = torch.nn.Linear(1, 1)

    def embed_frames(self, frames):
        red = torch.from_numpy(frames[..., 0] > 100).float().mean(dim=(1, 2)) > 0.05
        return torch.stack([red.float(), 1 - red.float()], dim=1)

    def embed_sentences(self, sentences):
        return torch.tensor([[1.0, 0.0] if "red" in sentence else [0.0, 1.0] for sentence in sentences])


def test_text_is_judged_by_clip(folder, output):
    encoder: TextImageEncoder = RednessEncoder()
    ana = folder.person("ana", RED)
    videos = [
        dataclasses.replace(ask(folder, "a", wave({LEFT: RED}), ana), prompt="A red one."),
        dataclasses.replace(ask(folder, "b", wave({LEFT: GREEN}), ana), prompt="A red two."),
    ]
    result = judge_videos(folder.write(*videos), dataclasses.replace(make_judges(), text_encoder=encoder), output)
    assert result.metrics["paper_clip_text"].value == pytest.approx(0.5)
    assert "dual_encoder_text" not in result.metrics


def test_the_outputs_hold_the_same_cases(folder, output):
    ana, ben = folder.person("ana", RED), folder.person("ben, the 2nd", GREEN)
    path = folder.write(
        ask(folder, "wave", wave({LEFT: RED, RIGHT: GREEN}), ana, ben), ask(folder, "nod", wave({LEFT: RED}), ana)
    )
    result = judge_videos(path, make_judges(), output)
    written = json.loads((output / "result.json").read_text())
    assert written == json.loads(json.dumps(result.to_json()))
    assert [case["case_id"] for case in written["cases"]] == ["wave", "nod"]
    assert written["confusion_matrix"] == [[2, 0, 0, 0], [0, 1, 0, 0]]
    cases, people = ((output / name).read_text().splitlines() for name in (CASES_NAME, PEOPLE_NAME))
    assert (len(cases), len(people)) == (3, 4)
    assert people[2].startswith('wave,2,"ben, the 2nd",true,')
    assert "| wave |" in (output / "report.md").read_text()
    assert (output / "report.html").is_file()


def test_a_report_that_cannot_be_made_leaves_no_result(folder, output, monkeypatch):
    def fail(*_, **__):
        raise UserInputError("This report cannot be made.")

    path = folder.write(ask(folder, "wave", wave({LEFT: RED}), folder.person("ana", RED)))
    monkeypatch.setattr(evaluation, "html_report", fail)
    with pytest.raises(UserInputError, match="cannot be made"):
        judge_videos(path, make_judges(), output)
    names = {"result.json", "report.md", "report.html", CASES_NAME, PEOPLE_NAME}
    assert not names & {each.name for each in output.iterdir()}
    monkeypatch.undo()
    judge_videos(path, make_judges(), output)
    assert names <= {each.name for each in output.iterdir()}


def test_no_cell_is_a_formula(folder, output):
    evil = ("=cmd|' calc'!A0", "+1", "-1+2", "@SUM(A1)", " =1", "plain - text")
    people = [folder.person(name, colour) for name, colour in zip(evil[:2], (RED, GREEN), strict=True)]
    videos = [
        dataclasses.replace(ask(folder, f"v{number}", wave({LEFT: RED}), *people), prompt=prompt)
        for number, prompt in enumerate(evil)
    ]
    judge_videos(folder.write(*videos), make_judges(), output)
    with (output / CASES_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == [f"'{text}" for text in evil[:5]] + [evil[5]]
    with (output / PEOPLE_NAME).open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {f"'{evil[0]}", f"'{evil[1]}"}


def test_unknown_metrics_and_metrics_that_cannot_be_had_are_named(folder, output):
    path = folder.write(ask(folder, "wave", wave({LEFT: RED}), folder.person("ana", RED)))
    with pytest.raises(UserInputError, match="motion_amount needs real videos, which this evaluation lacks"):
        judge_videos(path, make_judges(), output, metrics=["motion_amount"])
    only = judge_videos(path, make_judges(), output, metrics=["drift"])
    assert list(only.metrics) == ["drift"]
