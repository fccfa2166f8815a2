"""Who appears as whom, on cases worked out by hand."""

import numpy as np
import pytest

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import SimilarityScale, TrackEmbeddings
from ingredients.evaluation.changes import (
    MISSING,
    STRANGER,
    Binding,
    Confusion,
    confusion_matrix,
    copied_share,
    find_confusion,
    measure_binding,
    measure_changes,
    nobody_seen,
)

NUM_FRAMES = 8
SCALE = SimilarityScale(same_person_mean=0.8, stranger_mean=0.0)  # the midpoint is 0.4
ANA, BEN, CLEO, NOBODY = np.eye(5, dtype=np.float32)[:4]
PEOPLE = np.stack([ANA, BEN])


def track(*faces: Float32Array, across: float = 0.5, first: int = 0) -> TrackEmbeddings:
    """One face a frame, or one for all frames."""
    rows = np.stack(faces if len(faces) > 1 else faces * NUM_FRAMES)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return TrackEmbeddings(frame_indices=tuple(range(first, first + len(rows))), embeddings=rows, centre=(across, 0.5))


def confuse(*tracks: TrackEmbeddings, ordered: bool = True) -> Confusion:
    return find_confusion(tracks, PEOPLE, scale=SCALE, num_frames=NUM_FRAMES, ordered=ordered)


def test_everybody_as_themselves() -> None:
    found = confuse(track(ANA, across=0.2), track(BEN, across=0.8))
    assert found.seen_as == (0, 1)
    assert (found.num_right, found.num_dominated, found.num_strangers, found.num_missing) == (2, 0, 0, 0)
    assert found.swapped is False
    assert found.num_placed == 2
    assert (found.switching, found.num_extra) == (False, 0)


def test_swapped_places() -> None:
    tracks = track(ANA, across=0.8), track(BEN, across=0.2)
    assert confuse(*tracks).swapped is True
    assert confuse(*tracks, ordered=False).swapped is None
    assert confuse(*tracks).num_right == 2
    assert confuse(*tracks).num_placed == 0
    assert confuse(*tracks, ordered=False).num_placed is None


def test_a_person_is_placed_as_themselves_in_their_own_column() -> None:
    assert confuse(track(ANA, across=0.2), track(BEN, across=0.4)).num_placed == 1  # in the right order
    assert confuse(track(NOBODY, across=0.2), track(BEN, across=0.8)).num_placed == 1
    assert confuse(track(BEN, across=1.0)).num_placed == 1
    assert nobody_seen(2, placed=True).num_placed == 0


def test_who_has_a_place_is_looked_for_there_and_not_in_a_column() -> None:
    def is_placed(person: int, found: TrackEmbeddings) -> bool:
        return (found.centre[0] > 0.5) == (person == 0)

    tracks = track(ANA, across=0.8), track(BEN, across=0.2)
    found = find_confusion(tracks, PEOPLE, scale=SCALE, num_frames=NUM_FRAMES, is_placed=is_placed)
    assert (found.num_placed, found.swapped) == (2, None)
    somebody_else = find_confusion(
        (tracks[0], track(NOBODY, across=0.2)), PEOPLE, scale=SCALE, num_frames=NUM_FRAMES, is_placed=is_placed
    )
    assert somebody_else.num_placed == 1


def test_an_extra_is_taken_for_the_cast_if_it_is_seen_as_one_of_them() -> None:
    cast = track(ANA, across=0.2), track(BEN, across=0.8)
    found = confuse(*cast, track(ANA + CLEO, across=0.5), track(CLEO, across=0.4))
    assert (found.num_extra, found.num_extra_taken) == (2, 1)
    assert confuse(*cast).num_extra_taken == 0
    assert confuse(track(ANA, across=0.2), track(CLEO, across=0.4)).num_extra_taken == 0  # who stands for Ben


def test_one_person_in_both_places() -> None:
    found = confuse(track(ANA, across=0.2), track(ANA + 0.1 * BEN, across=0.8))
    assert found.seen_as == (0, 0)
    assert (found.num_right, found.num_dominated) == (1, 1)
    assert found.swapped is None


def test_a_stranger_and_nobody() -> None:
    found = confuse(track(ANA), track(NOBODY))
    assert found.seen_as == (0, STRANGER)
    found = confuse(track(BEN))
    assert found.seen_as == (MISSING, 1)
    assert confuse().seen_as == (MISSING, MISSING)


def test_a_face_of_few_frames_does_not_last() -> None:
    found = confuse(track(ANA, ANA, ANA), track(BEN))
    assert found.seen_as == (MISSING, 1)
    assert confuse(track(ANA, ANA, ANA, ANA), track(BEN)).seen_as == (0, 1)


def test_extra_faces() -> None:
    assert confuse(track(ANA), track(BEN), track(NOBODY), track(CLEO)).num_extra == 2
    assert confuse(track(ANA), track(BEN), track(NOBODY, NOBODY)).num_extra == 0


def test_a_face_that_switches() -> None:
    assert confuse(track(*[ANA] * 5, *[BEN] * 3)).switching
    assert not confuse(track(*[ANA] * 7, BEN)).switching  # a single frame may err
    assert not confuse(track(*[NOBODY] * 8)).switching


def test_the_order_of_tracks_says_nothing() -> None:
    tracks = [track(ANA, across=0.2), track(BEN, across=0.8), track(NOBODY, across=0.5)]
    assert confuse(*tracks) == confuse(*reversed(tracks))


def test_the_matrix_counts() -> None:
    confusions = [
        confuse(track(ANA), track(BEN)),
        confuse(track(ANA), track(ANA + 0.1 * BEN)),
        confuse(track(BEN), track(NOBODY)),
        confuse(track(BEN)),
    ]
    assert confusion_matrix(confusions, 2) == [[2, 0, 1, 1], [1, 3, 0, 0]]
    assert confusion_matrix([], 2) == [[0] * 4] * 2


# Changes of one face

LANDMARKS = np.array([[10, 10], [20, 10], [15, 16], [11, 20], [19, 20]], dtype=np.float32)


def turn(points: Float32Array, degrees: float, scale: float, shift: float) -> Float32Array:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * points @ rotation.T + shift).astype(np.float32)


def test_a_pasted_photo_has_no_variety_wherever_it_lies() -> None:
    landmarks = np.stack([turn(LANDMARKS, 7 * i, 1 + 0.3 * i, 5.0 * i) for i in range(6)])
    changes = measure_changes(np.stack([ANA] * 6), landmarks, ANA, LANDMARKS)
    assert changes.variety == pytest.approx(0, abs=1e-5)
    assert changes.drift == pytest.approx(0)


def test_variety_is_in_parts_of_the_eyes_distance() -> None:
    moved = LANDMARKS.copy()
    moved[2, 0] += 2  # the nose, by a fifth of the distance between the eyes
    landmarks = np.stack([LANDMARKS, moved] * 3)
    variety = measure_changes(np.stack([ANA] * 6), landmarks, ANA, LANDMARKS).variety
    assert variety == pytest.approx(np.sqrt(0.1**2 / 5), rel=1e-4)


def test_drift_is_what_is_lost_at_the_end() -> None:
    fading = np.stack([ANA, ANA, ANA + BEN, ANA + BEN, BEN, BEN])
    fading = fading / np.linalg.norm(fading, axis=1, keepdims=True)
    assert measure_changes(fading, np.stack([LANDMARKS] * 6), ANA, LANDMARKS).drift == pytest.approx(-1)


def test_copy_paste_is_what_is_lost_in_other_poses() -> None:
    turned = LANDMARKS.copy()
    turned[2, 0] += 4
    landmarks = np.stack([turned, LANDMARKS, turned, LANDMARKS, turned, LANDMARKS])
    faces = np.stack([BEN, ANA, BEN, ANA, BEN, ANA])
    assert measure_changes(faces, landmarks, ANA, LANDMARKS).copy_paste == pytest.approx(1)
    assert measure_changes(np.stack([ANA] * 6), landmarks, ANA, LANDMARKS).copy_paste == pytest.approx(0)


def test_a_short_track_says_nothing() -> None:
    changes = measure_changes(np.stack([ANA] * 2), np.stack([LANDMARKS] * 2), ANA, LANDMARKS)
    assert (changes.drift, changes.copy_paste, changes.variety) == (None, None, None)


def bind(*generated: Float32Array | None) -> Binding:
    binding = measure_binding(
        [None if each is None else track(each).embeddings for each in generated],
        [track(ANA + 0.1 * CLEO).embeddings, track(BEN).embeddings],
        scale=SCALE,
    )
    assert binding is not None
    return binding


def words(binding: Binding) -> dict[str, int]:
    counts = {word: binding.count(word) for word in ("drift", "swap", "dominance", "blending")}  # type: ignore[arg-type]
    return {word: count for word, count in counts.items() if count}


def test_the_real_people_have_lost_and_gained_nothing() -> None:
    binding = bind(ANA + 0.1 * CLEO, BEN)
    assert np.allclose(binding.difference, 0, atol=1e-5)
    assert words(binding) == {}


def test_binding_is_the_difference_of_two_matrices_in_parts_of_the_scale() -> None:
    """Against the definition, with likeness beyond nature that both real people share."""
    real = [ANA + 0.5 * CLEO, BEN + 0.5 * CLEO]
    made = [ANA + BEN, BEN + 0.3 * NOBODY]
    unit = [[each / np.linalg.norm(each) for each in side] for side in (made, real)]
    expected = [
        [(unit[0][i] @ unit[1][j] - unit[1][i] @ unit[1][j]) / (0.8 - 0.0) for j in range(2)] for i in range(2)
    ]
    binding = measure_binding(
        [track(each).embeddings for each in made], [track(each).embeddings for each in real], scale=SCALE
    )
    assert binding is not None
    np.testing.assert_allclose(binding.difference, expected, atol=1e-5)
    assert binding.own_losses == pytest.approx([-expected[0][0], -expected[1][1]], abs=1e-5)
    assert binding.gains == pytest.approx([expected[0][1], expected[1][0]], abs=1e-5)


def test_each_word_of_binding() -> None:
    assert words(bind(NOBODY, BEN)) == {"drift": 1}
    assert words(bind(BEN, ANA)) == {"swap": 2}
    assert words(bind(BEN, BEN)) == {"dominance": 1}
    assert words(bind(ANA + BEN, BEN)) == {"blending": 1}


def test_a_missing_person_has_lost_all_and_gained_nobody() -> None:
    binding = bind(None, BEN)
    assert binding.own_losses[0] == pytest.approx(
        1 / 0.8, abs=1e-5
    )  # from the real clip's cosine of 1 to a stranger's
    assert binding.difference[0][1] == 0
    assert words(binding) == {"drift": 1}


def test_without_a_person_in_the_real_clip_nothing_is_known() -> None:
    assert measure_binding([track(ANA).embeddings] * 2, [track(ANA).embeddings, None], scale=SCALE) is None


def test_copying_goes_from_the_real_clip_to_the_photo() -> None:
    """The angles are 45 and 45, 30 and 60 degrees of 90."""
    real, photo = ANA, BEN
    assert copied_share(photo, real, photo) == pytest.approx(1, abs=1e-4)
    assert copied_share(real, real, photo) == pytest.approx(-1, abs=1e-4)
    assert copied_share(3 * (real + photo), real, photo) == pytest.approx(0, abs=1e-6)
    leaning = np.sqrt(3) * real + photo
    assert copied_share(leaning, real, photo) == pytest.approx((30 - 60) / 90, abs=1e-5)
    assert copied_share(NOBODY, real, photo) == pytest.approx(0, abs=1e-6)
