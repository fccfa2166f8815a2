"""Trains the face detectors of the small model and of its judge on frames of scenes and on portraits, at many sizes.

Loss after Zhou et al., "Objects as Points" (2019): a penalty-reduced focal loss on the heatmap, L1 on the geometry.

Legend: B batch, M pictures of a pool, N faces of a picture (padded), H/W pixels, h/w heatmap cells.
"""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config
from ingredients.core.protocols import Face
from ingredients.faces.detector import (
    STRIDE,
    FaceHeatmapNetwork,
    HeatmapFaceDetector,
    encode_geometry,
    intersection_over_union,
)
from ingredients.faces.drawn_face_stack import build_detector
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.faces.weights import save_weights
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage, step_generator
from ingredients.training.small_world.faces.augmentation import disturb, draw_framing
from ingredients.training.small_world.faces.part_run import (
    Pool,
    cached_pool,
    recalibrate_batch_norm,
    trained_part,
)
from ingredients.training.small_world.faces.settings import (
    DetectorTrainingConfig,
)
from ingredients.world import MAX_PEOPLE, render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.identity import Split
from ingredients.world.scenes import ABSENT, HIDDEN, VISIBLE, face_states

PART, JUDGE_PART = "detector", "judge-detector"
WEIGHTS_NAME = "detector.safetensors"
CONFIG_NAME = "config.yaml"

_HELD_OUT_SEED = 1_000_000_000
_CENTRE_SHARE = 0.4
"""Cells whose heatmap target is above this say where the box and the landmarks are."""


class DetectorStage(WholeStepStage):
    """A detector, its two pools and its loss; a `Stage`."""

    def __init__(self, config: DetectorTrainingConfig, folder: Path) -> None:
        self.name = folder.name
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = FaceHeatmapNetwork(config.detector)
        sizes = {"scenes": config.num_scenes, "portraits": config.num_portraits, "size": config.portrait_size}
        key = {"seed": config.trainer.seed, "split": config.split, **sizes}
        self.scenes = cached_pool(folder / "scenes.npz", key, lambda: render_scene_pool(config))
        self.portraits = cached_pool(folder / "portraits.npz", key, lambda: render_portrait_pool(config))

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network."""
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of frames or of portraits."""
        del progress
        self.network.train()
        pixel_values, boxes, landmarks, states = self._batch(generator)
        heatmap_logits, geometry = self.network(pixel_values)
        heatmap_target, geometry_target, owned, counted = make_targets(
            boxes, landmarks, states, (heatmap_logits.shape[1], heatmap_logits.shape[2])
        )
        num_faces = (states == VISIBLE).sum().clamp(min=1)
        heatmap_loss = (focal_loss(heatmap_logits, heatmap_target) * counted).sum() / num_faces
        errors = (geometry.permute(0, 2, 3, 1) - geometry_target).abs().mean(-1)  # (B, h, w)
        geometry_loss = (errors * owned).sum() / owned.sum().clamp(min=1)
        loss = heatmap_loss + self.config.geometry_weight * geometry_loss
        return StepOutput(loss=loss, metrics={"heatmap": heatmap_loss.detach(), "geometry": geometry_loss.detach()})

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Recall, false positives and landmark error on held-out scenes and portraits."""
        generators = (step_generator(self.config.trainer.seed, -1 - index) for index in range(24))
        recalibrate_batch_norm(self.network, (self._batch(generator)[0] for generator in generators))
        detector = HeatmapFaceDetector(copy.deepcopy(self.network), self.config.detector)
        return measure_detector(detector, num_scenes=self.config.num_validation_scenes)

    def export(self, folder: Path) -> None:
        """Writes `detector.safetensors`, in half precision."""
        save_weights(self.network, folder / WEIGHTS_NAME)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (B, 3, H, W), boxes (B, N, 4), landmarks (B, N, 5, 2) and states (B, N)."""
        config = self.config
        portraits = float(torch.rand(1, generator=generator)) < config.portrait_share
        pool = self.portraits if portraits else self.scenes
        batch_size = config.portrait_batch_size if portraits else config.scene_batch_size
        rows = torch.randint(len(pool["images"]), (batch_size,), generator=generator).numpy()
        pixel_values = to_pixel_values(pool["images"][rows])
        boxes, landmarks = torch.from_numpy(pool["boxes"][rows]), torch.from_numpy(pool["landmarks"][rows])
        states = torch.from_numpy(pool["states"][rows])
        height, width = pixel_values.shape[-2:]
        framing = draw_framing(
            batch_size,
            generator,
            zoom=(0.3, 1.5) if portraits else (0.65, 1.5),
            turn=0.12,
            shift=(0.2 if portraits else 0.15) * width,
        )
        pixel_values = disturb(framing.pictures(pixel_values), generator, config.augmentation)
        landmarks = framing.points(landmarks, (height, width))
        boxes = _move_boxes(
            boxes, framing.points(boxes.reshape(*boxes.shape[:2], 2, 2), (height, width)), framing.matrix
        )
        states = _states_in_view(states, landmarks, height, width)
        limits = torch.tensor([width, height, width, height], dtype=torch.float32)
        boxes = torch.minimum(boxes.clamp(min=0.0), limits)
        return pixel_values, boxes, landmarks, states


def _move_boxes(boxes: Tensor, corners: Tensor, matrix: Tensor) -> Tensor:
    """Boxes (B, N, 4) about the moved middles, scaled with the picture; small turns leave them upright."""
    middles = corners.mean(-2)  # (B, N, 2)
    factor = torch.linalg.det(matrix).sqrt()[:, None, None]  # (B, 1, 1)
    half = (boxes[..., 2:] - boxes[..., :2]) / 2 * factor
    return torch.cat([middles - half, middles + half], dim=-1)


def _states_in_view(states: Tensor, landmarks: Tensor, height: int, width: int) -> Tensor:
    limits = torch.tensor([width, height], dtype=torch.float32)
    num_inside = ((landmarks > 0) & (landmarks < limits)).all(-1).sum(-1)  # (B, N)
    states = torch.where((states == VISIBLE) & (num_inside < 4), HIDDEN, states)
    return torch.where((states != ABSENT) & (num_inside == 0), ABSENT, states)


def make_targets(
    boxes: Tensor, landmarks: Tensor, states: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the network should say.

    Args:
        boxes: (B, N, 4) pixels.
        landmarks: (B, N, 5, 2) pixels.
        states: (B, N): `ABSENT`, `VISIBLE` or `HIDDEN`.
        grid: h and w.

    Returns:
        The heatmap (B, h, w) with a bell at each visible face; the geometry (B, h, w, 14) of the face that owns each
        cell; which cells are owned (B, h, w) bool; and which count for the heatmap (B, h, w) bool: those at the
        middle of a hidden face do not.
    """
    height, width = grid
    cell_rows, cell_columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    cells = torch.stack([cell_columns, cell_rows], dim=-1).float()  # (h, w, 2)
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2 / STRIDE - 0.5  # (B, N, 2) in cells
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1.0)  # (B, N, 2)
    visible, hidden = states == VISIBLE, states == HIDDEN
    middles = torch.where(visible[..., None], middles.round(), middles)  # the bell's top is a cell
    spread = (sides.prod(-1).sqrt() / STRIDE * 0.12).clamp(min=0.7)[:, :, None, None]
    distances = (cells - middles[:, :, None, None]).square().sum(-1)  # (B, N, h, w)
    bells = (-distances / (2 * spread.square())).exp()
    visible_bells = bells * visible[:, :, None, None]
    heatmap, owners = visible_bells.max(1)  # (B, h, w)
    owned = heatmap > _CENTRE_SHARE
    covered = (bells * hidden[:, :, None, None]).amax(1) > 0.05
    batch = torch.arange(len(boxes))[:, None, None].expand_as(owners)
    sized_boxes = torch.cat([boxes[..., :2], boxes[..., :2] + sides], dim=-1)  # absent faces have none
    geometry = encode_geometry(
        sized_boxes[batch, owners].flatten(0, 2),
        landmarks[batch, owners].flatten(0, 2),
        cells.expand(len(boxes), -1, -1, -1).flatten(0, 2),
    )
    return heatmap, geometry.reshape(*owners.shape, -1), owned, ~covered | (heatmap == 1.0)


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss of each cell ("Objects as Points", Eq. 1; alpha 2, beta 4).

    Args:
        logits: (B, h, w).
        target: (B, h, w), 1 at face middles, a bell around them.
    """
    probability = logits.sigmoid()
    positive = -F.logsigmoid(logits) * (1 - probability).square()
    negative = -F.logsigmoid(-logits) * probability.square() * (1 - target).pow(4)
    return torch.where(target == 1.0, positive, negative)


def render_scene_pool(config: DetectorTrainingConfig) -> Pool:
    """Frames of training scenes with their faces."""
    return _scene_pool(config.num_scenes, first_seed=config.trainer.seed * config.num_scenes, split=config.split)


def _scene_pool(num_scenes: int, *, first_seed: int, split: Split) -> Pool:
    pictures = []
    for seed in range(first_seed, first_seed + num_scenes):
        spec = sample_scene(seed, split=split, num_people=seed % MAX_PEOPLE + 1)
        scene = render_scene(spec, num_frames=3, fps=3.0)
        states = face_states(scene)
        pictures += [
            _padded(scene.frames[frame], scene.boxes[frame], scene.landmarks[frame], states[frame])
            for frame in range(len(scene.frames))
        ]
    return _stack(pictures)


def render_portrait_pool(config: DetectorTrainingConfig) -> Pool:
    """Portraits of training people with their face."""
    pictures = []
    first_seed = config.trainer.seed * config.num_portraits
    for seed in range(first_seed, first_seed + config.num_portraits):
        portrait = render_portrait(sample_identity(seed, config.split), seed, size=config.portrait_size)
        state = np.array([VISIBLE], np.uint8)
        pictures.append(_padded(portrait.image, portrait.box[None], portrait.landmarks[None], state))
    return _stack(pictures)


_Picture = tuple[UInt8Array, Float32Array, Float32Array, UInt8Array]


def _padded(image: UInt8Array, boxes: Float32Array, landmarks: Float32Array, states: UInt8Array) -> _Picture:
    missing = MAX_PEOPLE - len(boxes)
    unseen = np.isnan(boxes).any(axis=-1)
    boxes = np.nan_to_num(boxes, nan=0.0)
    states = np.where(unseen, np.uint8(ABSENT), states)
    return (
        image,
        np.pad(boxes, ((0, missing), (0, 0))),
        np.pad(landmarks, ((0, missing), (0, 0), (0, 0))),
        np.pad(states, (0, missing), constant_values=ABSENT),
    )


def _stack(pictures: list[_Picture]) -> Pool:
    names = ("images", "boxes", "landmarks", "states")
    return {name: np.stack(parts) for name, parts in zip(names, zip(*pictures, strict=True), strict=True)}


def measure_detector(detector: HeatmapFaceDetector, *, num_scenes: int) -> dict[str, float]:
    """Recall, false positives and landmark error on scenes and portraits of held-out people.

    A face is found where a detection overlaps its box by half. Detections on hidden faces count neither way.
    Landmark errors are in parts of the face's size (square root of its box's area).
    """
    pool = _scene_pool(num_scenes, first_seed=_HELD_OUT_SEED, split="eval")
    detections = detector.detect_frames(pool["images"])
    num_faces = num_found = num_false = 0
    errors: list[float] = []
    for row, faces in enumerate(detections):
        found, false, row_errors = _match(faces, pool["boxes"][row], pool["landmarks"][row], pool["states"][row])
        num_faces += int((pool["states"][row] == VISIBLE).sum())
        num_found, num_false = num_found + found, num_false + false
        errors += row_errors
    metrics = {
        "recall": num_found / max(num_faces, 1),
        "false_positives_per_frame": num_false / len(detections),
        "landmark_error": float(np.mean(errors)) if errors else 1.0,
        "landmark_error_95": float(np.quantile(errors, 0.95)) if errors else 1.0,
    }
    for size in (96, 256, 1024):
        num_portraits = max(num_scenes // 6, 1)
        num_found = 0
        for seed in range(_HELD_OUT_SEED, _HELD_OUT_SEED + num_portraits):
            portrait = render_portrait(sample_identity(seed, "eval"), seed, size=size)
            faces = detector.detect(portrait.image)
            num_found += bool(faces) and intersection_over_union(faces[0].box, portrait.box) > 0.5
        metrics[f"portrait_recall_{size}"] = num_found / num_portraits
    return metrics


def _match(
    faces: list[Face], boxes: Float32Array, landmarks: Float32Array, states: UInt8Array
) -> tuple[int, int, list[float]]:
    """Visible faces found, detections that are no face, and landmark errors, in one picture."""
    left = list(faces)
    errors = []
    for index in np.flatnonzero(states == VISIBLE):
        overlaps = [intersection_over_union(face.box, boxes[index]) for face in left]
        if overlaps and max(overlaps) >= 0.5:
            face = left.pop(int(np.argmax(overlaps)))
            side = float(np.prod(boxes[index, 2:] - boxes[index, :2])) ** 0.5
            errors.append(float(np.linalg.norm(face.landmarks - landmarks[index], axis=-1).mean()) / side)
    hidden = boxes[states == HIDDEN]
    false = [face for face in left if not any(_contains(face.box, box) for box in hidden)]
    return len(errors), len(false), errors


def _contains(outer: Float32Array, inner: Float32Array) -> bool:
    middle = (inner[:2] + inner[2:]) / 2
    return bool((outer[:2] <= middle).all() and (middle <= outer[2:]).all())


def load_trained_detector(output: Path, *, part: str = PART) -> HeatmapFaceDetector:
    """The detector that training left in `output / part`; raises `ModelFolderError` if there is none."""
    folder = trained_part(output, part, WEIGHTS_NAME)
    config = load_config(DetectorTrainingConfig, folder / CONFIG_NAME)
    return build_detector(config.detector, folder / WEIGHTS_NAME)
