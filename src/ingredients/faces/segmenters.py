"""Masks of faces from their boxes: SAM and SAM 2 of transformers, and the box itself.

A segmenter gives a number for each pixel and face, above 0 where it rather takes the pixel for the face; which
threshold is best is a question of its own (the paper, Figure 7, takes -2).

Legend: N faces, H/W pixels of the picture, S side of the network's square, h/w of its masks.
"""

import dataclasses
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    Sam2Model,
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.model_files import building_from, read_json
from ingredients.faces.weights import load_weights, save_weights

_CONFIG_NAME, _WEIGHTS_NAME = "config.json", "model.safetensors"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which SAM and SAM 2 were trained with
_SURE = 20.0


class FaceSegmenter(Protocol):
    """Says which pixels belong to a face."""

    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W) of the faces in boxes (N, 4), in pixels of an RGB image (H, W, 3)."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class BoxSegmenter:
    """A `FaceSegmenter` that takes the whole box: the paper's Table 3 compares it with masks."""

    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W)."""
        height, width = image.shape[:2]
        columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
        across = (columns >= boxes[:, :1]) & (columns < boxes[:, 2:3])  # (N, W)
        down = (rows >= boxes[:, 1:2]) & (rows < boxes[:, 3:4])  # (N, H)
        return np.where(down[:, :, None] & across[:, None], _SURE, -_SURE).astype(np.float32)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SamSegmenter:
    """SAM (Kirillov et al. 2023), prompted by boxes: a `FaceSegmenter`."""

    model: SamModel
    """In evaluation mode."""

    @torch.no_grad()
    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W)."""
        height, width = image.shape[:2]
        if not len(boxes):
            return np.zeros((0, height, width), np.float32)
        side = int(self.model.config.vision_config.image_size)
        pixel_values, (rows, columns) = fit_into_square(_as_batch(image), side)
        scale = torch.tensor([columns / width, rows / height] * 2)
        predicted = _predict(
            self.model,
            pixel_values,
            (rows, columns),
            (torch.from_numpy(boxes).float() * scale)[None],
        )  # (1, N, 1, h, w)
        logits = enlarge_logits(predicted[0], side)[:, :, :rows, :columns]
        return _resized(logits, height, width)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CloseUpSamSegmenter:
    """A SAM that sees each face from close up, its box in the middle of its square: a `FaceSegmenter`.

    Its square may be small, however small the face is in the picture; it looks once for each face.
    """

    model: SamModel
    """In evaluation mode."""

    @torch.no_grad()
    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W)."""
        height, width = image.shape[:2]
        if not len(boxes):
            return np.zeros((0, height, width), np.float32)
        side = int(self.model.config.vision_config.image_size)
        prompts = torch.from_numpy(boxes).float()
        squares = squares_around(prompts)  # (N, 3)
        close_ups = cut_squares(_as_batch(image).expand(len(boxes), -1, -1, -1), squares, side)
        predicted = _predict(
            self.model, close_ups, (side, side), in_squares(prompts, squares, side)[:, None]
        )  # (N, 1, 1, h, w)
        pasted: Float32Array = paste_squares(predicted[:, 0], squares, (height, width))[:, 0].numpy()
        return pasted


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Sam2Segmenter:
    """SAM 2 (Ravi et al. 2024) on single frames, prompted by boxes: a `FaceSegmenter`."""

    model: Sam2Model
    """In evaluation mode."""

    @torch.no_grad()
    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W)."""
        height, width = image.shape[:2]
        if not len(boxes):
            return np.zeros((0, height, width), np.float32)
        side = int(self.model.config.prompt_encoder_config.image_size)
        pixel_values = F.interpolate(_as_batch(image), size=(side, side), mode="bilinear", antialias=True)
        scale = torch.tensor([side / width, side / height] * 2)
        predicted = _predict(
            self.model, pixel_values, (side, side), (torch.from_numpy(boxes).float() * scale)[None]
        )  # (1, N, 1, h, w)
        return _resized(predicted[0], height, width)


def _predict(model: SamModel | Sam2Model, pictures: Tensor, inside: tuple[int, int], boxes: Tensor) -> Tensor:
    """One mask's logits (B, N, 1, h, w) for each of the boxes (B, N, 4) in pictures (B, 3, S, S) in 0..1."""
    masks = model(
        pixel_values=sam_pixel_values(pictures, inside).to(model.device, model.dtype),
        input_boxes=boxes.to(model.device),
        multimask_output=False,
    ).pred_masks
    predicted: Tensor = masks.float().cpu()
    return predicted


def _as_batch(image: UInt8Array) -> Tensor:
    """(1, 3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _resized(logits: Tensor, height: int, width: int) -> Float32Array:
    resized: Float32Array = F.interpolate(logits, size=(height, width), mode="bilinear", antialias=True)[:, 0].numpy()
    return resized


def fit_into_square(pictures: Tensor, side: int) -> tuple[Tensor, tuple[int, int]]:
    """Scales pictures (B, 3, H, W) so that the longer side is `side`, as SAM does, and pads below and at the right.

    Returns:
        (B, 3, S, S), and how many of its rows and columns are picture.
    """
    height, width = pictures.shape[-2:]
    scale = side / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    if (rows, columns) != (height, width):
        pictures = F.interpolate(pictures, size=(rows, columns), mode="bilinear", antialias=True)
    return F.pad(pictures, (0, side - columns, 0, side - rows)), (rows, columns)


def sam_pixel_values(pictures: Tensor, inside: tuple[int, int]) -> Tensor:
    """Pictures (B, 3, S, S) in 0..1 as the network reads them: normalised, and 0 beyond the picture itself."""
    mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (_MEAN, _DEVIATION))
    normalised = (pictures - mean) / deviation
    rows, columns = inside
    normalised[:, :, rows:] = 0.0
    normalised[:, :, :, columns:] = 0.0
    return normalised


def enlarge_logits(logits: Tensor, side: int) -> Tensor:
    """Logits (N, 1, h, w) of SAM's masks over the whole square (N, 1, S, S)."""
    return F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)


_CONTEXT = 2.0
"""Side of the square around a box, by the longer side of the box."""


def squares_around(boxes: Tensor, *, context: float = _CONTEXT) -> Tensor:
    """Squares (N, 3), middle and side in pixels, around boxes (N, 4)."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True).clamp(min=1.0) * context
    return torch.cat([middles, sides], dim=1)


def in_squares(boxes: Tensor, squares: Tensor, side: int) -> Tensor:
    """Boxes (N, 4) in pixels of their squares."""
    corners = squares[:, :2] - squares[:, 2:] / 2
    return (boxes - corners.repeat(1, 2)) * (side / squares[:, 2:])


def cut_squares(pictures: Tensor, squares: Tensor, side: int) -> Tensor:
    """What lies in squares (N, 3) of pictures (N, C, H, W), as (N, C, S, S); beyond a border, the border goes on."""
    shrink = float(squares[:, 2].max()) / (2 * side)
    if shrink > 1:  # so that no pixel is skipped
        height, width = (max(round(size / shrink), 1) for size in pictures.shape[-2:])
        scale = torch.tensor([width / pictures.shape[-1], height / pictures.shape[-2]])
        pictures = F.interpolate(pictures, size=(height, width), mode="bilinear", antialias=True)
        squares = torch.cat([squares[:, :2] * scale, squares[:, 2:] * scale.mean()], dim=1)
    height, width = pictures.shape[-2:]
    half = torch.tensor([width / 2, height / 2])
    theta = torch.zeros(len(squares), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = squares[:, 2] / width, squares[:, 2] / height
    theta[:, :, 2] = squares[:, :2] / half - 1
    grid = F.affine_grid(theta, [len(squares), pictures.shape[1], side, side], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def paste_squares(logits: Tensor, squares: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, 1, h, w) of squares (N, 3) on pictures of a size (N, 1, H, W); far below 0 outside of the squares."""
    height, width = size
    theta = torch.zeros(len(squares), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width / squares[:, 2], height / squares[:, 2]
    theta[:, :, 2] = (torch.tensor([width, height]) - 2 * squares[:, :2]) / squares[:, 2:]
    grid = F.affine_grid(theta, [len(squares), 1, height, width], align_corners=False)
    pasted = F.grid_sample(logits, grid, mode="bilinear", padding_mode="border", align_corners=False)
    outside = (grid.abs() > 1).any(-1)[:, None]
    return pasted.masked_fill(outside, -_SURE)


def small_sam_config() -> SamConfig:
    """A SAM of 0.2 million parameters for the drawn world: 128 pixels instead of 1024, 4 layers instead of 12."""
    side, patch, width = 128, 8, 32
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=64,
            output_channels=width,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=side,
            patch_size=patch,
            window_size=4,
            global_attn_indexes=[1, 3],
            mlp_dim=128,
            num_pos_feats=width // 2,
            scale=1.0,  # SAM's own; the class would take half the width, waves too short to say where a box lies
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=width, image_size=side, patch_size=patch, mask_input_channels=4
        ).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=width,
            mlp_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            iou_head_hidden_dim=width,
            iou_head_depth=2,
        ).to_dict(),
    )


def save_small_sam(model: SamModel, folder: Path) -> None:
    """Writes a folder with its configuration and its weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.close_up = True
    model.config.to_json_file(folder / _CONFIG_NAME, use_diff=True)
    save_weights(model, folder / _WEIGHTS_NAME)


def is_small_sam(folder: Path) -> bool:
    """Whether a folder's SAM sees faces from close up, as those of `save_small_sam` do.

    Raises:
        ModelFolderError: if its configuration is missing or damaged.
    """
    return read_json(folder / _CONFIG_NAME).get("close_up") is True


def load_small_sam(folder: Path) -> CloseUpSamSegmenter:
    """Reads such a folder.

    Raises:
        ModelFolderError: if it is missing or damaged.
    """
    with building_from(folder / _CONFIG_NAME, "a SAM"):
        model = SamModel(SamConfig(**read_json(folder / _CONFIG_NAME)))
    load_weights(model, folder / _WEIGHTS_NAME)
    return CloseUpSamSegmenter(model.eval())
