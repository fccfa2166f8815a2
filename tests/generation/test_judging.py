"""Videos in which people are patches of one colour, so that every verdict is known."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import skimage.data

from ingredients.casebook.cases import Case
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import NoFaceError, PhotoError
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import Measure, SimilarityScale
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import load_judges
from ingredients.faces.dlib_faces import DlibFaceDetector, DlibFaceRecogniser
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.judgement import Judgement
from ingredients.generation.judging import judge_frames, judge_video, know_people, load_video_judge, read_frames
from ingredients.media.photos import load_photo
from ingredients.media.video import write_lossless_video
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.people import PhotoFile
from tests.evaluation.stand_ins import COLOURS, ColourPatchDetector, MeanColourRecogniser, make_face, make_frames
from tests.evaluation.video_folders import LEFT, RIGHT, VideoFolder, judge_videos, make_judges, wave
from tests.faces.onnx_models import write_mean_colour, write_scrfd
from tests.generation.exchanged_faces import NUM_FRAMES, film, head

RED, GREEN, BLUE = COLOURS.values()
PHOTOS = {"ana": make_frames(1, {20: RED})[0], "ben": make_frames(1, {20: GREEN})[0]}
MIXTURE = (200, 200, 0)
FPS = 8.0
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def make_judge(measure: Measure = "cosine") -> Judge:
    return Judge(
        detector=ColourPatchDetector(),
        recogniser=MeanColourRecogniser(),
        scale=SimilarityScale(same_person_mean=1.0, stranger_mean=0.0) if measure == "cosine" else None,
        measure=measure,
    )


def judge_clip(frames: UInt8Array, *, ordered: bool = False) -> Judgement:
    judge = make_judge()
    return judge_frames(frames, judge, know_people(judge, PHOTOS), fps=FPS, ordered=ordered)


def test_photos_that_are_only_pixels_are_numbered() -> None:
    ana = IdentityPhotos(name="ana", images=[PHOTOS["ana"], PHOTOS["ana"]])
    (asked,) = know_people(make_judge(), [ana])
    assert len(asked.faces) == 2
    with pytest.raises(PhotoError, match="photo 1 of eve"):
        know_people(make_judge(), [IdentityPhotos(name="eve", images=[np.zeros((24, 60, 3), np.uint8)])])


def test_who_is_there_is_told_with_times():
    frames = make_frames(16, {LEFT: RED, RIGHT: GREEN})
    frames[6:, :, 30:] = 0  # the green one leaves
    judged = judge_clip(frames)
    ana, ben = judged.people
    assert (ana.status, ana.frames_seen, ana.spans) == ("right", 16, ((0.0, 2.0),))
    assert (ben.status, ben.frames_seen, ben.spans) == ("partly", 6, ((0.0, 0.75),))
    assert judged.verdict(ana) == "right, similarity 1.00"
    assert judged.verdict(ben) == "seen in only 38% of the frames, similarity 1.00"
    assert judged.remarks == []
    assert [face.seen_as for face in judged.faces] == [0, 1]
    assert [mark.label for mark in judged.marks(0)] == ["ana 1.00", "ben 1.00"]
    assert [mark.label for mark in judged.marks(10)] == ["ana 1.00"]
    assert judged.marks(0)[0].box.tolist() == [LEFT, 6, LEFT + 12, 18]


def test_a_short_gap_ends_no_span():
    frames = make_frames(12, {LEFT: RED})
    frames[4:6] = 0
    frames[9:] = 0
    assert judge_clip(frames).people[0].spans == ((0.0, 9 / FPS),)


def test_the_missing_the_strangers_and_those_in_whose_place_is_another():
    missing = judge_clip(make_frames(6, {LEFT: RED}))
    assert [person.status for person in missing.people] == ["right", "missing"]
    assert missing.to_json()["missing"] == ["ben"]
    stranger = judge_clip(make_frames(6, {LEFT: RED, RIGHT: BLUE}))
    assert [person.status for person in stranger.people] == ["right", "stranger"]
    assert stranger.remarks == ["A stranger: face 2 is nobody of those asked for."]
    assert stranger.marks(0)[1].label == "stranger"
    twice = judge_clip(make_frames(6, {LEFT: RED, RIGHT: RED}))
    assert [person.status for person in twice.people] == ["right", "replaced"]
    assert twice.people[1].in_their_place == "ana"
    assert twice.doubled == (("ana", 0.0),)
    assert "Doubled: two faces are ana at the same time, from 0.0 s on." in twice.remarks
    nobody = judge_clip(make_frames(6, {}))
    assert [person.status for person in nobody.people] == ["missing", "missing"]
    assert nobody.remarks == ["No face was followed in the video at all."]


@pytest.mark.parametrize(("left", "right", "swapped"), [(RED, GREEN, False), (GREEN, RED, True)])
def test_who_stands_in_another_order_is_swapped_if_an_order_was_asked_for(left, right, swapped):
    frames = make_frames(6, {LEFT: left, RIGHT: right})
    assert judge_clip(frames, ordered=True).swapped is swapped
    assert judge_clip(frames).swapped is None


def test_a_blend_is_like_both_and_a_face_that_changes_is_told_with_times():
    blended = judge_clip(make_frames(6, {LEFT: MIXTURE}))
    assert blended.to_json()["blended"] is True
    assert blended.remarks == ["Blended: face 1 is like ana and ben at once."]
    flicker = judge_clip(np.concatenate([make_frames(1, {LEFT: GREEN if index % 2 else RED}) for index in range(5)]))
    assert len(flicker.faces[0].stretches) == 1
    assert flicker.remarks == [
        "Switching: face 1 is ana from 0.0 s, ben from 0.1 s, ana from 0.2 s, ben from 0.4 s, ana from 0.5 s."
    ]


def patches(*seconds: tuple[int, dict[int, tuple[int, int, int]]]) -> UInt8Array:
    """Frames in which the patches are others after a while: (number of frames, colours by place) of each."""
    return np.concatenate([make_frames(number, colours) for number, colours in seconds])


def test_two_who_exchange_their_faces_are_told_with_the_moment():
    judged = judge_clip(patches((10, {LEFT: RED, RIGHT: GREEN}), (6, {LEFT: GREEN, RIGHT: RED})), ordered=True)
    ana, ben = judged.people
    assert (ana.status, ben.status) == ("changed", "changed")
    assert judged.verdict(ana) == "exchanged with ben from 1.2 s on (similarity 1.00 until then, 0.00 after)"
    assert judged.verdict(ben) == "exchanged with ana from 1.2 s on (similarity 1.00 until then, 0.00 after)"
    assert judged.remarks == ["Exchanged: ana and ben wear each other's face from 1.2 s on."]
    assert judged.exchanged == (("ana", "ben", 1.25, None),)
    assert judged.doubled == ()
    assert ana.frames_seen == ben.frames_seen == 16
    told = judged.to_json()
    assert told["exchanged"] == [{"people": ["ana", "ben"], "seconds": 1.25, "until": None}]
    assert told["missing"] == []
    assert told["blended"] is False
    assert told["people"][0]["turns"] == [{"seconds": 1.25, "becomes": "ben", "exchanged": True, "face": 1}]
    assert told["faces"][0]["stretches"] == [
        {"seen_as": "ana", "seconds": [[0.0, 1.25]]},
        {"seen_as": "ben", "seconds": [[1.25, 2.0]]},
    ]
    assert [[mark.label for mark in judged.marks(frame)] for frame in (9, 10)] == [
        ["ana 1.00", "ben 1.00"],
        ["ben 1.00", "ana 1.00"],
    ]
    early = judge_clip(patches((4, {LEFT: RED, RIGHT: GREEN}), (12, {LEFT: GREEN, RIGHT: RED})), ordered=True)
    assert len(early.exchanged) == 1
    assert early.swapped is None  # as they do not stand, most of the time: that is told already


def test_who_has_the_own_face_again_is_told_until_when_it_was_another():
    own, others, lost = {LEFT: RED, RIGHT: GREEN}, {LEFT: GREEN, RIGHT: RED}, {LEFT: BLUE, RIGHT: GREEN}
    judged = judge_clip(patches((8, own), (8, others), (8, own), (6, others)))
    ana, ben = judged.people
    assert judged.exchanged == (("ana", "ben", 1.0, 2.0), ("ana", "ben", 3.0, None))
    assert judged.verdict(ana) == "exchanged with ben from 1.0 to 2.0 s (similarity 1.00 before, 0.00 meanwhile)"
    assert judged.remarks[0] == "Exchanged: ana and ben wear each other's face from 1.0 to 2.0 s."
    crops = judged.best_crops(patches((8, own), (8, others), (8, own), (6, others)))
    assert [int(crop[80, 80].argmax()) for crop in crops if crop is not None] == [0, 1]  # red, green
    for person, left in ((ana, LEFT), (ben, RIGHT)):  # what each does is seen while the head is theirs
        boxes = judged.face_boxes(person, 30)
        assert boxes is not None
        assert np.flatnonzero(np.isfinite(boxes[:, 0])).tolist() == [*range(8), *range(16, 24)]
        assert set(boxes[:8, 0].tolist()) == {left}
    later_lost = judge_clip(patches((8, own), (8, others), (8, own), (6, lost)))
    assert later_lost.remarks[1:] == [
        "Turning: face 1 is ana from 0.0 s, ben from 1.0 s, ana from 2.0 s, a stranger from 3.0 s."
    ]
    twice = judge_clip(patches((8, own), (8, {LEFT: GREEN, RIGHT: GREEN}), (8, own)))
    assert twice.verdict(twice.people[0]).startswith("becomes ben from 1.0 to 2.0 s (similarity 1.00 before")
    turned = judge_clip(patches((8, own), (8, lost), (8, own)))
    assert turned.verdict(turned.people[0]).endswith("in 67% of the frames; not recognised from 1.0 to 2.0 s")
    boxes = turned.face_boxes(turned.people[0], 24)
    assert boxes is not None
    assert np.isfinite(boxes).all()  # it may be the same head, seen from behind


def test_who_becomes_the_other_is_told_and_the_other_is_doubled_from_then_on():
    judged = judge_clip(patches((6, {LEFT: RED, RIGHT: GREEN}), (10, {LEFT: GREEN, RIGHT: GREEN})))
    ana, ben = judged.people
    assert (ana.status, ben.status) == ("changed", "right")
    assert judged.verdict(ana) == "becomes ben at 0.8 s (similarity 1.00 until then, 0.00 after)"
    assert judged.verdict(ben) == "right, similarity 1.00"
    assert judged.remarks == [
        "Doubled: two faces are ben at the same time, from 0.9 s on.",  # the first frame may be either's
        "Turning: face 1 is ana from 0.0 s, ben from 0.8 s.",
    ]
    assert judged.exchanged == ()


def test_who_is_lost_on_the_way_is_right_until_then():
    lost = judge_clip(patches((10, {LEFT: RED}), (6, {LEFT: BLUE})))
    ana, _ = lost.people
    assert (ana.status, ana.spans) == ("right", ((0.0, 1.25),))
    assert lost.verdict(ana) == "right, similarity 0.62, in 62% of the frames; not recognised from 1.2 s on"
    assert lost.remarks == ["Turning: face 1 is ana from 0.0 s, a stranger from 1.2 s."]
    early = judge_clip(patches((4, {LEFT: RED}), (12, {LEFT: BLUE})))
    assert early.people[0].status == "partly"


def test_single_wrong_frames_change_nothing():
    frames = make_frames(12, {LEFT: RED, RIGHT: GREEN})
    frames[5] = make_frames(1, {LEFT: GREEN, RIGHT: RED})[0]
    judged = judge_clip(frames)
    assert [person.status for person in judged.people] == ["right", "right"]
    assert judged.remarks == []


def test_people_who_pass_each_other_are_not_exchanged():
    """By place alone each patch is taken for the other where they meet."""

    class EachColour:
        def detect(self, image: UInt8Array) -> list[Face]:
            faces = []
            for channel in (0, 1):
                rows, columns = np.nonzero(image[..., channel])
                faces.append(make_face(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            return faces

    frames = make_frames(9, {})
    for index in range(9):
        frames[index, 8:20, 46 - 5 * index : 58 - 5 * index] = GREEN
        frames[index, 4:16, 2 + 5 * index : 14 + 5 * index] = RED
    judge = make_judge()
    asked = know_people(judge, PHOTOS)
    judge.detector = EachColour()
    followed = judge.track(frames)
    assert all(np.ptp(track.boxes[:, 0]) < 25 for track in followed)  # so following does go wrong: they go 40
    judged = judge_frames(frames, judge, asked, fps=FPS)
    assert [np.ptp(face.boxes[:, 0]) for face in judged.faces] == [40, 40]
    assert [person.status for person in judged.people] == ["right", "right"]
    assert judged.remarks == []


def test_the_timeline_shows_a_turn_in_both_colours():
    judged = judge_clip(patches((8, {LEFT: RED}), (8, {LEFT: GREEN})))
    bars = judged.sheet({}, title="a.mp4")[-60:]  # the timeline is last
    lengths = [(bars == colour).all(axis=-1).sum(axis=1).max() for colour in ((230, 159, 0), (86, 180, 233))]
    assert lengths[0] == pytest.approx(lengths[1], abs=2)  # ana's colour, and then ben's
    assert lengths[0] > 300


def test_a_blend_after_a_turn_is_told_with_its_time():
    judged = judge_clip(patches((8, {LEFT: BLUE}), (8, {LEFT: MIXTURE})))
    assert judged.remarks == [
        "Turning: face 1 is a stranger from 0.0 s, ana from 1.0 s.",
        "Blended: face 1 is like ana and ben at once from 1.0 s on.",
    ]
    assert judged.to_json()["blended"] is True


def test_faces_are_not_followed_across_a_cut(tmp_path: Path):
    """Without cuts, the left face would turn from red to green at 1.25 s."""
    first, second = make_frames(10, {LEFT: RED}), make_frames(10, {LEFT: GREEN})
    second[:, :, 30:] = (90, 120, 200)
    second[:, :, 25:30] = 0
    write_lossless_video(tmp_path / "film.mkv", np.concatenate([first, second]), fps=FPS)
    judge = make_judge()
    judged = judge_video(tmp_path / "film.mkv", judge, know_people(judge, PHOTOS))
    assert judged.cuts == (1.25,)
    ana, ben = judged.people
    assert ana.spans == ((0.0, 1.25),)
    assert ben.spans == ((1.25, 2.5),)
    assert (ana.status, ben.status) == ("right", "right")
    assert not any(face.is_switching for face in judged.faces)


class CountingDetector(ColourPatchDetector):
    """Counts the frames in which it has looked for faces."""

    looks = 0

    def detect(self, image: UInt8Array) -> list[Face]:
        self.looks += 1
        return super().detect(image)


def test_progress_tells_of_frames_whose_faces_were_found_and_may_end_the_work(tmp_path: Path) -> None:
    write_lossless_video(tmp_path / "a.mkv", make_frames(70, {LEFT: RED}), fps=20)
    detector = CountingDetector()
    judge = Judge(detector=detector, recogniser=MeanColourRecogniser())
    asked = know_people(judge, PHOTOS)
    detector.looks = 0
    told: list[tuple[int, int, int]] = []
    judge_video(
        tmp_path / "a.mkv",
        judge,
        asked,
        looks_per_second=10,
        progress=lambda done, total: told.append((detector.looks, done, total)),
    )
    assert told == [*((1 + look, 1 + 2 * look, 70) for look in range(35)), (35, 70, 70)]

    def stop(done: int, _: int) -> None:
        if done > 4:
            raise InterruptedError

    detector.looks = 0
    with pytest.raises(InterruptedError):
        judge_video(tmp_path / "a.mkv", judge, asked, progress=stop)
    assert detector.looks < 6


def test_one_video_is_judged_as_an_evaluation_judges_it(tmp_path: Path):
    """The same definitions decide, so that the two cannot say different things."""
    folder = VideoFolder(tmp_path)
    people = (folder.person("ana", RED), folder.person("ben", GREEN))
    frames = wave({LEFT: (250, 40, 60), RIGHT: (90, 240, 40)}, num_frames=9)
    folder.write(Case(file_name=folder.video("a.mp4", frames), prompt="Two wave.", people=people, ordered=True))
    judges = make_judges()
    evaluated = judge_videos(tmp_path, judges, tmp_path / "out").records[0].people.people
    photos = {person.name: [PhotoFile(path=tmp_path / photo) for photo in person.photos] for person in people}
    asked = know_people(judges.judge, photos)
    judged = judge_video(tmp_path / "a.mp4", judges.judge, asked, ordered=True, looks_per_second=None)
    for person, record in zip(judged.people, evaluated, strict=True):
        assert person.likeness == pytest.approx(record.cosine, abs=1e-5)
        assert person.frames_matched == record.frames_found
        assert (person.status == "right") is record.right_person


def test_so_many_frames_of_each_second_are_looked_at_and_the_picked_ones_are_read_again(tmp_path: Path):
    frames = make_frames(30, {LEFT: RED})
    frames[:, 10, LEFT + 4, 2] = np.arange(30)  # each its own
    write_lossless_video(tmp_path / "a.mkv", frames, fps=30)
    judge = make_judge()
    judged = judge_video(tmp_path / "a.mkv", judge, know_people(judge, PHOTOS), looks_per_second=10)
    assert judged.frame_numbers == tuple(range(0, 30, 3))
    assert judged.seconds == pytest.approx(1.0)
    picked = judged.picked_frames(4)
    again = read_frames(tmp_path / "a.mkv", judged, picked)
    assert [int(again[index][10, LEFT + 4, 2]) for index in picked] == [
        judged.frame_numbers[index] for index in picked
    ]


def test_the_sheet_shows_people_timeline_and_frames():
    frames = make_frames(6, {LEFT: RED, RIGHT: BLUE})
    judged = judge_clip(frames)
    sheet = judged.sheet({index: frames[index] for index in judged.picked_frames()}, title="a.mp4")
    assert sheet.shape[1] <= 1120
    assert (sheet == (230, 159, 0)).all(axis=-1).sum() > 1000  # ana's colour: bar, frames and boxes
    assert (sheet == (120, 120, 120)).all(axis=-1).sum() > 1000  # a stranger's
    assert not (sheet == (86, 180, 233)).all(axis=-1).sum() > 10_000  # ben is not in the frames


def test_photos_are_told_of_where_they_leave_a_doubt():
    judge, told = make_judge(), []
    group = make_frames(1, {LEFT: RED, RIGHT: GREEN})[0]
    know_people(judge, {"ana": group}, notice=told.append)
    assert told == ["photo 1 of ana shows 2 faces, of which the largest is taken."]
    told.clear()
    know_people(judge, {"ana": PHOTOS["ana"], "eve": make_frames(1, {20: (250, 30, 0)})[0]}, notice=told.append)
    assert "ana and eve look like one person" in told[0]
    with pytest.raises(NoFaceError, match="of ana"):
        know_people(judge, {"ana": np.zeros((24, 60, 3), np.uint8)})


def test_distances_are_called_distances():
    judge = make_judge("distance")
    judged = judge_frames(make_frames(3, {LEFT: RED}), judge, know_people(judge, PHOTOS), fps=FPS)
    assert judged.verdict(judged.people[0]) == "right, distance 0.00"
    assert judged.to_json()["people"][0]["distance"] == pytest.approx(0.0)
    assert "below" in judged.explanation


def test_photographs_are_judged_by_dlib_where_nobody_is_named():
    astronaut = np.asarray(skimage.data.astronaut())[:256, 96:352]
    told: list[str] = []
    judges, asked = load_video_judge(default_model_path(), {"eileen": astronaut}, notice=told.append)
    assert isinstance(judges.judge.detector, DlibFaceDetector)
    assert isinstance(judges.judge.recogniser, DlibFaceRecogniser)
    assert any("dlib judges" in each for each in told)
    frames = np.stack([np.roll(astronaut, shift, axis=1) for shift in (0, 3, 6)])
    judged = judge_frames(frames, judges.judge, asked, fps=FPS)
    assert judged.people[0].status == "right"
    assert judged.people[0].likeness is not None
    assert judged.people[0].likeness > 0.6


def test_the_networks_of_antelopev2_judge_too(tmp_path: Path):
    write_scrfd(tmp_path / "detector.onnx")
    write_mean_colour(tmp_path / "arcface.onnx", np.random.default_rng(0).normal(size=(3, 5)))
    photo = np.full((128, 128, 3), 90, np.uint8)
    photo[40:64, 40:64] = (255, 0, 0)
    judges, asked = load_video_judge(
        default_model_path(), {"ana": photo}, judge=f"arcface:{tmp_path}/arcface.onnx",
        detector=f"scrfd:{tmp_path}/detector.onnx",
    )  # fmt: skip
    write_lossless_video(tmp_path / "a.mkv", np.stack([photo] * 4), fps=FPS)
    judged = judge_video(tmp_path / "a.mkv", judges.judge, asked)
    assert judged.number_name == "cosine"
    assert judged.people[0].status == "right"


@pytest.mark.parametrize(
    ("exchanged_from", "statuses", "is_swapped"),
    [(NUM_FRAMES, "right", False), (0, "right", True), (NUM_FRAMES // 2, "changed", None)],
    ids=["their own", "each other's", "each other's from the middle on"],
)
def test_photographed_people_who_wear_each_others_face_are_found_out(
    exchanged_from: int, statuses: str, is_swapped: bool | None
):
    detector = DlibFaceDetector()
    people = {"eileen": np.asarray(skimage.data.astronaut()), "grace": load_photo(HOPPER)}
    heads = [head(photo, detector) for photo in people.values()]
    frames = film(*heads, detector, exchanged_from=exchanged_from)
    frames = frames if statuses == "changed" else frames[-2:]
    judge = load_judges(default_model_path(), judge="dlib").judge
    judged = judge_frames(frames, judge, know_people(judge, people), fps=FPS, ordered=True)
    assert [person.status for person in judged.people] == [statuses] * 2
    assert judged.swapped is is_swapped
    if statuses == "changed":
        assert judged.exchanged == (("eileen", "grace", pytest.approx(exchanged_from / FPS), None),)
