"""Which sizes and lengths are refused, with what advice, and the grids that follow."""

import json
import shutil
from pathlib import Path

import pytest

from ingredients.core.errors import ShapeError
from ingredients.model_folders.find_model import default_model_path
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.pipelines.video_shape import VideoGeometry, VideoShape

OWN = VideoShape(height=480, width=720, num_frames=49)
PUBLISHED = VideoGeometry(spatial_ratio=8, temporal_ratio=4, patch_size=2, own_shape=OWN)


def test_the_published_size_has_17550_tokens() -> None:
    PUBLISHED.check(OWN)
    assert PUBLISHED.latent_shape(OWN) == (13, 60, 90)
    assert PUBLISHED.token_grid(OWN) == (13, 30, 45)


@pytest.mark.parametrize(
    ("height", "width", "num_frames", "advice"),
    [
        (481, 720, 49, "height 481 is not a multiple of 16, which this model needs; try 480 or 496."),
        (480, 7, 49, "width 7 is not a multiple of 16, which this model needs; try 16."),
        (-16, 720, 49, "height -16 is not a multiple of 16, which this model needs; try 16."),
        (480, 720, 48, r"number of frames 48 is not 8k \+ 1, which this model needs; try 41 or 49."),
        (480, 720, 0, r"number of frames 0 is not 8k \+ 1, which this model needs; try 1."),
        (480, 720, -7, r"number of frames -7 is not 8k \+ 1, which this model needs; try 1."),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_nearest_that_can(
    height: int, width: int, num_frames: int, advice: str
) -> None:
    with pytest.raises(ShapeError, match=advice):
        PUBLISHED.check(VideoShape(height=height, width=width, num_frames=num_frames))


def test_a_video_may_be_a_single_frame() -> None:
    picture = VideoShape(height=16, width=16, num_frames=1)
    PUBLISHED.check(picture)
    assert PUBLISHED.token_grid(picture) == (1, 1, 1)


def test_learned_positions_allow_one_shape() -> None:
    fixed = VideoGeometry(spatial_ratio=8, temporal_ratio=4, patch_size=2, own_shape=OWN, only_shape=OWN)
    fixed.check(OWN)
    with pytest.raises(ShapeError, match="only 49 frames of 480 high and 720 wide, not 49 frames of 720 high"):
        fixed.check(VideoShape(height=720, width=480, num_frames=49))


def test_what_is_not_asked_for_is_the_own_of_the_model() -> None:
    assert PUBLISHED.shape(height=None, width=None, num_frames=None) == OWN
    assert PUBLISHED.shape(height=240, width=None, num_frames=9) == VideoShape(height=240, width=720, num_frames=9)


def test_a_folder_tells_its_geometry_without_loading(tmp_path: Path) -> None:
    folder = default_model_path()
    configs = [json.loads((folder / part / "config.json").read_text()) for part in ("transformer", "vae")]
    assert VideoGeometry.peek(folder) == VideoGeometry.of(COGVIDEOX, *configs)
    assert VideoGeometry.peek(tmp_path) is None
    for part, key, wrong in (
        ("transformer", "sample_height", "16"),
        ("transformer", "patch_size_t", "two"),
        ("vae", "block_out_channels", None),
    ):
        shutil.copytree(folder, tmp_path / key, ignore=shutil.ignore_patterns("*.safetensors", "judge"))
        path = tmp_path / key / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: wrong}))
        assert VideoGeometry.peek(tmp_path / key) is None  # the model itself says what is wrong
    path.write_text((folder / "vae" / "config.json").read_text())
    path = tmp_path / key / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"patch_size_t": 4}))
    peeked = VideoGeometry.peek(tmp_path / key)
    assert peeked is not None
    assert peeked.patch_size_t == 4


@pytest.mark.parametrize(
    ("temporal_ratio", "patch_size_t", "num_frames", "together"),
    [(4, None, 49, 4), (1, 2, 17, 2), (4, 2, 81, 8), (1, None, 17, 1), (4, 2, 1, 4)],
)
def test_frames_of_a_temporal_patch_are_made_together(
    temporal_ratio: int, patch_size_t: int | None, num_frames: int, together: int
) -> None:
    geometry = VideoGeometry(
        spatial_ratio=8, temporal_ratio=temporal_ratio, patch_size=2, own_shape=OWN, patch_size_t=patch_size_t
    )
    assert geometry.frames_made_together(num_frames) == together


def test_where_the_first_patch_is_full_frames_are_made_together_by_the_vae_alone() -> None:
    geometry = VideoGeometry(spatial_ratio=8, temporal_ratio=1, patch_size=2, own_shape=OWN, patch_size_t=2)
    assert [len(frames) for frames in geometry.token_frames(16)] == [2] * 8
    assert geometry.frames_made_together(16) == 1
