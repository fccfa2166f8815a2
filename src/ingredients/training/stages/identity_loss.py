"""Identity loss: whom the recogniser sees in the video that a denoising step predicts.

The diffusion loss weighs all pixels alike, and the few that tell two people apart are cheap to get wrong. Here the
predicted clean frame is decoded, each face is cut out as for recognition, and its embedding is drawn towards that of
the photo: the ID loss of Guo et al. 2024, "PuLID" (arXiv 2404.16022), on one step's prediction instead of a sampled
image. The paper trains without it. The recogniser is the one that conditions the video, never the judge.

Legend: B batch, F latent frames, C channels, h/w latent grid, N identities, M faces that count, D embedding.
"""

import torch
import torch.nn.functional as F

from ingredients.core.protocols import DifferentiableRecogniser
from ingredients.data.latents import decode_pictures
from ingredients.faces.face_cutting import cut_faces
from ingredients.models.backbones import VideoVae


class IdentityLoss:
    """Cosine distance between predicted faces and photos, for samples that are not too noisy.

    Args:
        vae: frozen, as is the recogniser.
        recogniser: whose embeddings are compared.
        max_timestep: noisier samples are left out: their predictions are too blurred to be anybody.
    """

    def __init__(self, vae: VideoVae, recogniser: DifferentiableRecogniser, *, max_timestep: int) -> None:
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
        num_people: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the weighted distances over all people, so that a batch in which few faces count has a small loss.

        Args:
            latents: (B, F, C, h, w), predicted clean latents; only the first frame is looked at.
            landmarks: (B, N, 5, 2) pixels of the first frame, NaN where there is no face in view.
            embeds: (B, N, D), recognition embeddings of the photos.
            timesteps: (B,).
            weight: (B,), of the samples.
            counts: (B,) bool, samples that count at all.
            num_people: the number in the whole batch, of which these samples may be a part.

        Returns:
            The loss, and the cosines (M,) of the faces that counted.
        """
        counts = counts & (timesteps <= self.max_timestep)
        is_seen = counts[:, None] & landmarks.isfinite().all(dim=-1).all(dim=-1)  # (B, N)
        rows = is_seen.any(dim=1).nonzero()[:, 0]
        if len(rows) == 0:
            return latents.new_zeros(()), latents.new_zeros(0)
        frames = decode_pictures(self.vae, latents[rows, :1])[:, 0]
        sample, person = is_seen[rows].nonzero(as_tuple=True)  # (M,) each
        crops = cut_faces(frames[sample], landmarks[rows[sample], person], size=self.recogniser.crop_size)
        seen = self.recogniser.embed_pixel_values(crops)
        cosines = F.cosine_similarity(seen.float(), embeds[rows[sample], person].float(), dim=-1)
        distances = weight[rows[sample]] * (1 - cosines)
        return distances.sum() / num_people, cosines.detach()
