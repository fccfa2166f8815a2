"""Batches of encoded clips, with the randomness of training: slot order, choice of photo, dropped captions.

Legend: B batch, F latent frames, C channels, h/w latent grid, N identities (padded), S side of a crop, L video tokens.
"""

import dataclasses

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ingredients.core.arrays import UInt8Array
from ingredients.data.latent_pool import EncodedClip, LatentPool
from ingredients.data.routing_targets import BACKGROUND, RoutingSupervision
from ingredients.faces.canvas import compose_canvas


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipBatch:
    """Clips and captions: all that the bases need."""

    latents: torch.Tensor
    """(B, F, C, h, w) float32."""

    captions: list[str]
    """B sentences, empty where the caption was dropped."""

    routing_targets: torch.Tensor
    """(B, L) long, `BACKGROUND` off the faces; identities counted in the order of the photos."""

    nearest_targets: torch.Tensor
    """(B, L) long, where background tokens take the nearest person."""

    photo_keys: list[list[tuple[int, int, int]]]
    """For each sample and identity: clip, person and photo, in the order of the photos."""

    face_landmarks: torch.Tensor
    """(B, N, 5, 2) pixels of the first frame, in the order of the photos; NaN for a face that cannot be seen, and for
    padding."""

    canvases: UInt8Array | None
    """(B, H, W, 3), None unless asked for."""


def draw_batch(
    pool: LatentPool,
    batch_size: int,
    generator: torch.Generator,
    *,
    caption_drop: float,
    with_canvases: bool,
    canvas_size: tuple[int, int] = (64, 96),
    supervision: RoutingSupervision = "segment",
    num_latent_frames: int | None = None,
) -> ClipBatch:
    """Draws clips, and for each a random order of its people and one of the photos of each.

    Args:
        pool: what to draw from.
        batch_size: B.
        generator: decides everything.
        caption_drop: share of the captions that become empty, for guidance.
        with_canvases: whether to compose the canvases.
        canvas_size: height and width of the video in pixels.
        supervision: whether routing targets come from the faces' masks or their boxes.
        num_latent_frames: keeps the first ones only; 1 trains on images.
    """
    indices = torch.randint(len(pool), (batch_size,), generator=generator).tolist()
    is_dropped = (torch.rand(batch_size, generator=generator) < caption_drop).tolist()
    latents, routing_targets, nearest_targets, photo_keys, face_landmarks, canvases = [], [], [], [], [], []
    for index in indices:
        clip = pool[index]
        num_people, num_photos = clip.face_crops.shape[:2]
        order = torch.randperm(num_people, generator=generator)
        photos = torch.randint(num_photos, (num_people,), generator=generator)
        latents.append(clip.latents[:num_latent_frames].float())
        num_tokens = clip.routing_targets.shape[0] // clip.latents.shape[0] * latents[-1].shape[0]
        targets = clip.routing_targets if supervision == "segment" else clip.box_targets
        routing_targets.append(_reorder(targets[:num_tokens], order))
        nearest_targets.append(_reorder(clip.nearest_targets[:num_tokens], order))
        photo_keys.append([(index, int(person), int(photo)) for person, photo in zip(order, photos, strict=True)])
        face_landmarks.append(clip.face_landmarks[order])
        if with_canvases:
            canvases.append(compose_canvas(face_crops(clip, photo_keys[-1]), *canvas_size))
    return ClipBatch(
        latents=torch.stack(latents),
        captions=["" if drop else pool[index].caption for index, drop in zip(indices, is_dropped, strict=True)],
        routing_targets=torch.stack(routing_targets),
        nearest_targets=torch.stack(nearest_targets),
        photo_keys=photo_keys,
        face_landmarks=pad_sequence(face_landmarks, batch_first=True, padding_value=torch.nan),
        canvases=np.stack(canvases) if canvases else None,
    )


def face_crops(clip: EncodedClip, keys: list[tuple[int, int, int]]) -> UInt8Array:
    """The photos (N, S, S, 3) of a clip's people that `keys` name, in their order."""
    crops: UInt8Array = torch.stack([clip.face_crops[person, photo] for _, person, photo in keys]).numpy()
    return crops


def _reorder(targets: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Renames identities: person `order[n]` of the clip becomes identity n."""
    new_index = torch.argsort(order)
    return torch.where(targets == BACKGROUND, BACKGROUND, new_index[targets.long().clamp(min=0)])
