"""Identity loss: whom the recogniser sees in the video that a denoising step predicts.

The diffusion loss weighs all pixels alike, and the few that tell two people apart are cheap to get wrong. Here the
predicted clean frame is decoded, each face is cut out as for recognition, and its embedding is drawn towards that of
the photo: the ID loss of Guo et al. 2024, "PuLID" (arXiv 2404.16022), on one step's prediction instead of a sampled
image. The paper trains without it. The recogniser is the one that conditions the video, never the judge.

Legend: B batch, F latent frames, C channels, h/w latent grid, H/W pixels, N identities, M faces that count,
S side of a crop, D embedding.
"""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.vae_shortcuts import single_frame_convolutions
from ingredients.faces.alignment import ARCFACE_TEMPLATE, similarity_transform
from ingredients.faces.recogniser import ArcFaceRecogniser


class IdentityLoss:
    """Cosine distance between predicted faces and photos, for samples that are not too noisy.

    Args:
        vae: frozen, as is the recogniser.
        recogniser: whose embeddings are compared.
        max_timestep: noisier samples are left out: their predictions are too blurred to be anybody.
    """

    def __init__(self, vae: AutoencoderKLCogVideoX, recogniser: ArcFaceRecogniser, *, max_timestep: int) -> None:
        self.vae = vae
        self.recogniser = recogniser
        self.max_timestep = max_timestep

    def __call__(
        self,
        latents: torch.Tensor,
        landmarks: torch.Tensor,
        embeds: torch.Tensor,
        *,
        timesteps: torch.Tensor,
        weight: torch.Tensor,
        counts: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the weighted distances over B N, so that a batch in which few faces count has a small loss.

        Args:
            latents: (B, F, C, h, w), predicted clean latents; only the first frame is looked at.
            landmarks: (B, N, 5, 2) pixels of the first frame, NaN where there is no face in view.
            embeds: (B, N, D), recognition embeddings of the photos.
            timesteps: (B,).
            weight: (B,), of the samples.
            counts: (B,) bool, samples that count at all.

        Returns:
            The loss, and the cosines (M,) of the faces that counted.
        """
        counts = counts & (timesteps <= self.max_timestep)
        is_seen = counts[:, None] & landmarks.isfinite().all(dim=-1).all(dim=-1)  # (B, N)
        rows = is_seen.any(dim=1).nonzero()[:, 0]
        if len(rows) == 0:
            return latents.new_zeros(()), latents.new_zeros(0)
        frames = decode_first_frames(self.vae, latents[rows])
        sample, person = is_seen[rows].nonzero(as_tuple=True)  # (M,) each
        crops = cut_faces(frames[sample], landmarks[rows[sample], person], size=self.recogniser.crop_size)
        seen = self.recogniser.embed_pixel_values(crops)
        cosines = F.cosine_similarity(seen.float(), embeds[rows[sample], person].float(), dim=-1)
        distances = weight[rows[sample]] * (1 - cosines)
        return distances.sum() / is_seen.numel(), cosines.detach()


def decode_first_frames(vae: AutoencoderKLCogVideoX, latents: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 3, H, W) in -1..1 of the first frames of scaled latents (B, F, C, h, w); gradients flow.

    Each is decoded as a picture by itself. In a clip the convolutions of the first frame see nothing else either, but
    the normalisations take their statistics over all frames that are decoded together.
    """
    first = latents[:, :1].transpose(1, 2) / vae.config.scaling_factor  # (B, C, 1, h, w)
    with single_frame_convolutions(vae):
        pixels: torch.Tensor = vae.decode(first).sample
    return pixels[:, :, 0]


def cut_faces(frames: torch.Tensor, landmarks: torch.Tensor, *, size: int) -> torch.Tensor:
    """The crops (M, 3, S, S) that the recogniser reads, cut so that gradients flow; what lies outside is grey.

    Args:
        frames: (M, 3, H, W).
        landmarks: (M, 5, 2) continuous pixels, x then y.
        size: S.
    """
    height, width = frames.shape[-2:]
    template = np.asarray(ARCFACE_TEMPLATE, np.float32) * np.float32(size)
    to_crop = torch.from_numpy(np.stack([similarity_transform(points, template) for points in landmarks.numpy()]))
    linear = torch.linalg.inv(to_crop[..., :2])  # (M, 2, 2), from pixels of the crop to pixels of the frame
    middles = torch.arange(size) + 0.5
    points = torch.stack([middles.expand(size, size), middles[:, None].expand(size, size)], dim=-1)  # (S, S, 2)
    # Sums of products, for autocast would take a matrix product to bfloat16, half a pixel off.
    from_offset = points - to_crop[:, None, None, :, 2]  # (M, S, S, 2)
    positions = (linear[:, None, None] * from_offset[..., None, :]).sum(dim=-1)
    grid = positions * 2 / torch.tensor([width, height]) - 1  # (M, S, S, 2)
    return F.grid_sample(frames.float(), grid.to(frames.device), mode="bilinear", align_corners=False)
