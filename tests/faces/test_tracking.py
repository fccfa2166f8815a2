import numpy as np
import pytest

from ingredients.faces.tracking import TrackingConfig, bridge_gaps, track_faces
from tests.evaluation.stand_ins import make_face


def face_at(centre: float, size: float = 20.0):
    return make_face(centre - size / 2, 10, centre + size / 2, 10 + size)


def test_two_moving_faces_become_two_tracks_whatever_the_order_of_detection():
    frames = []
    for index in range(9):
        faces = [face_at(20 + 2 * index), face_at(70 - index)]
        frames.append(faces if index % 2 else faces[::-1])
    tracks = track_faces(frames)
    assert [track.frame_indices for track in tracks] == [list(range(9))] * 2
    left, right = tracks
    assert [float(face.box[0]) for face in left.faces] == [10 + 2 * index for index in range(9)]
    assert [float(face.box[0]) for face in right.faces] == [60 - index for index in range(9)]
    assert left.mean_centre == pytest.approx((28.0, 20.0))


def test_a_face_missed_for_a_while_keeps_its_track():
    frames = [[face_at(30 + index)] for index in range(9)]
    frames[3], frames[4], frames[5] = [], [], []
    (track,) = track_faces(frames)
    assert track.frame_indices == [0, 1, 2, 6, 7, 8]


def test_a_longer_miss_ends_the_track():
    frames = [[face_at(30)] for _ in range(9)]
    for index in range(3, 7):
        frames[index] = []
    assert [track.frame_indices for track in track_faces(frames)] == [[0, 1, 2], [7, 8]]


def test_a_jump_or_another_size_is_another_face():
    frames = [[face_at(20)], [face_at(20)], [face_at(60)], [face_at(60)]]
    assert len(track_faces(frames)) == 2
    frames = [[face_at(50)], [face_at(50)], [face_at(50, size=45)], [face_at(50, size=45)]]
    assert len(track_faces(frames)) == 2


def test_a_single_sighting_is_a_false_detection():
    frames = [[face_at(20)], [face_at(20), face_at(80)], [face_at(20)]]
    (track,) = track_faces(frames)
    assert track.frame_indices == [0, 1, 2]
    assert len(track_faces(frames, config=TrackingConfig(min_frames=1))) == 2


def test_crossing_costs_are_solved_together():
    # The first face is nearest to both tracks; one to one, the sum decides.
    frames = [[face_at(30), face_at(44)], [face_at(36), face_at(50)]]
    tracks = track_faces(frames)
    assert sorted([float(face.box[0]) for face in track.faces] for track in tracks) == [[20, 26], [34, 40]]


def test_no_face_at_all_gives_no_track():
    assert track_faces([[], [], []]) == []
    assert track_faces([]) == []


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="max_size_ratio above 1"):
        TrackingConfig(max_size_ratio=0.5)
    with pytest.raises(ValueError, match="min_frames at least 1"):
        TrackingConfig(min_frames=0)


def looks(*numbers: int) -> np.ndarray:
    """(N, 3): people of orthogonal looks."""
    return np.eye(3, dtype=np.float32)[list(numbers)]


def test_with_embeddings_nobody_becomes_somebody_else_behind_whom_he_passed():
    """Two faces meet in one place, where one hides the other, and go back to where they came from."""
    places = [20, 30, 40, 50, 40, 30, 20]
    frames, embeds = [], []
    for place in places:
        hidden = place == 50
        frames.append([face_at(place)] if hidden else [face_at(place), face_at(100 - place)])
        embeds.append(looks(0) if hidden else looks(0, 1))
    tracks = track_faces(frames, embeds_by_frame=embeds)
    assert [track.frame_indices for track in tracks] == [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 4, 5, 6]]
    assert [track.mean_embed.argmax() for track in tracks] == [0, 1]


def test_with_embeddings_who_comes_back_elsewhere_goes_on_and_others_do_not():
    frames = [[face_at(20)]] * 3 + [[]] * 9 + [[face_at(90)]] * 3
    assert len(track_faces(frames)) == 2
    same = [looks(0)] * 3 + [looks()] * 9 + [looks(0)] * 3
    (track,) = track_faces(frames, embeds_by_frame=same)
    assert track.frame_indices == [0, 1, 2, 12, 13, 14]
    assert len(track.faces) == len(track.embeds) == 6
    other = [looks(0)] * 3 + [looks()] * 9 + [looks(1)] * 3
    assert len(track_faces(frames, embeds_by_frame=other)) == 2


def test_two_who_are_there_at_once_are_never_one_however_alike():
    tracks = track_faces([[face_at(20), face_at(80)]] * 4, embeds_by_frame=[looks(0, 0)] * 4)
    assert [track.frame_indices for track in tracks] == [[0, 1, 2, 3]] * 2


def test_gaps_are_bridged_up_to_their_limit_and_not_at_the_ends():
    there = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    assert bridge_gaps(there, 2).astype(int).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 1, 0]
    assert bridge_gaps(there, 0).tolist() == there.tolist()
    assert not bridge_gaps(np.zeros(4, bool), 5).any()


def test_likenesses_out_of_order_are_refused():
    with pytest.raises(ValueError, match="first not above the second"):
        TrackingConfig(min_likeness=0.7, join_likeness=0.5)
