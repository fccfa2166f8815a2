import pytest

from ingredients.core.token_time import front_padding, latent_frames, token_frames


def spans(ranges: list[range]) -> list[tuple[int, int]]:
    return [(each.start, each.stop) for each in ranges]


@pytest.mark.parametrize(
    ("num_frames", "temporal_ratio", "patch_size_t", "expected"),
    [
        (9, 4, None, [(0, 1), (1, 5), (5, 9)]),
        (9, 4, 2, [(0, 1), (1, 9)]),  # a copy of the first latent frame stands before it
        (13, 4, 2, [(0, 5), (5, 13)]),
        (5, 2, 4, [(0, 5)]),
        (20, 1, 4, [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20)]),
        (17, 1, 4, [(0, 1), (1, 5), (5, 9), (9, 13), (13, 17)]),
        (1, 4, 2, [(0, 1)]),
    ],
)
def test_frames_of_each_frame_of_tokens(
    num_frames: int, temporal_ratio: int, patch_size_t: int | None, expected: list[tuple[int, int]]
) -> None:
    assert spans(token_frames(num_frames, temporal_ratio=temporal_ratio, patch_size_t=patch_size_t)) == expected


def test_every_frame_stands_in_one_latent_frame() -> None:
    for ratio in (1, 2, 4):
        joined = [frame for each in latent_frames(1 + 3 * ratio, ratio) for frame in each]
        assert joined == list(range(1 + 3 * ratio))
    with pytest.raises(ValueError, match="ratio 4 has no 8 frames"):
        latent_frames(8, 4)


def test_padding_fills_the_first_patch() -> None:
    assert [front_padding(number, 4) for number in (1, 4, 5, 7)] == [3, 0, 3, 1]
    assert front_padding(5, None) == 0
