"""Features of the photos in a latent pool, each photo encoded once and kept in half precision.

Legend: B batch, N identities (padded), P image-encoder tokens, C channels.
"""

import dataclasses

import torch
import torch.nn.functional as F

from ingredients.core.protocols import FaceRecogniser, ImageEncoder
from ingredients.data.latent_pool import LatentPool

PhotoKey = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentityBatch:
    """The people of a batch, as the transformer takes them."""

    id_embeds: torch.Tensor
    """(B, N, recognition + semantic dim): recognition embedding (raw) | image embedding (norm 1)."""

    id_vit_hidden_states: list[torch.Tensor]
    """Five tensors (B, N, P, C)."""

    id_mask: torch.Tensor
    """(B, N) bool, True = a real identity."""


class PhotoEncoder:
    """Encodes photos by the frozen face networks, and remembers what it has encoded."""

    def __init__(self, pool: LatentPool, recogniser: FaceRecogniser, image_encoder: ImageEncoder) -> None:
        self.pool = pool
        self.recogniser = recogniser
        self.image_encoder = image_encoder
        self._features: dict[PhotoKey, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, photo_keys: list[list[PhotoKey]]) -> IdentityBatch:
        """Features of each sample's photos, padded with zeros to the most people of a sample."""
        self._encode_new([key for keys in photo_keys for key in keys if key not in self._features])
        num_identities = max(len(keys) for keys in photo_keys)
        id_mask = torch.tensor([[n < len(keys) for n in range(num_identities)] for keys in photo_keys])
        flat = [self._features[key] for keys in photo_keys for key in keys]
        embeds = torch.stack([embed.float() for embed, _ in flat])
        states = torch.stack([state.float() for _, state in flat])  # (photos, 5, P, C)
        id_embeds = embeds.new_zeros(*id_mask.shape, embeds.shape[-1])
        id_embeds[id_mask] = embeds
        id_states = states.new_zeros(*id_mask.shape, *states.shape[1:])
        id_states[id_mask] = states
        return IdentityBatch(id_embeds=id_embeds, id_vit_hidden_states=list(id_states.unbind(dim=2)), id_mask=id_mask)

    @torch.no_grad()
    def _encode_new(self, keys: list[PhotoKey]) -> None:
        if not keys:
            return
        keys = list(dict.fromkeys(keys))
        crops = torch.stack([self.pool[clip].face_crops[person, photo] for clip, person, photo in keys]).numpy()
        tight = torch.stack([self.pool[clip].recogniser_crops[person, photo] for clip, person, photo in keys]).numpy()
        features = self.image_encoder.encode(crops)
        recognition = self.recogniser.embed(tight)
        embeds = torch.cat([recognition, F.normalize(features.embeds, dim=-1)], dim=-1).half()
        states = torch.stack(list(features.hidden_states), dim=1).half()  # (photos, 5, P, C)
        self._features.update(zip(keys, zip(embeds.unbind(), states.unbind(), strict=True), strict=True))
