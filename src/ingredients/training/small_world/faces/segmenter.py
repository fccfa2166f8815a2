"""Trains a small SAM on the drawn world: from a box that a detector could give to the face's visible pixels.

Loss as SAM's own: cross-entropy and dice on the mask, and the square error of its guess of the overlap.

Legend: B batch, N faces, S side of SAM's square, H/W pixels of a picture.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import SamModel

from ingredients.core.arrays import BoolArray
from ingredients.faces.segmenters import (
    CloseUpSamSegmenter,
    FaceSegmenter,
    cut_squares,
    enlarge_logits,
    in_squares,
    sam_pixel_values,
    save_small_sam,
    small_sam_config,
    squares_around,
)
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.faces.augmentation import disturb
from ingredients.training.small_world.faces.part_run import Pool, cached_pool
from ingredients.training.small_world.faces.settings import SegmenterTrainingConfig
from ingredients.world import MAX_PEOPLE, STYLES, render_scene, sample_scene
from ingredients.world.identity import Split
from ingredients.world.portraits import mask_box

PART = "sam"
MODEL_FOLDER = "segmenter"

_SHAPES = {"landscape": (85, 128), "portrait": (128, 85), "square": (128, 128)}
_HELD_OUT_SEED = 1_000_000_000
_MIN_PIXELS = 30
"""Smallest face that is asked for, in pixels of the scene."""

THRESHOLDS = (-4.0, -2.0, 0.0, 2.0)


class SegmenterStage(WholeStepStage):
    """A small SAM, its pool and its loss; a `Stage`."""

    name = PART

    def __init__(self, config: SegmenterTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = SamModel(small_sam_config())
        self.side = int(self.network.config.vision_config.image_size)
        key = {"seed": config.trainer.seed, "scenes": config.num_scenes}
        self.pool = cached_pool(folder / "masks.npz", key, lambda: render_mask_pool(config))

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network but what no box reaches, and the waves of positions, which are drawn once."""
        unused = (
            "prompt_encoder.mask_embed",
            "prompt_encoder.point_embed.0",
            "prompt_encoder.point_embed.1",
            "shared_image_embedding",
            "prompt_encoder.shared_embedding",
        )
        return [
            ParameterGroup(
                parameters={
                    name: parameter
                    for name, parameter in self.network.named_parameters()
                    if parameter.requires_grad and not name.startswith(unused)
                }
            )
        ]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of pictures."""
        del progress
        self.network.train()
        pixel_values, boxes, masks = self._batch(generator)
        output = self.network(pixel_values=pixel_values, input_boxes=boxes[:, None], multimask_output=False)
        logits = enlarge_logits(output.pred_masks[:, 0], self.side)[:, 0]  # (B, S, S)
        guess = output.iou_scores.flatten()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, masks)
        probability = logits.sigmoid()
        dice = 1 - (2 * (probability * masks).sum((1, 2)) + 1) / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
        with torch.no_grad():
            overlap = intersection_over_union(logits > 0, masks > 0.5)
        loss = 10 * cross_entropy + dice.mean() + (guess - overlap).square().mean()
        return StepOutput(
            loss=loss, metrics={"cross_entropy": cross_entropy.detach(), "intersection_over_union": overlap.mean()}
        )

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Overlap with the true masks on held-out scenes, by threshold."""
        self.network.eval()
        return measure_segmenter(CloseUpSamSegmenter(self.network), num_scenes=self.config.num_validation_scenes)

    def export(self, folder: Path) -> None:
        """Writes the folder `segmenter/`, in half precision."""
        save_small_sam(self.network, folder / MODEL_FOLDER)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Close-ups (B, 3, S, S), boxes (B, 4) and masks (B, S, S), each of one face."""
        config = self.config
        shape = list(_SHAPES)[int(torch.randint(len(_SHAPES), (1,), generator=generator))]
        images, packed = self.pool[f"{shape}_images"], self.pool[f"{shape}_masks"]
        rows = torch.randint(len(images), (config.batch_size,), generator=generator).numpy()
        width = images.shape[2]
        pictures = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float() / 255
        masks = torch.from_numpy(np.unpackbits(packed[rows], axis=-1, count=width)).float()  # (B, 4, H, W)
        chance = torch.rand((config.batch_size, MAX_PEOPLE), generator=generator)
        chosen = (chance + (masks.sum((2, 3)) >= _MIN_PIXELS)).argmax(1)  # a face that can be seen, if there is one
        masks = masks[torch.arange(config.batch_size), chosen]  # (B, H, W)
        boxes = torch.stack([_box(mask) for mask in masks])
        sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        boxes = boxes + torch.randn(boxes.shape, generator=generator) * config.box_error * sizes
        squares = squares_around(boxes)
        # All of a batch at once; the picture and its mask are looked at from the same place.
        seen = cut_squares(torch.cat([pictures, masks[:, None]], dim=1), squares, self.side)
        close_ups = disturb(seen[:, :3] * 2 - 1, generator, config.augmentation)
        pixel_values = sam_pixel_values((close_ups + 1) / 2, (self.side, self.side))
        return pixel_values, in_squares(boxes, squares, self.side), (seen[:, 3] > 0.5).float()


def _box(mask: Tensor) -> Tensor:
    """(4,): around the pixels of a mask (H, W); of an empty one, the whole picture."""
    box = mask_box(mask.numpy() > 0.5)
    if np.isnan(box).any():
        box = np.array([0, 0, mask.shape[1], mask.shape[0]], np.float32)
    return torch.from_numpy(np.asarray(box, np.float32))


def intersection_over_union(found: Tensor, true: Tensor) -> Tensor:
    """(N,) of masks (N, H, W) bool."""
    either = (found | true).sum((1, 2)).clamp(min=1)
    return (found & true).sum((1, 2)) / either


def render_mask_pool(config: SegmenterTrainingConfig) -> Pool:
    """Frames of training scenes and the masks of their faces, packed by eights, for each shape of picture."""
    pool: Pool = {}
    first = config.trainer.seed * config.num_scenes
    for offset, shape in enumerate(_SHAPES):
        seeds = range(first + offset, first + config.num_scenes, len(_SHAPES))
        drawn = [_faces(seed, "train", shape) for seed in seeds]
        pool[f"{shape}_images"] = np.concatenate([images for images, _ in drawn])
        pool[f"{shape}_masks"] = np.packbits(np.concatenate([masks for _, masks in drawn]), axis=-1)
    return pool


def _faces(seed: int, split: Split, shape: str) -> tuple[np.ndarray, BoolArray]:
    """Three frames (3, H, W, 3) of a scene and the masks (3, 4, H, W) of its faces."""
    height, width = _SHAPES[shape]
    style = STYLES["each-own" if seed % 2 else "together"]
    spec = sample_scene(seed, split=split, style=style)
    scene = render_scene(spec, height=height, width=width, num_frames=3, fps=2.0)
    missing = MAX_PEOPLE - len(spec.people)
    return scene.frames, np.pad(scene.face_masks, ((0, 0), (0, missing), (0, 0), (0, 0)))


@torch.no_grad()
def measure_segmenter(segmenter: FaceSegmenter, *, num_scenes: int) -> dict[str, float]:
    """Mean overlap of masks and truth on scenes of people whom no training saw, by threshold, and of the worst tenth.

    The prompts are the boxes around the true masks.
    """
    overlaps: dict[float, list[float]] = {threshold: [] for threshold in THRESHOLDS}
    for seed in range(_HELD_OUT_SEED, _HELD_OUT_SEED + num_scenes):
        images, masks = _faces(seed, "eval", list(_SHAPES)[seed % len(_SHAPES)])
        for image, of_frame in zip(images[:1], masks[:1], strict=True):
            true = of_frame[of_frame.sum((1, 2)) >= _MIN_PIXELS]
            boxes = np.stack([mask_box(mask) for mask in true]).astype(np.float32) if len(true) else np.zeros((0, 4))
            logits = torch.from_numpy(segmenter.segment(image, np.asarray(boxes, np.float32)))
            for threshold, found in overlaps.items():
                found += intersection_over_union(logits > threshold, torch.from_numpy(true)).tolist()
    metrics = {
        f"intersection_over_union_at_{threshold:g}": float(np.mean(found)) for threshold, found in overlaps.items()
    }
    metrics["worst_tenth_at_0"] = float(np.quantile(overlaps[0.0], 0.1))
    return metrics
