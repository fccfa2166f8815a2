"""Training examples from the drawn world: a clip, its truth, and separate photos of the people in it.

Legend: F frames, N identities, R photos of one identity, H/W pixels, S side of a crop, L video tokens.
"""

import dataclasses

import numpy as np

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.data.routing_targets import (
    boxes_to_masks,
    decide_routing_targets,
    nearest_person_targets,
    token_coverage,
)
from ingredients.faces.alignment import crop_arcface, crop_ffhq
from ingredients.world import Identity, Split, render_portrait, render_scene, sample_scene
from ingredients.world.visibility import VISIBLE, face_states


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorldClipConfig:
    """Size of the clips and of what goes with them. Part of a latent pool's fingerprint."""

    height: int = 64
    """Pixels."""

    width: int = 96
    """Pixels."""

    num_frames: int = 9
    """Frames of a clip, 8k + 1."""

    grid: tuple[int, int] = (8, 12)
    """Rows and columns of video tokens."""

    crop_size: int = 64
    """Side of the face crops."""

    portrait_size: int = 128
    """Side of the photos that the crops are cut from."""

    num_references: int = 2
    """Photos of each identity, with other poses, expressions and light than the clip's."""

    landmark_jitter: float = 0.01
    """Standard deviation of the error put on a photo's landmarks, in parts of its side: a detector errs as well."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorldClip:
    """One drawn example."""

    frames: UInt8Array
    """(F, H, W, 3)."""

    caption: str
    """What happens."""

    face_crops: UInt8Array
    """(N, R, S, S, 3), cut for the image encoder and the canvas."""

    recogniser_crops: UInt8Array
    """(N, R, S, S, 3), cut for the recogniser."""

    face_landmarks: Float32Array
    """(N, 5, 2) pixels of the first frame; NaN where the face cannot be seen."""

    routing_targets: Int64Array
    """(L,), from masks of the visible faces."""

    box_targets: Int64Array
    """(L,), from the faces' boxes."""

    nearest_targets: Int64Array
    """(L,), where background tokens take the nearest person."""


def draw_world_clip(seed: int, config: WorldClipConfig, *, split: Split = "train") -> WorldClip:
    """Draws example number `seed`: the scene, and for each person photos that no frame of it shows."""
    spec = sample_scene(seed, split=split)
    scene = render_scene(spec, height=config.height, width=config.width, num_frames=config.num_frames)
    rng = np.random.default_rng([abs(seed), int(seed < 0), 23])
    crops = [[_draw_reference(person, config, rng) for _ in range(config.num_references)] for person in spec.people]
    coverage = token_coverage(scene.face_masks, grid=config.grid)
    routing_targets = decide_routing_targets(coverage)
    box_masks = boxes_to_masks(scene.boxes, height=config.height, width=config.width)
    in_view = face_states(scene)[0] == VISIBLE  # (N,)
    face_centres: Float32Array = scene.landmarks.mean(axis=2) / np.array([config.width, config.height], np.float32)
    return WorldClip(
        frames=scene.frames,
        caption=scene.caption,
        face_crops=np.stack([np.stack([face for face, _ in photos]) for photos in crops]),
        recogniser_crops=np.stack([np.stack([tight for _, tight in photos]) for photos in crops]),
        face_landmarks=np.where(in_view[:, None, None], scene.landmarks[0], np.float32(np.nan)),
        routing_targets=routing_targets,
        box_targets=decide_routing_targets(token_coverage(box_masks, grid=config.grid)),
        nearest_targets=nearest_person_targets(
            routing_targets, token_coverage(scene.person_masks, grid=config.grid), face_centres
        ),
    )


def _draw_reference(
    person: Identity, config: WorldClipConfig, rng: np.random.Generator
) -> tuple[UInt8Array, UInt8Array]:
    portrait = render_portrait(person, int(rng.integers(2**40)), size=config.portrait_size)
    error = rng.normal(0, config.landmark_jitter * config.portrait_size, (5, 2)).astype(np.float32)
    landmarks = portrait.landmarks + error
    return (
        crop_ffhq(portrait.image, landmarks, size=config.crop_size),
        crop_arcface(portrait.image, landmarks, size=config.crop_size),
    )
