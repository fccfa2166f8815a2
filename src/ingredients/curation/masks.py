"""Masks of the faces of a clip, along their tracks: never two people's on one pixel (the paper, 4.1 and Figure 7).

Legend: F frames, N people, H/W pixels.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array, UInt8Array
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.curation.config import MasksConfig
from ingredients.curation.mask_rims import follow_edges
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection
from ingredients.data.mask_files import write_masks
from ingredients.faces.segmenters import (
    BoxSegmenter,
    FaceSegmenter,
    Sam2Segmenter,
    SamSegmenter,
    is_small_sam,
    load_small_sam,
)


class Masks(ClipStep):
    """Masks the faces of a clip's people."""

    name, cost, title = "masks", "network", "Masking faces"
    needs = ("cut", "people")
    version = 2
    measured_by = ("masks.by", "masks.model", "masks.threshold", "masks.rim", "masks.margin")

    @functools.cached_property
    def segmenter(self) -> FaceSegmenter:
        """The network, read when the first clip comes."""
        return open_segmenter(self.config.masks)

    def measure(self, clip: Clip) -> Measured:
        """The files of the masks, in the order of the tracks, and how much of their boxes they cover."""
        tracks: Sequence[Mapping[str, Any]] = clip.results["people"]["tracks"]
        boxes = boxes_of(tracks, len(clip.frames))
        masks = mask_faces(clip.frames, boxes, self.segmenter, self.config.masks)
        names = [f"{clip.file_prefix}-{number}.png" for number in range(len(tracks))]
        for number, name in enumerate(names):
            write_masks(clip.folder / name, masks[:, number])
        return {"face_masks": names, "cover": [round(value, 4) for value in _cover(masks, boxes)]}

    def decide(self, measured: Measured) -> Rejection | None:
        """Leaves out clips in which somebody's mask is hardly there."""
        least = min(measured["cover"], default=1.0)
        if least < self.config.masks.min_cover:
            return self.rejection("a face without a mask", least, self.config.masks.min_cover)
        return None


def boxes_of(tracks: Sequence[Mapping[str, Any]], num_frames: int) -> Float32Array:
    """(F, N, 4) of tracks as they are kept; NaN in frames without the face."""
    boxes = np.full((num_frames, len(tracks), 4), np.nan, np.float32)
    for number, track in enumerate(tracks):
        for frame, box in enumerate(track["boxes"]):
            if box is not None:
                boxes[frame, number] = box
    return boxes


def mask_faces(frames: UInt8Array, boxes: Float32Array, segmenter: FaceSegmenter, config: MasksConfig) -> BoolArray:
    """Masks (F, N, H, W) of faces in boxes (F, N, 4): above the threshold, near the own box, and most sure of all.

    A pixel that two people's masks claim is the one's with the larger logit.
    """
    num_frames, height, width, _ = frames.shape
    masks = np.zeros((num_frames, boxes.shape[1], height, width), bool)
    for frame, image in enumerate(frames):
        there = np.flatnonzero(np.isfinite(boxes[frame]).all(-1))
        if there.size:
            logits = segmenter.segment(image, boxes[frame, there])
            if config.rim_width:
                logits = follow_edges(
                    image, logits, boxes[frame, there], threshold=config.least_logit, rim=config.rim_width
                )
            masks[frame, there] = apart(
                logits, boxes[frame, there], threshold=config.least_logit, margin=config.margin
            )
    return masks


def apart(logits: Float32Array, boxes: Float32Array, *, threshold: float, margin: float) -> BoolArray:
    """Masks (N, H, W) of logits (N, H, W), none of which overlap, each near its own box (N, 4)."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * np.array([-margin, -margin, margin, margin], np.float32)
    near = BoxSegmenter().segment(np.zeros((*logits.shape[1:], 3), np.uint8), np.asarray(boxes + sides, np.float32))
    claims = np.where((near > 0) & (logits > threshold), logits, -np.inf)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    columns, rows = np.arange(logits.shape[2]) + 0.5, np.arange(logits.shape[1]) + 0.5
    distances = np.hypot(columns[None, None] - middles[:, :1, None], rows[None, :, None] - middles[:, 1:, None])
    best = claims.max(axis=0)
    # Of equally sure ones, as boxes are, the nearer face has the pixel.
    distances = np.where(claims == best, distances, np.inf)
    owner = distances.argmin(axis=0)
    return np.asarray((np.arange(len(logits))[:, None, None] == owner) & np.isfinite(claims))


def _cover(masks: BoolArray, boxes: Float32Array) -> list[float]:
    """Pixels of each person's masks by those of the boxes, over the whole clip."""
    sides = np.nan_to_num(boxes[..., 2:] - boxes[..., :2])  # (F, N, 2)
    areas = sides.prod(-1).sum(0)
    covered: list[float] = (masks.sum((0, 2, 3)) / np.maximum(areas, 1.0)).tolist()
    return covered


@functools.lru_cache(maxsize=2)
def open_segmenter(config: MasksConfig) -> FaceSegmenter:
    """Reads what masks faces.

    Raises:
        UserInputError: if its weights are not there.
        ModelFolderError: if they are damaged.
        MissingDependencyError: if its library is not installed.
    """
    if config.by == "box":
        return BoxSegmenter()
    if config.by == "selfie":
        from ingredients.curation.selfie import SelfieSegmenter

        return SelfieSegmenter(config.model)
    if config.by == "sam" and config.model is None:
        from ingredients.model_folders.find_model import small_sam_path

        return load_small_sam(small_sam_path())
    if config.model is None:
        raise UserInputError(
            "SAM 2 needs its weights: name their folder with masks.model=FOLDER, or take masks.by=sam."
        )
    folder = Path(config.model)
    if not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"The folder {folder} of masks.model holds no {config.by.upper()} in transformers' layout: it has no "
            "config.json; download the model anew, such as facebook/sam-vit-base."
        )
    if config.by == "sam" and is_small_sam(folder):
        return load_small_sam(folder)
    import torch
    from transformers import Sam2Model, SamModel

    model_type = SamModel if config.by == "sam" else Sam2Model
    try:
        model = model_type.from_pretrained(folder, local_files_only=True).eval()
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The model of {folder} cannot be read ({reason}); copy it again.") from error
    return SamSegmenter(model) if config.by == "sam" else Sam2Segmenter(model)
