import numpy as np
import pytest

from ingredients.data.buckets import Bucket, choose_bucket, frame_bucket

WIDE, TALL, LONG = (
    Bucket(num_frames=9, height=64, width=96),
    Bucket(num_frames=9, height=96, width=64),
    Bucket(num_frames=17, height=64, width=96),
)


def test_a_clip_goes_to_the_longest_and_nearest_bucket() -> None:
    buckets = (WIDE, TALL, LONG)
    assert choose_bucket(buckets, num_frames=12, height=480, width=720) == WIDE
    assert choose_bucket(buckets, num_frames=12, height=720, width=480) == TALL
    assert choose_bucket(buckets, num_frames=40, height=480, width=720) == LONG
    assert choose_bucket(buckets, num_frames=32, height=480, width=720, stride=2) == WIDE  # 17 would need 33
    assert choose_bucket(buckets, num_frames=8, height=480, width=720) is None


def test_framing_keeps_the_aspect_ratio_and_the_centre() -> None:
    framing = frame_bucket(WIDE, height=128, width=320)
    assert framing.scale == 0.5
    corners = np.array([[160, 64], [64, 0], [256, 128]], np.float32)
    assert framing.points(corners).tolist() == [[48, 32], [0, 0], [96, 64]]
    box = np.array([64, 0, 256, 128], np.float32)
    assert framing.points(box).tolist() == [0, 0, 96, 64]


def test_pictures_and_masks_go_where_the_points_go() -> None:
    framing = frame_bucket(WIDE, height=128, width=320)
    frames = np.zeros((2, 128, 320, 3), np.uint8)
    frames[:, 40:60, 100:140] = (200, 30, 90)
    masks = frames[..., 0] > 0
    left, top, right, bottom = framing.points(np.array([100, 40, 140, 60], np.float32)).astype(int).tolist()
    moved = framing.masks(masks)
    assert moved.shape == (2, 64, 96)
    expected = np.zeros((2, 64, 96), bool)
    expected[:, top:bottom, left:right] = True
    assert np.array_equal(moved, expected)
    inside = framing.frames(frames)[:, top + 3 : bottom - 3, left + 3 : right - 3]
    assert np.abs(inside.astype(int) - [200, 30, 90]).max() <= 1


def test_pictures_that_fit_are_not_touched() -> None:
    framing = frame_bucket(WIDE, height=64, width=96)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    assert framing.frames(frames) is frames


def test_a_bucket_has_a_size() -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        Bucket(num_frames=0, height=8, width=8)


@pytest.mark.parametrize(("height", "width"), [(315, 117), (433, 389), (1986, 753)])
def test_rounding_never_puts_an_edge_outside_of_the_picture(height: int, width: int) -> None:
    """Sizes whose product with the scale is a rounding short of the bucket's."""
    for bucket in (
        WIDE,
        TALL,
        Bucket(num_frames=1, height=240, width=416),
        Bucket(num_frames=1, height=720, width=480),
    ):
        framing = frame_bucket(bucket, height=height, width=width)
        picture = np.zeros((1, height, width, 3), np.uint8)
        assert framing.frames(picture).shape == (1, bucket.height, bucket.width, 3)
        assert framing.masks(picture[..., 0] > 0).shape == (1, bucket.height, bucket.width)
