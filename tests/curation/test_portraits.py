"""The picture of each person that a clip can lend."""

import numpy as np

from ingredients.curation.portraits import take_portrait

HEIGHT, WIDTH, NUM_FRAMES = 90, 140, 4


def track(*middles: tuple[int, int] | None) -> dict[str, object]:
    """A face of 20 by 24 pixels around each place."""
    template = np.array([(-5, -4), (5, -4), (0, 1), (-4, 7), (4, 7)])
    return {
        "boxes": [None if place is None else [place[0] - 10, place[1] - 12, place[0] + 10, place[1] + 12]
                  for place in middles],
        "landmarks": [None if place is None else (template + place).tolist() for place in middles],
    }  # fmt: skip


def test_the_sharpest_picture_without_anybody_else_is_taken() -> None:
    generator = np.random.default_rng(0)
    ramp = np.linspace(60, 150, WIDTH).astype(np.uint8)[None, :, None]
    frames = np.broadcast_to(ramp, (NUM_FRAMES, HEIGHT, WIDTH, 3)).copy()
    frames[2] = generator.integers(60, 150, size=frames[2].shape, dtype=np.uint8)  # by far the sharpest
    mine = track((40, 45), (40, 45), (40, 45), (40, 45))
    far, near = track(None, (110, 45), (110, 45), None), track(None, None, (60, 45), None)
    found = take_portrait(frames, [mine, far], 0)
    assert found is not None
    assert found.shape == (52, 52, 3)
    assert np.array_equal(found, frames[2, 19:71, 14:66])
    beside = take_portrait(frames, [mine, near], 0)
    assert beside is not None
    assert not np.array_equal(beside, found)
    cut_off = track(*[(4, 45)] * NUM_FRAMES)
    assert take_portrait(frames, [cut_off], 0) is None
    always = track(*[(60, 45)] * NUM_FRAMES)
    assert take_portrait(frames, [mine, always], 0) is None


def test_faces_that_are_no_persons_or_were_missed_are_on_no_portrait() -> None:
    generator = np.random.default_rng(0)
    frames = generator.integers(60, 150, size=(NUM_FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mine = track((40, 45), *[None] * (NUM_FRAMES - 1))
    passer_by = [(50.0, 33.0, 70.0, 57.0)]
    assert take_portrait(frames, [mine], 0, strangers=[[]] * NUM_FRAMES) is not None
    assert take_portrait(frames, [mine], 0, strangers=[passer_by, *[[]] * (NUM_FRAMES - 1)]) is None
    mine = track(None, (40, 45), None, None)
    missed = track((60, 45), None, (60, 45), None)
    assert take_portrait(frames, [mine, missed], 0) is None
    gone = track((60, 45), None, None, None)
    assert take_portrait(frames, [mine, gone], 0) is not None
