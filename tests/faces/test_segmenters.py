"""Masks from boxes: sizes and places, against the networks themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import Sam2Config, Sam2Model, SamModel
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig

from ingredients.core.errors import ModelFolderError
from ingredients.faces.segmenters import (
    BoxSegmenter,
    CloseUpSamSegmenter,
    Sam2Segmenter,
    SamSegmenter,
    cut_squares,
    in_squares,
    is_small_sam,
    load_small_sam,
    paste_squares,
    save_small_sam,
    small_sam_config,
    squares_around,
)

MEAN, DEVIATION = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def sam() -> SamModel:
    torch.manual_seed(0)
    return SamModel(small_sam_config()).eval()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_box_is_its_own_mask() -> None:
    logits = BoxSegmenter().segment(picture(10, 14), np.array([[2, 3, 5, 9], [0, 0, 14, 10]], np.float32))
    assert logits.shape == (2, 10, 14)
    rows, columns = np.nonzero(logits[0] > 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 8, 2, 4)
    assert (logits[1] > 0).all()


def test_a_square_picture_is_what_the_network_reads(sam: SamModel) -> None:
    image, boxes = picture(128, 128), np.array([[10, 20, 60, 90], [70, 5, 120, 64], [0, 0, 9, 9]], np.float32)
    pixel_values = ((torch.from_numpy(image) / 255 - MEAN) / DEVIATION).permute(2, 0, 1)[None]
    with torch.no_grad():
        plain = sam(
            pixel_values=pixel_values, input_boxes=torch.from_numpy(boxes)[None], multimask_output=False
        ).pred_masks[0]
    expected = F.interpolate(plain, size=(128, 128), mode="bilinear", align_corners=False)[:, 0]
    np.testing.assert_allclose(SamSegmenter(sam).segment(image, boxes), expected.numpy(), atol=1e-4)


def test_boxes_go_with_the_picture_when_it_is_scaled(sam: SamModel) -> None:
    """Twice as large a picture of the same gets the same mask, twice as large."""
    small, boxes = picture(64, 128), np.array([[10, 20, 60, 60]], np.float32)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    first = SamSegmenter(sam).segment(small, boxes)
    second = SamSegmenter(sam).segment(large, 2 * boxes)
    assert second.shape == (1, 128, 256)
    pooled = second.reshape(1, 64, 2, 128, 2).mean((2, 4))
    np.testing.assert_allclose(pooled, first, atol=0.05 * float(np.ptp(first)) + 1e-3)


def test_nobody_gives_no_masks(sam: SamModel) -> None:
    for segmenter in (SamSegmenter(sam), CloseUpSamSegmenter(sam)):
        assert segmenter.segment(picture(33, 50), np.zeros((0, 4), np.float32)).shape == (0, 33, 50)


@pytest.mark.parametrize("size", [(60, 90), (400, 600)])
def test_what_is_cut_out_is_where_its_box_says_and_goes_back_where_it_was(size: tuple[int, int]) -> None:
    height, width = size
    edges = torch.tensor([[0.1 * width, 0.2 * height, 0.5 * width, 0.7 * height], [0.6, 0.6, 0.98, 0.98]])
    edges[1] *= torch.tensor([width, height, width, height])
    boxes = edges.round()
    masks = torch.from_numpy(BoxSegmenter().segment(np.zeros((height, width, 3), np.uint8), boxes.numpy()))[:, None]
    squares = squares_around(boxes)
    cut = cut_squares(masks, squares, 64)
    assert cut.shape == (2, 1, 64, 64)
    for found, box in zip(cut[:, 0] > 0, in_squares(boxes, squares, 64), strict=True):
        rows, columns = np.nonzero(found.numpy())
        there = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(there, box.numpy(), atol=1.1)
    back = paste_squares(cut, squares, size) > 0
    both = (back & (masks > 0)).sum((1, 2, 3))
    assert (both / (back | (masks > 0)).sum((1, 2, 3)) > 0.9).all()


def test_a_face_from_close_up_is_the_same_wherever_it_is_in_a_picture(sam: SamModel) -> None:
    image = picture(96, 144)
    moved = np.zeros_like(image)
    moved[20:80, 50:130] = image[10:70, 10:90]
    box = np.array([[30, 25, 60, 55]], np.float32)
    first = CloseUpSamSegmenter(sam).segment(image, box)[0, 10:70, 15:75]
    second = CloseUpSamSegmenter(sam).segment(moved, box + np.array([40, 10, 40, 10], np.float32))[0, 20:80, 55:115]
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_what_is_saved_is_what_is_loaded(sam: SamModel, tmp_path: Path) -> None:
    save_small_sam(sam, tmp_path / "segmenter")
    image, boxes = picture(85, 128), np.array([[10, 20, 60, 80]], np.float32)
    again = load_small_sam(tmp_path / "segmenter")
    np.testing.assert_allclose(again.segment(image, boxes), CloseUpSamSegmenter(sam).segment(image, boxes), atol=0.02)
    assert is_small_sam(tmp_path / "segmenter")
    (tmp_path / "segmenter" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelFolderError, match=r"model\.safetensors"):
        load_small_sam(tmp_path / "segmenter")
    with pytest.raises(ModelFolderError, match=r"config\.json"):
        load_small_sam(tmp_path / "gone")


def test_sam_2_is_prompted_in_its_own_square() -> None:
    """A tiny one of the same class: masks of the picture's size, and a box of the whole picture in whatever form."""
    torch.manual_seed(0)
    hiera = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        global_attention_blocks=[3],
        image_size=[64, 64],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(
        backbone_config=hiera.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=16,
    )
    config = Sam2Config(
        vision_config=vision.to_dict(),
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16},
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    )
    segmenter = Sam2Segmenter(Sam2Model(config).eval())
    image = picture(40, 60)
    logits = segmenter.segment(image, np.array([[0, 0, 60, 40], [5, 5, 30, 30]], np.float32))
    assert logits.shape == (2, 40, 60)
    assert np.isfinite(logits).all()
    assert (logits[0] != logits[1]).any()
