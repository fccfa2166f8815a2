"""A camera that goes over a photograph: the face is found by dlib in every frame, and is one person's all along."""

import numpy as np
import pytest
from PIL import Image

from ingredients.curation.config import PeopleConfig
from ingredients.curation.people import describe_people, open_faces

pytest.importorskip("dlib")
data = pytest.importorskip("skimage.data")

SIZE, NUM_FRAMES = 224, 8


def pan_and_zoom(photo: np.ndarray) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Frames (F, 224, 224, 3) of windows that move and grow, and where the photo's point (225, 115) is in each."""
    frames, places = [], []
    for frame in range(NUM_FRAMES):
        part = frame / (NUM_FRAMES - 1)
        side, left, top = 250 + 130 * part, 90 - 60 * part, 0 + 8 * part
        window = Image.fromarray(photo).resize((SIZE, SIZE), box=(left, top, left + side, top + side))
        frames.append(np.asarray(window))
        places.append(((225 - left) * SIZE / side, (115 - top) * SIZE / side))
    return np.stack(frames), places


def test_a_photographed_face_is_found_and_its_track_is_whole() -> None:
    frames, places = pan_and_zoom(data.astronaut())
    found = describe_people(frames, open_faces("dlib", None), PeopleConfig(faces="dlib"))
    assert found["num_people"] == 1
    [track] = found["tracks"]
    assert found["num_runs"] == 1
    assert track["presence"] == 1.0
    for box, (across, down) in zip(track["boxes"], places, strict=True):
        assert box is not None
        left, top, right, bottom = box
        assert left < across < right
        assert top < down < bottom
