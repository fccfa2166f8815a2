"""Section 4.1 to the letter: 4 frames, 2 people, embeddings 3 wide."""

import numpy as np
import pytest

from ingredients.evaluation.assessment import paper_face_similarity

ANA, BEN, CLEO = np.eye(3, dtype=np.float32)
PEOPLE = np.stack([ANA, BEN])


def faces(*rows: np.ndarray) -> np.ndarray:
    found = np.array(rows, dtype=np.float32).reshape(len(rows), 3)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_identical_faces_have_similarity_1_in_any_order():
    assert paper_face_similarity([faces(ANA, BEN), faces(BEN, ANA)], PEOPLE) == pytest.approx(1)
    assert paper_face_similarity([faces(ANA, BEN)], PEOPLE[::-1]) == pytest.approx(1)


def test_the_lowest_match_of_each_frame_is_averaged_over_frames():
    frames = [faces(ANA, BEN), faces(ANA, 3 * BEN + 4 * CLEO)]  # 1, and .6
    assert paper_face_similarity(frames, PEOPLE) == pytest.approx(0.8)


def test_all_detected_faces_take_part():
    assert paper_face_similarity([faces(CLEO, BEN, ANA)], PEOPLE) == pytest.approx(1)


def test_a_missing_face_counts_nothing():
    assert paper_face_similarity([faces(ANA), faces(ANA, BEN), faces(), faces(ANA, BEN)], PEOPLE) == pytest.approx(0.5)


def test_a_negative_cosine_counts_as_0():
    assert paper_face_similarity([faces(ANA, -BEN)], PEOPLE) == 0


def test_matching_is_greedy_in_each_frame():
    # Cosines .8 and .6 of the first face, .6 and 0 of the second: .8 is taken, and 0 is left.
    assert paper_face_similarity([faces(4 * ANA + 3 * BEN, 3 * ANA + 4 * CLEO)], PEOPLE) == pytest.approx(0)
