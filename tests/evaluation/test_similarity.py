"""Two measures of likeness, 3 embeddings, 2 references, 4 wide."""

import numpy as np
import pytest

from ingredients.evaluation.assessment import (
    SimilarityScale,
    TrackEmbeddings,
    assess_tracks,
    average_faces,
    compare_faces,
    greedy_matches,
)
from ingredients.evaluation.changes import STRANGER, find_confusion

FACES = np.array([[3, 0, 0, 0], [0, 4, 0, 0], [3, 4, 0, 0]], dtype=np.float32)


def test_the_same_face_is_1_by_either_measure():
    unit = FACES / np.linalg.norm(FACES, axis=1, keepdims=True)
    np.testing.assert_allclose(np.diag(compare_faces(unit, unit)), 1, rtol=1e-6)
    np.testing.assert_allclose(np.diag(compare_faces(FACES, FACES, measure="distance")), 1, rtol=1e-6)


def test_cosine_and_distance_by_hand():
    unit = FACES / np.linalg.norm(FACES, axis=1, keepdims=True)
    np.testing.assert_allclose(compare_faces(unit, unit[:2]), [[1, 0], [0, 1], [0.6, 0.8]], atol=1e-6)
    distances = np.array([[0, 5], [5, 0], [4, 3]])
    np.testing.assert_allclose(compare_faces(FACES, FACES[:2], measure="distance"), 1 - distances, atol=1e-6)
    assert compare_faces(FACES, FACES[:0], measure="distance").shape == (3, 0)


def test_an_average_has_length_1_where_cosines_are_taken():
    np.testing.assert_allclose(average_faces(FACES[:2]), [0.6, 0.8, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(average_faces(FACES[:2], measure="distance"), [1.5, 2, 0, 0])


@pytest.mark.parametrize(
    ("similarities", "matches"),
    [
        ([[0.9, 0.8], [0.7, 0.1]], [0.9, 0.1]),  # greedy, though .8 + .7 would be the better sum
        ([[0.9, 0.8], [0.7, 0.1], [0.2, 0.6]], [0.9, 0.6]),
        ([[0.3, 0.5]], [0.5]),
        (np.zeros((0, 2)), []),
    ],
)
def test_greedy_matching_by_hand(similarities, matches):
    assert greedy_matches(np.array(similarities, dtype=np.float32)) == pytest.approx(matches)


def test_permuting_faces_and_references_changes_no_greedy_match():
    similarities = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert greedy_matches(similarities[[3, 0, 4, 1, 2]][:, [2, 0, 1]]) == greedy_matches(similarities)


def test_people_are_judged_by_distance_as_by_cosine():
    scale = SimilarityScale(same_person_mean=1.0, stranger_mean=0.0, limit=0.4)
    ana, ben = np.zeros((2, 4), dtype=np.float32)
    ben = ben + np.float32([0.9, 0, 0, 0])
    near_ana, near_ben = ana + np.float32([0.25, 0, 0, 0]), ben + np.float32([0, 0.5, 0, 0])
    tracks = [
        TrackEmbeddings(frame_indices=(0, 1, 2), embeddings=np.stack([face] * 3), centre=(0.5, 0.5))
        for face in (near_ben, near_ana)
    ]
    options = {"scale": scale, "num_frames": 3, "measure": "distance"}
    assessment = assess_tracks(tracks, np.stack([ana, ben]), **options)
    assert [person.similarity for person in assessment.people] == pytest.approx([0.75, 0.5])
    assert [person.track for person in assessment.people] == [1, 0]
    assert all(person.right_person for person in assessment.people)
    assert find_confusion(tracks, np.stack([ana, ben]), **options).seen_as == (0, 1)
    strict = options | {"scale": SimilarityScale(same_person_mean=1.0, stranger_mean=0.0, limit=0.6)}
    assert find_confusion(tracks, np.stack([ana, ben]), **strict).seen_as == (0, STRANGER)
