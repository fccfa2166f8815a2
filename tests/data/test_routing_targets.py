import numpy as np
import pytest

from ingredients.data.routing_targets import (
    BACKGROUND,
    boxes_to_masks,
    decide_routing_targets,
    nearest_person_targets,
    token_coverage,
    trilinear_routing_targets,
)


def test_coverage_is_the_mean_over_each_token_and_each_causal_group_of_frames() -> None:
    masks = np.random.default_rng(0).random((9, 3, 8, 12)) < 0.5
    coverage = token_coverage(masks, grid=(2, 4))
    assert coverage.shape == (3, 3, 2, 4)
    groups = [slice(0, 1), slice(1, 5), slice(5, 9)]
    for identity, frame, row, column in np.ndindex(3, 3, 2, 4):
        frames = groups[frame]
        expected = masks[frames, identity, 4 * row : 4 * row + 4, 3 * column : 3 * column + 3].mean()
        assert coverage[identity, frame, row, column] == pytest.approx(expected)


def test_no_identity_is_invented_between_background_and_identity_one() -> None:
    """Averaging labels -1 and 1 gives 0, an identity that is not there; deciding from separate masks does not."""
    masks = np.zeros((1, 2, 4, 4), bool)
    masks[0, 1, :, 2:] = True  # half of the token shows identity 1, the other half background
    coverage = token_coverage(masks, grid=(1, 1))
    assert decide_routing_targets(coverage).tolist() == [1]
    assert decide_routing_targets(coverage, threshold=0.6).tolist() == [BACKGROUND]


def test_the_papers_resize_interpolates_labels() -> None:
    """One map of labels, trilinear (3.3), against interpolation written out; and the identities that it invents."""
    masks = np.random.default_rng(1).random((9, 3, 8, 12)) < 0.3
    labels = np.where(masks.any(axis=1), masks.argmax(axis=1), BACKGROUND).astype(float)  # (9, 8, 12)
    expected = labels
    for axis, size in enumerate((3, 2, 4)):
        length = expected.shape[axis]
        places = (np.arange(size) + 0.5) * length / size - 0.5
        before = np.floor(places).astype(int).clip(0, length - 2)
        share = (places - before).reshape([-1 if each == axis else 1 for each in range(3)])
        low, high = expected.take(before, axis=axis), expected.take(before + 1, axis=axis)
        expected = low + share * (high - low)
    targets = trilinear_routing_targets(masks, grid=(2, 4))
    assert targets.tolist() == np.round(expected).astype(int).flatten().tolist()
    border = np.zeros((1, 2, 4, 4), bool)
    border[0, 1, :, 2:] = True  # identity 1 beside the background: between the two lies identity 0
    assert trilinear_routing_targets(border, grid=(1, 1)).tolist() == [0]
    assert decide_routing_targets(token_coverage(border, grid=(1, 1))).tolist() == [1]


def test_tokens_come_in_frame_row_column_order() -> None:
    masks = np.zeros((5, 1, 4, 6), bool)
    masks[1:, 0, 2:4, 4:6] = True
    targets = decide_routing_targets(token_coverage(masks, grid=(2, 3)))
    assert np.flatnonzero(targets == 0).tolist() == [1 * 6 + 1 * 3 + 2]


@pytest.mark.parametrize("shape", [(8, 1, 8, 12), (9, 1, 9, 12), (9, 1, 8, 13)])
def test_masks_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        token_coverage(np.zeros(shape, bool), grid=(2, 4))


def test_background_takes_the_nearest_person() -> None:
    targets = np.array([BACKGROUND, BACKGROUND, 1, BACKGROUND])
    person_coverage = np.zeros((2, 1, 1, 4), np.float32)
    person_coverage[1, 0, 0, 0] = 0.5  # the hair of person 1 beside person 0's face
    face_centres = np.array([[[0.1, 0.5], [0.9, 0.5]]], np.float32)
    nearest = nearest_person_targets(targets, person_coverage, face_centres)
    assert nearest.tolist() == [1, 0, 1, 1]


def test_a_hidden_box_covers_nothing() -> None:
    boxes = np.array([[[1, 2, 3, 5], [np.nan] * 4]], np.float32)
    masks = boxes_to_masks(boxes, height=6, width=7)
    assert masks[0, 0].sum() == 6
    assert masks[0, 0, 2:5, 1:3].all()
    assert not masks[0, 1].any()
