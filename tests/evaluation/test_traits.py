"""What people do and look like: who is judged by whose track, and the numbers made of it, on cases worked out by hand.

2 people, 3 or 4 frames.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from ingredients.casebook.cases import Case, make_case
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment, TrackEmbeddings
from ingredients.evaluation.case_record import CaseRecord, MotionRecord, SharpnessRecord, TraitsRecord, failed_case
from ingredients.evaluation.metrics.motion import STILL_FACE_LIMIT, sharpness_by_frame
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.statistics import Estimate
from ingredients.evaluation.traits import LandmarkMotion, face_details, landmark_motion, see_traits
from ingredients.faces.trait_judges import SeenActing


class ActingStandIn:
    """Sees in a person at column x what it was told for x."""

    def __init__(self, acts: dict[int, tuple[str, str]]) -> None:
        self.acts = acts

    def judge_video(self, frames: UInt8Array, boxes: Sequence[Float32Array], *, fps: float) -> list[SeenActing]:
        assert fps == 8.0
        seen = [self.acts[int(np.nanmedian(each[:, 0]))] for each in boxes]
        return [SeenActing(actions={"come": 0.6, each[0]: 0.4}, expressions={each[1]: 1.0}) for each in seen]


class AttributesStandIn:
    """Sees a hat in a person at column x, and takes everybody to be surprised."""

    def __init__(self, hats: dict[int, str]) -> None:
        self.hats = hats

    def judge_video(self, frames: UInt8Array, boxes: Sequence[Float32Array]) -> list[dict[str, dict[str, float]]]:
        seen = [self.hats[int(np.nanmedian(each[:, 0]))] for each in boxes]
        return [{"expression": {"surprised": 1.0}, "hat": {hat: 1.0}} for hat in seen]


def track(left: float) -> TrackEmbeddings:
    return TrackEmbeddings(
        frame_indices=(0, 2),
        embeddings=np.ones((2, 3), np.float32),
        centre=(left / 60, 0.5),
        boxes=np.array([[left, 4, left + 9, 16]] * 2, np.float32),
    )


def assess(*tracks: int | None) -> ClipAssessment:
    """People, each by the number of the track that is theirs."""
    people = tuple(
        PersonAssessment(found=False, similarity=0.0)
        if number is None
        else PersonAssessment(found=True, similarity=1.0, track=number, centre=((10, 40)[number] / 60, 0.5))
        for number in tracks
    )
    return ClipAssessment(people=people, num_tracks=2, greedy_minimum=0.0, blended=False, doubled=False)


def see(case: Case, assessment: ClipAssessment) -> list[tuple[str, str, str] | None]:
    """Action, expression and hat of each person: whoever is at 10 waves and smiles in a cap, at 40 nods, sad, bare."""
    seen = see_traits(
        case,
        np.zeros((3, 24, 60, 3), np.uint8),
        [track(10), track(40)],
        assessment,
        acting=ActingStandIn({10: ("wave", "smile"), 40: ("nod", "sad")}),  # type: ignore[arg-type]
        attributes=AttributesStandIn({10: "cap", 40: "none"}),  # type: ignore[arg-type]
    )
    return [None if each is None else (each["action"], each["expression"], each["hat"]) for each in seen]


def test_by_name_the_matched_face_is_the_person() -> None:
    case = make_case(0, style="each-own")
    assert case.manner == "name"
    left, right = ("wave", "smile", "cap"), ("nod", "sad", "none")
    assert "come" in case.trait_values["action"]
    case = dataclasses.replace(case, style="together")  # in which nobody comes, however likely it seems
    assert see(case, assess(0, 1)) == [left, right]
    assert see(case, assess(1, 0)) == [right, left]
    assert see(case, assess(None, 0)) == [None, left]


def test_by_place_whoever_stands_there_must_do_it_and_still_look_like_themselves() -> None:
    case = dataclasses.replace(make_case(0, style="each-own"), style="together", manner="place")
    assert see(case, assess(1, 0)) == [("wave", "smile", "none"), ("nod", "sad", "cap")]
    assert see(case, assess(None, 0)) == [None, ("wave", "smile", "cap")]  # places are not known


def traits(*generated: tuple[str, str] | None, truth: Sequence[str] = ("wave", "nod"), **sides) -> CaseRecord:
    """Actions and hats seen of two people, both of whom have a cap."""

    def looks(each: tuple[str, str] | None) -> dict[str, str] | None:
        return None if each is None else {"action": each[0], "hat": each[1], "hat_colour": "red"}

    record = TraitsRecord(
        truth=tuple({"action": action, "hat": "cap"} for action in truth),
        num_values={"action": 5, "hat": 4, "hat_colour": 9},
        generated=tuple(looks(each) for each in generated),
        **{side: tuple(looks(each) for each in seen) for side, seen in sides.items()},
    )
    base = failed_case(make_case(0), "")
    return dataclasses.replace(base, error=None, traits=record)


def compute(name: str, *records: CaseRecord) -> Estimate:
    return METRICS[name].compute(records)


def test_who_is_missing_has_nothing_right() -> None:
    record = traits(("wave", "cap"), None)
    assert compute("action_right", record).value == 0.5
    assert compute("hat_right", record).value == 0.5
    assert compute("who_does_what", record).value == 0.0
    assert compute("actions_exchanged", record).value == 0.0
    failed = failed_case(make_case(0, style="each-own"), "no face in a photo")
    assert compute("action_right", failed).value == compute("attributes_right", failed).value == 0.0


def test_exchanged_actions_are_wrong_and_told_apart_from_other_mistakes() -> None:
    right, exchanged = traits(("wave", "cap"), ("nod", "cap")), traits(("nod", "cap"), ("wave", "cap"))
    other = traits(("wave", "cap"), ("sway", "cap"))
    assert compute("who_does_what", right, exchanged, other).value == pytest.approx(1 / 3)
    assert compute("actions_exchanged", right, exchanged, other).value == pytest.approx(1 / 3)
    assert compute("action_right", right, exchanged, other).value == pytest.approx(1 / 2)
    assert compute("who_does_what", right).chance == pytest.approx(1 / 25)
    assert compute("actions_exchanged", right).chance == pytest.approx(1 / 25)


def test_where_all_do_the_same_nothing_can_be_exchanged() -> None:
    together = traits(("wave", "none"), ("wave", "cap"), truth=("wave", "wave"))
    assert np.isnan(compute("who_does_what", together).value)
    assert compute("action_right", together).value == 1.0
    assert compute("hat_right", together).value == 0.5
    assert np.isnan(compute("hat_colour_right", together).value)  # no picture shows it


def test_real_clips_and_the_ceiling_and_chance_stand_beside() -> None:
    record = traits(
        ("wave", "none"), ("wave", "cap"), real=[("wave", "cap"), ("nod", "cap")], after_vae=[("nod", "cap"), None]
    )
    estimate = compute("attributes_right", record)
    assert (estimate.value, estimate.real_clips, estimate.after_vae) == (0.5, 1.0, 0.5)
    assert estimate.chance == pytest.approx(1 / 4)
    assert compute("action_right", record).after_vae == 0.0
    assert compute("action_right", traits(None, None)).real_clips is None


def test_landmarks_are_followed_from_frame_to_frame_alone() -> None:
    """Frames 0, 1 and 4: the step over the gap does not count."""
    landmarks = np.zeros((3, 5, 2), np.float32)
    landmarks[:, 1, 0] = (8, 10, 9)  # the eyes are so far apart
    landmarks[1] += (3, 4)
    landmarks[2] += (50, 50)
    followed = dataclasses.replace(track(10), frame_indices=(0, 1, 4), landmarks=landmarks)
    motion = landmark_motion(followed)
    assert motion is not None
    # four landmarks go 5 pixels; the second eye goes 2 further to the right
    assert motion.pixels == pytest.approx((4 * 5 + np.hypot(5, 4)) / 5, abs=1e-4)
    assert motion.eyes == 9
    assert motion.share == pytest.approx(motion.pixels / 9)
    assert landmark_motion(dataclasses.replace(followed, frame_indices=(0, 2, 4))) is None
    assert landmark_motion(track(10)) is None


def with_motion(*people: float | None, real: Sequence[float], ceiling: Sequence[float] = ()) -> CaseRecord:
    def motions(pixels: Sequence[float | None]) -> tuple[LandmarkMotion | None, ...]:
        return tuple(None if each is None else LandmarkMotion(pixels=each, eyes=1.0) for each in pixels)

    motion = MotionRecord(
        generated=0.1, landmarks=motions(people), real_landmarks=motions(real), vae_landmarks=motions(ceiling)
    )
    return dataclasses.replace(failed_case(make_case(0), ""), motion=motion)


def test_motion_of_landmarks_is_a_share_of_that_of_real_clips() -> None:
    record = with_motion(1.0, 2.0, real=(4.0, 2.0), ceiling=(3.0, 1.5))
    estimate = compute("landmark_motion", record)
    assert (estimate.value, estimate.after_vae) == (pytest.approx(0.5), pytest.approx(0.75))
    assert compute("landmark_motion", with_motion(1.0, None, real=(4.0, 2.0))).value == pytest.approx(0.25)


def test_people_without_a_face_are_as_good_as_still() -> None:
    slow, fast = STILL_FACE_LIMIT / 2, STILL_FACE_LIMIT * 2
    record = with_motion(slow, fast, real=(fast, fast), ceiling=(slow, fast))
    estimate = compute("still_people", record, with_motion(None, fast, real=(slow, fast)))
    assert (estimate.value, estimate.real_clips, estimate.after_vae) == (0.5, 0.25, 0.5)


def test_energy_is_that_of_the_laplacian_within_the_box() -> None:
    """Against the definition, pixel by pixel; what is outside does not count."""
    frame = np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    grey = frame @ np.array([0.299, 0.587, 0.114]) / 255
    squares = [
        (grey[row - 1, column] + grey[row + 1, column] + grey[row, column - 1] + grey[row, column + 1]
         - 4 * grey[row, column]) ** 2
        for row in range(2, 7) for column in range(3, 9)
    ]  # fmt: skip
    box = np.array([3, 2, 9, 7], np.float32)
    (energy,) = face_details(frame[None], [[box]])
    assert energy == pytest.approx(np.mean(squares), abs=1e-5)
    assert face_details(np.full_like(frame, 90)[None], [[box]]) == (0.0,)
    assert face_details(frame[None], [[]]) == (None,)


def test_blur_takes_energy_away() -> None:
    frame = np.zeros((12, 12, 3), np.uint8)
    frame[:, ::2] = 255
    soft = (frame // 2 + np.roll(frame, 1, axis=1) // 2).astype(np.uint8)
    box = np.array([2, 2, 10, 10], np.float32)
    sharp, blurred = face_details(np.stack([frame, soft]), [[box], [box]])
    assert sharp is not None
    assert blurred is not None
    assert blurred < 0.1 * sharp


def with_sharpness(generated: Sequence[float | None], real: Sequence[float | None], **more) -> CaseRecord:
    sharpness = SharpnessRecord(generated=tuple(generated), real=tuple(real), temporal_ratio=2, **more)
    return dataclasses.replace(failed_case(make_case(0), ""), sharpness=sharpness)


def test_sharpness_is_a_share_and_told_by_frame_and_by_place_in_the_group() -> None:
    record = with_sharpness((1, 2, 1, None, 2), (2, 4, 4, 4, 4), after_vae=(1, 4, 2, 4, 1))
    assert compute("face_sharpness", record).value == pytest.approx(1.5 / 3.6)
    assert compute("face_sharpness", record).after_vae == pytest.approx(2.4 / 3.6)
    assert sharpness_by_frame([record]) == []  # nobody is seen in one of the frames
    whole = with_sharpness((1, 2, 1, 4, 2), (2, 4, 4, 4, 4), after_vae=(1, 4, 2, 4, 1))
    assert sharpness_by_frame([whole]) == pytest.approx([0.5, 0.5, 0.25, 1, 0.5])
    last = compute("sharpness_last_of_group", whole)  # frames 1 and 2 are one latent frame, 3 and 4 the next
    assert last.value == pytest.approx(0.5)
    assert last.real_clips == pytest.approx(1.0)
    assert last.after_vae == pytest.approx(3 / 8)


def test_cases_of_each_own_ask_different_things_of_people_from_left_to_right() -> None:
    for number in range(12):
        case = make_case(number, num_people=2 + number % 3, style="each-own")
        assert case.manner == ("name", "place")[number % 2]
        actions = [role.action for role in case.roles]
        assert len(set(actions)) == len(actions)
        assert "come" not in actions
        assert [truth["action"] for truth in case.traits] == actions
        assert case.attributes is not None
        assert case.attributes.action == actions[0]
        if case.manner == "name":
            assert [person.name for person in case.people] == [role.name for role in case.roles]
            assert all(person.name in case.prompt for person in case.people)
        spec = case.scene()
        assert spec.acts == tuple((role.action, role.expression) for role in case.roles)
    assert make_case(3, style="each-own") == make_case(3, style="each-own")
    assert make_case(3).identities == make_case(3, style="each-own").identities


def test_people_of_each_own_stand_in_their_order() -> None:
    from ingredients.world import render_scene

    for number in range(3):
        case = make_case(2 * number, num_people=2 + number, style="each-own")
        still = dataclasses.replace(
            case.scene(), roles=tuple(dataclasses.replace(role, action="stand", to=None) for role in case.roles)
        )
        scene = render_scene(still, height=32, width=48, num_frames=1)
        across = scene.landmarks[0, :, 2, 0].tolist()
        assert across == sorted(across)
