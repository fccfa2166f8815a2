"""Faces whose likeness to each of two people is known frame by frame, so that every turn is."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import TrackEmbeddings
from ingredients.evaluation.changes import STRANGER
from ingredients.evaluation.turns import SAME_MOMENT, Stretch, find_stretches, find_turns, untangle
from ingredients.faces.tracking import TrackingConfig

ANA, BEN, NOBODY = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)
LIMIT = MARGIN = 0.5


def likeness(*frames: tuple[float, float]) -> Float32Array:
    return np.array(frames, np.float32)


def seen(*frames: tuple[float, float]) -> list[tuple[int, int, int]]:
    stretches = find_stretches(likeness(*frames), limit=LIMIT, margin=MARGIN)
    return [(each.first, each.end, each.seen_as) for each in stretches]


def test_a_face_that_stays_is_one_stretch_and_named_by_its_mean():
    assert seen(*[ANA] * 5) == [(0, 5, 0)]
    assert seen(*[NOBODY] * 5) == [(0, 5, STRANGER)]
    assert seen((0.45, 0.1), (0.6, 0.1), (0.55, 0.1)) == [(0, 3, 0)]
    assert seen((0.45, 0.1), (0.3, 0.1), (0.55, 0.1)) == [(0, 3, STRANGER)]
    assert find_stretches(likeness((0.7, 0.6)), limit=LIMIT, margin=MARGIN) == (
        Stretch(first=0, end=1, seen_as=0, also_like=(1,)),
    )


@pytest.mark.parametrize("turn", [2, 5, 8])
def test_a_turn_is_found_at_its_frame_wherever_it_is(turn: int):
    assert seen(*[ANA] * turn, *[BEN] * (10 - turn)) == [(0, turn, 0), (turn, 10, 1)]


def test_a_single_frame_is_no_turn_however_wrong_it_is():
    wildly_ben = (-1.0, 3.0)
    for number in range(9):
        frames = [ANA] * 9
        frames[number] = wildly_ben
        assert seen(*frames) == [(0, 9, 0)]
    assert seen(*[ANA] * 8, wildly_ben) == [(0, 9, 0)]  # also where it is the last


def test_a_short_time_as_somebody_else_counts_from_four_frames_on():
    assert seen(*[ANA] * 6, *[BEN] * 3, *[ANA] * 6) == [(0, 15, 0)]
    assert seen(*[ANA] * 6, *[BEN] * 4, *[ANA] * 6) == [(0, 6, 0), (6, 10, 1), (10, 16, 0)]


def test_a_face_that_is_not_recognised_for_a_moment_is_still_the_person():
    """Heads turn away; whoever is lost for good is lost."""
    assert seen(*[ANA] * 5, *[NOBODY] * 4, *[ANA] * 5) == [(0, 14, 0)]
    assert seen(*[ANA] * 5, *[NOBODY] * 5, *[ANA] * 5) == [(0, 5, 0), (5, 10, STRANGER), (10, 15, 0)]
    assert seen(*[ANA] * 5, *[NOBODY] * 2) == [(0, 7, 0)]
    assert seen(*[ANA] * 5, *[NOBODY] * 3) == [(0, 5, 0), (5, 8, STRANGER)]
    assert seen(*[ANA] * 5, *[NOBODY] * 5) == [(0, 5, 0), (5, 10, STRANGER)]
    assert seen(*[ANA] * 5, *[(0.4, 0.0)] * 5) == [(0, 10, 0)]  # hardly below the limit


def test_noise_makes_no_turns_and_hides_none():
    """400 faces of 17 frames, each frame 0.25 from its mean on average, a quarter of the way between two people."""
    noise = np.random.default_rng(0).normal(0, 0.25, (400, 17, 2))
    own = [seen(*(np.array(ANA) + each)) for each in noise]
    assert sum(len(stretches) > 1 for stretches in own) <= 1
    turning = [seen(*(np.array([ANA] * 8 + [BEN] * 9) + each)) for each in noise]
    assert all([each[2] for each in stretches] == [0, 1] for stretches in turning)
    assert np.mean([abs(stretches[0][1] - 8) for stretches in turning]) < 0.3


def test_three_people_one_after_the_other():
    people = np.eye(3, dtype=np.float32)
    frames = people[[2] * 4 + [0] * 5 + [1] * 3]
    found = find_stretches(frames, limit=LIMIT, margin=MARGIN)
    assert [(each.first, each.end, each.seen_as) for each in found] == [(0, 4, 2), (4, 9, 0), (9, 12, 1)]


SIZE = (40, 120)


def face(frames: range, lefts: list[float], people: list[tuple[float, float]]) -> TrackEmbeddings:
    boxes = np.array([(left, 10, left + 12, 22) for left in lefts], np.float32)
    return TrackEmbeddings(
        frame_indices=tuple(frames),
        embeddings=likeness(*people),
        centre=(float(boxes[:, ::2].mean()) / SIZE[1], 16 / SIZE[0]),
        landmarks=np.repeat(boxes[:, None, :2], 5, axis=1),
        boxes=boxes,
    )


def people_of(tracks: list[TrackEmbeddings]) -> list[list[int]]:
    return [[int(each.argmax()) for each in track.embeddings] for track in tracks]


def untangled(*tracks: TrackEmbeddings) -> list[TrackEmbeddings]:
    faces = untangle(tracks, np.eye(2, dtype=np.float32), limit=LIMIT, margin=MARGIN, frame_size=SIZE)
    return [face.track for face in faces]


def test_faces_that_were_taken_for_each_other_as_they_met_are_given_back():
    left, right = [10.0, 16, 22, 28, 34, 40, 46, 52], [54.0, 48, 42, 36, 30, 24, 18, 12]
    followed = (
        face(range(8), left[:4] + right[4:], [ANA] * 4 + [BEN] * 4),  # each turns back, as place and size have it
        face(range(8), right[:4] + left[4:], [BEN] * 4 + [ANA] * 4),
    )
    tracks = untangled(*followed)
    assert people_of(tracks) == [[0] * 8, [1] * 8]
    assert [track.boxes[:, 0].tolist() for track in tracks] == [left, right]
    assert tracks[0].centre == pytest.approx((37 / 120, 16 / 40))
    assert [track.landmarks[:, 0, 0].tolist() for track in tracks] == [left, right]


def test_faces_that_are_exchanged_far_from_each_other_stay_exchanged():
    followed = (
        face(range(8), [10.0] * 8, [ANA] * 4 + [BEN] * 4),
        face(range(8), [80.0] * 8, [BEN] * 4 + [ANA] * 4),
    )
    assert people_of(untangled(*followed)) == people_of(list(followed))


def test_who_comes_out_from_behind_another_goes_on_as_themselves():
    """Ana stops being seen behind ben's head, and what was followed as ben goes on with her face."""
    followed = (
        face(range(4), [30.0] * 4, [ANA] * 4),
        face(range(10), [32.0] * 10, [BEN] * 5 + [ANA] * 5),
    )
    tracks = untangled(*followed)
    assert people_of(tracks) == [[0] * 9, [1] * 5]
    assert tracks[0].frame_indices == (0, 1, 2, 3, *range(5, 10))
    late = face(range(20), [32.0] * 20, [BEN] * 15 + [ANA] * 5)  # ana was gone for too long to have been there
    assert people_of(untangled(followed[0], late)) == people_of([followed[0], late])


def test_turns_that_nobody_else_explains_stay():
    alone = face(range(9), [30.0] * 9, [ANA] * 4 + [BEN] * 5)
    beside = face(range(9), [44.0] * 9, [BEN] * 9)
    assert people_of(untangled(alone, beside)) == people_of([alone, beside])


def test_untangling_comes_to_an_end_whatever_the_faces_do():
    rng = np.random.default_rng(3)
    for _ in range(30):
        tracks = [
            face(range(12), list(rng.uniform(20, 40, 12)), [(ANA, BEN)[index] for index in rng.integers(0, 2, 12)])
            for _ in range(4)
        ]
        again = untangle(
            tracks, np.eye(2, dtype=np.float32), limit=LIMIT, margin=MARGIN, frame_size=SIZE,
            tracking=TrackingConfig(max_distance=4.0),
        )  # fmt: skip
        frames = sorted(itertools.chain.from_iterable(each.track.frame_indices for each in again))
        assert frames == sorted(list(range(12)) * 4)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face that is seen in all of ten frames, alike 0.9 to whom it shows, 0.2 to the other and -0.4 to a third."""

    number: int
    stretches: Sequence[Stretch]
    frames: Sequence[int] = range(10)

    @property
    def likeness(self) -> Float32Array:
        likeness = np.tile(np.float32([0.2, 0.2, -0.4]), (10, 1))
        for stretch in self.stretches:
            if stretch.seen_as != STRANGER:
                likeness[stretch.first : stretch.end, stretch.seen_as] = 0.9
        return likeness


def turning(number: int, before: int, after: int, *, turn: int) -> Face:
    return Face(
        number=number,
        stretches=(Stretch(first=0, end=turn, seen_as=before), Stretch(first=turn, end=10, seen_as=after)),
    )


def test_two_who_become_each_other_are_exchanged_if_it_is_at_one_moment() -> None:
    for apart in range(SAME_MOMENT + 2):
        turns = find_turns([turning(1, 0, 1, turn=4), turning(2, 1, 0, turn=4 + apart)])
        assert [turn.is_exchange for turn in turns] == [apart <= SAME_MOMENT] * 2
    assert not any(turn.is_exchange for turn in find_turns([turning(1, 0, 1, turn=4), turning(2, 1, 2, turn=4)]))


def test_a_stranger_who_becomes_somebody_was_like_nobody() -> None:
    (turn,) = find_turns([turning(1, STRANGER, 0, turn=4)])
    assert (turn.frame, turn.likeness_before, turn.likeness_after) == (4, 0, 0)
    (turn,) = find_turns([turning(1, 0, STRANGER, turn=4)])
    assert (turn.likeness_before, turn.likeness_after) == (pytest.approx(0.9), pytest.approx(0.2))
