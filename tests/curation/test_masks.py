"""Masks along tracks: near their own box, and on no pixel twice."""

from pathlib import Path

import numpy as np
import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.curation import selfie
from ingredients.curation.config import CurationConfig, MasksConfig
from ingredients.curation.mask_rims import follow_edges
from ingredients.curation.masks import Masks, apart, boxes_of, mask_faces, open_segmenter
from ingredients.faces.segmenters import BoxSegmenter
from ingredients.world import render_scene, sample_scene
from ingredients.world.portraits import mask_box

BOXES = np.array([[2, 2, 8, 10], [6, 4, 14, 12]], np.float32)


def test_tracks_become_boxes() -> None:
    tracks = [{"boxes": [[1, 2, 3, 4], None]}, {"boxes": [None, [5, 6, 7, 8]]}]
    boxes = boxes_of(tracks, 2)
    assert boxes.shape == (2, 2, 4)
    assert boxes[0, 0].tolist() == [1, 2, 3, 4]
    assert np.isnan(boxes[0, 1]).all()


def test_masks_never_share_a_pixel_and_the_surer_one_has_it() -> None:
    logits = np.full((2, 16, 20), -5.0, np.float32)
    logits[0, 2:10, 2:8] = 3.0
    logits[1, 4:12, 6:14] = 1.0
    masks = apart(logits, BOXES, threshold=0.0, margin=0.25)
    assert not (masks[0] & masks[1]).any()
    assert masks[0, 2:10, 2:8].all()
    assert masks[1, 4:12, 8:14].all()
    assert masks.sum() == 8 * 6 + 8 * 8 - 6 * 2
    assert not apart(logits, BOXES, threshold=4.0, margin=0.25).any()


def test_a_mask_stays_near_its_box() -> None:
    logits = np.full((1, 16, 20), 9.0, np.float32)
    rows, columns = np.nonzero(apart(logits, BOXES[:1], threshold=-2.0, margin=0.5)[0])
    assert (columns.min(), columns.max(), rows.max()) == (0, 10, 13)  # 6 x 8, and half of it beyond


def test_of_two_boxes_the_nearer_middle_has_the_pixel() -> None:
    masks = apart(BoxSegmenter().segment(np.zeros((16, 20, 3), np.uint8), BOXES), BOXES, threshold=0.0, margin=0.0)
    assert not (masks[0] & masks[1]).any()
    assert masks[0, 4, 6]
    assert masks[1, 9, 7]


def test_a_rim_follows_the_edges_of_the_picture() -> None:
    """A face of eight corners before a plain wall; the logits are those of a disc, a little off."""
    rows, columns = np.mgrid[:64, :80]
    true = np.maximum(abs(rows - 32), abs(columns - 40)) + np.minimum(abs(rows - 32), abs(columns - 40)) / 2 < 20
    image = np.where(true[..., None], (200, 150, 120), (60, 90, 140)).astype(np.uint8)
    image[28:32, 34:46] = (20, 20, 20)  # glasses, which are the face's
    box = mask_box(true)[None]
    logits = (18 - np.hypot(rows - 34, columns - 43)).astype(np.float32)[None]
    followed = follow_edges(image, logits, box, threshold=0.0, rim=7.0)

    def overlap(found: np.ndarray) -> float:
        mask = apart(found, box, threshold=0.0, margin=0.25)[0]
        return float((mask & true).sum() / (mask | true).sum())

    assert overlap(logits) < 0.8
    assert overlap(followed) > 0.98
    assert (followed[0, 28:32, 34:46] > 0).all()
    beyond = abs(logits) >= 7.0
    np.testing.assert_array_equal(followed[beyond], logits[beyond])
    assert abs(followed[~beyond]).max() <= 7.0
    moved = follow_edges(image, logits + 2, box, threshold=2.0, rim=7.0)
    np.testing.assert_allclose(moved, followed + 2, atol=1e-4)


def test_without_an_edge_a_rim_lies_halfway() -> None:
    """A plain picture of one row: a walker from a pixel comes to the nearer end more often, as on a line."""
    logits = np.full((1, 1, 9), 0.0, np.float32)
    logits[0, 0, [0, 1, 7, 8]] = 2.0, 1.0, -1.0, -5.0
    followed = follow_edges(
        np.zeros((1, 9, 3), np.uint8), logits, np.array([[0, 0, 9, 1]], np.float32), threshold=0.0, rim=1.0
    )
    np.testing.assert_allclose(followed[0, 0], [2, 1, 2 / 3, 1 / 3, 0, -1 / 3, -2 / 3, -1, -5], atol=1e-5)


def test_a_face_of_which_nothing_is_sure_is_left_to_the_logits() -> None:
    logits = np.full((2, 16, 20), 0.5, np.float32)
    boxes = np.array([[2, 2, 8, 10], [40, 4, 60, 12]], np.float32)  # the other one is not in the picture
    found = follow_edges(np.zeros((16, 20, 3), np.uint8), logits, boxes, threshold=0.0, rim=2.0)
    np.testing.assert_array_equal(found, logits)


@pytest.mark.parametrize("box", [[-30, 2, -12, 14], [2, -30, 18, -12]])
def test_a_box_before_the_picture_moves_no_rim_in_it(box: list[float]) -> None:
    logits = np.linspace(-4, 4, 20, dtype=np.float32)[None, None] + np.linspace(-2, 2, 16, dtype=np.float32)[:, None]
    found = follow_edges(np.zeros((16, 20, 3), np.uint8), logits, np.array([box], np.float32), threshold=0.0, rim=2.0)
    np.testing.assert_array_equal(found, logits)


def test_a_face_is_the_ellipse_of_its_box_where_one_of_the_networks_sees_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One network sees a person in the left half, the other one in the upper half of whatever is looked at."""
    for name in selfie.NETWORK_NAMES:
        (tmp_path / name).touch()

    def half(network: str, picture: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
        is_person = columns < picture.shape[1] / 2 if network == selfie.NETWORK_NAMES[0] else rows < len(rows) / 2
        return np.where(is_person, 0.9, 0.1).astype(np.float32)

    monkeypatch.setattr(selfie, "_read", lambda file: file.name)
    monkeypatch.setattr(selfie, "_look", half)
    box = np.array([[40, 30, 60, 60]], np.float32)
    both = selfie.SelfieSegmenter(str(tmp_path)).segment(np.zeros((90, 100, 3), np.uint8), box)[0] > 0
    rows, columns = np.mgrid[:90, :100] + 0.5
    ellipse = ((columns - 50) / 10.5) ** 2 + ((rows - 45) / 15.75) ** 2 < 1
    np.testing.assert_array_equal(both, ellipse & ((columns < 51) | (rows < 45)))
    alone = selfie.SelfieSegmenter(str(tmp_path / selfie.NETWORK_NAMES[0]))
    found = alone.segment(np.zeros((90, 100, 3), np.uint8), box)[0] > 0
    np.testing.assert_array_equal(found, ellipse & (columns < 51))


def test_who_knows_no_outlines_has_rims_that_edges_decide() -> None:
    assert MasksConfig(by="sam").rim_width == 3.0
    assert MasksConfig(by="sam", model="sam-vit-base").rim_width == 0.0
    assert MasksConfig(by="selfie", model="package").rim_width == 3.0
    assert MasksConfig(by="box").rim_width == 0.0
    assert MasksConfig(by="sam2", model="x", rim=1.0).rim_width == 1.0


def test_frames_without_the_face_have_no_mask() -> None:
    boxes = np.stack([BOXES, np.array([[np.nan] * 4, BOXES[1]], np.float32)])
    masks = mask_faces(np.zeros((2, 16, 20, 3), np.uint8), boxes, BoxSegmenter(), MasksConfig())
    assert masks.shape == (2, 2, 16, 20)
    assert masks[0].any((1, 2)).all()
    assert masks[1].any((1, 2)).tolist() == [False, True]


def test_a_face_that_is_hardly_masked_is_said() -> None:
    step = Masks(load_config(CurationConfig))
    assert step.decide({"cover": [0.8, 0.5]}) is None
    rejection = step.decide({"cover": [0.8, 0.01]})
    assert rejection is not None
    assert rejection.sentence == "a face without a mask: 0.01 (limit 0.2)"


def test_what_is_missing_is_said_with_where_it_is_from(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="npm pack @mediapipe/selfie_segmentation"):
        open_segmenter(MasksConfig(by="selfie"))
    with pytest.raises(UserInputError, match="which is not at"):
        open_segmenter(MasksConfig(by="selfie", model=str(tmp_path)))
    with pytest.raises(UserInputError, match=r"masks\.model=FOLDER"):
        open_segmenter(MasksConfig(by="sam2"))
    with pytest.raises(ModelFolderError, match=r"config\.json"):
        open_segmenter(MasksConfig(by="sam", model=str(tmp_path)))


def test_the_papers_threshold_is_for_the_papers_network() -> None:
    assert MasksConfig(by="sam", model="sam-vit-base").least_logit == -2.0
    assert MasksConfig(by="sam").least_logit == MasksConfig(by="selfie").least_logit == 0.0
    assert MasksConfig(by="sam", threshold=-1.0).least_logit == -1.0


def test_the_sam_that_ships_masks_drawn_faces() -> None:
    """On people whom its training never saw, from exact boxes."""
    scene = render_scene(sample_scene(10**9 + 3, split="eval", num_people=2), height=96, width=144, num_frames=2)
    boxes = np.stack([[mask_box(mask) for mask in frame] for frame in scene.face_masks]).astype(np.float32)
    config = MasksConfig(by="sam")
    found = mask_faces(scene.frames, boxes, open_segmenter(config), config)
    shared = (found & scene.face_masks).sum((2, 3)) / (found | scene.face_masks).sum((2, 3))
    assert shared.min() > 0.75
    assert not (found[:, 0] & found[:, 1]).any()
