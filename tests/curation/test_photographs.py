"""A camera that goes over photographs: faces are found by dlib in every frame, and are one person's all along.

Photographs lie in installed packages, and are read from there: scikit-image's astronaut, Matplotlib's admiral.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.core.config import load_config
from ingredients.curation.config import CurationConfig, PeopleConfig
from ingredients.curation.engine import curate
from ingredients.curation.people import describe_people, open_faces
from ingredients.curation.sources import find_sources
from ingredients.curation.write import write_data_set
from ingredients.data.clip_check import check_clips
from ingredients.data.clip_folder import read_clip_folder
from ingredients.data.clip_source import open_clip_source
from ingredients.media.video import write_video
from tests.curation.test_engine import Watcher

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


def both_photographs() -> np.ndarray:
    """The astronaut beside the admiral, (320, 640, 3); neither smiles at the other."""
    path = Path(pytest.importorskip("matplotlib").get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as photo:
        admiral = np.asarray(photo.convert("RGB").resize((320, 320), box=(56, 0, 456, 400)))
    astronaut = np.asarray(Image.fromarray(data.astronaut()).resize((320, 320), box=(60, 0, 380, 320)))
    return np.concatenate([astronaut, admiral], axis=1)


@pytest.mark.slow
def test_a_film_of_two_photographs_becomes_a_clip_of_two_people(tmp_path: Path) -> None:
    photo = Image.fromarray(both_photographs())
    frames = []
    for frame in range(72):
        part = frame / 71
        width, left, top = 460 + 80 * part, 90 - 80 * part, 20 - 18 * part  # pans to the left and draws back
        frames.append(np.asarray(photo.resize((416, 240), box=(left, top, left + width, top + width * 240 / 416))))
    # twice another picture of the two, which is nobody else
    mirrored = np.stack(frames)[::-1, :, ::-1]
    write_video(tmp_path / "raw.mp4", np.concatenate([np.stack(frames), mirrored]), fps=24)
    config = load_config(CurationConfig, overrides=["cut.num_frames=17", "shots.trim_seconds=0.25"])
    output = tmp_path / "clips"
    curated = curate(
        find_sources([tmp_path / "raw.mp4"]), config, tmp_path / ".curation", num_workers=0, watcher=Watcher()
    )
    write_data_set(output, curated)
    records = read_clip_folder(output)
    assert len(records) == 2
    for record in records:
        assert len(record.people) == 2
        assert all(box is not None for person in record.people for box in person.boxes)
    first, second = ([person.person_id for person in record.people] for record in records)
    assert first == second[::-1]  # the mirror has them the other way round
    assert len(set(first)) == 2
    report = check_clips(open_clip_source(output))
    assert report.num_usable == report.num_clips == 2
