"""Likeness guidance: each step's prediction is led to where the recogniser sees the people of the photos.

A step predicts the clean video x_0. Its latents are decoded, faces are found in them and embedded, each person is
given the face that is most like theirs, and x_0 goes one step up the gradient g of the cosines between them:

    x_0 + s sqrt(1 - alpha_bar_t) g / rms(g)

No network is trained for it and none but the VAE's decoder and the recogniser is differentiated: guidance of the clean
estimate as in He et al. 2024, "Manifold Preserving Guided Diffusion" (arXiv 2311.16424), with the recogniser as the
critic. The paper has none. The noisiest steps show nobody yet, and the last ones would leave the gradient's own
texture in the picture, for no step comes after them that smooths it: both go without. Of a video of many latent frames
each step looks at every second one, or third, in turn: what decoding them costs is most of what guidance costs.

Legend: B videos, f/h/w grid of latents, C channels, H/W pixels, N identities, K faces found, R recognition dim.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import DifferentiableRecogniser, FaceDetector
from ingredients.data.latents import decode_pictures
from ingredients.faces.face_cutting import cut_faces
from ingredients.models.backbones import VideoVae
from ingredients.models.noise_schedule import NoiseSchedule

NOISIEST_TIMESTEP = 800
"""Before it nobody can be seen in the prediction."""

LAST_TIMESTEP = 150
"""After it there is too little noise left for a step to smooth what the gradient adds."""

STEPS_AFTER = 2
"""As many steps must follow and smooth it: where a video has few, the last of them go far, and with one step after it
guidance draws its own texture into the faces (8 steps: a similarity of 0.64, and 0.83 with two after it)."""

MOST_FRAMES = 9
"""Latent frames of a video that a step looks at, at most."""

_ALIVE = 0.01
"""Part of the largest gradient from which on a value counts for its root mean square: most places hold no face."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LikenessGuidance:
    """Guides one call's videos towards its people."""

    vae: VideoVae
    """Decodes the predictions."""

    detector: FaceDetector
    """Finds the faces in them."""

    recogniser: DifferentiableRecogniser
    """Says how much they are like the photos."""

    embeds: torch.Tensor
    """(B, N, R): recognition embeddings of the photos."""

    id_mask: torch.Tensor
    """(B, N): True = a real identity."""

    arithmetic: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """A block in which predictions are decoded."""

    scale: float
    """s: root mean square of a step at full noise, in units of the latents."""

    def __call__(
        self,
        prediction: torch.Tensor,
        latents: torch.Tensor,
        timestep: int,
        schedule: NoiseSchedule,
        *,
        step: int,
        num_steps: int,
    ) -> torch.Tensor:
        """The prediction (B, f, C, h, w) that leads to the guided clean latents.

        Args:
            prediction: (B, f, C, h, w), what the step predicts.
            latents: (B, f, C, h, w), what it was predicted from.
            timestep: the timestep of the step.
            schedule: what predictions mean, and how much noise there is.
            step: which step of the video it is; steps look at its frames in turn.
            num_steps: how many steps it has.
        """
        is_late = timestep < LAST_TIMESTEP or num_steps - 1 - step < STEPS_AFTER
        if is_late or timestep > NOISIEST_TIMESTEP:
            return prediction
        timesteps = torch.full((len(latents),), timestep, device=latents.device)
        clean = schedule.clean_latents(latents.float(), prediction.float(), timesteps)
        noise = float(1 - schedule.signal_share(timesteps)[0] ** 2) ** 0.5
        stride = -(-clean.shape[1] // MOST_FRAMES)
        frames = slice(step % stride, None, stride)
        moved = [
            video + self.scale * noise * self._direction(video, embeds[is_real], frames)
            for video, embeds, is_real in zip(clean, self.embeds, self.id_mask, strict=True)
        ]
        return schedule.prediction_of(latents.float(), torch.stack(moved), timesteps)

    def _direction(self, video: torch.Tensor, embeds: torch.Tensor, frames: slice) -> torch.Tensor:
        """The gradient for clean latents (f, C, h, w) of one video, at root mean square 1 where it is alive.

        Args:
            video: the latents.
            embeds: (N, R) of the photos.
            frames: the latent frames that are looked at; the gradient is 0 in the others.
        """
        if len(embeds) == 0:
            return torch.zeros_like(video)
        with torch.inference_mode(mode=False), torch.enable_grad():  # a caller may have switched either off
            video = video.clone().requires_grad_()
            cosines = self._cosines(video[frames], embeds.clone())
            if len(cosines) == 0:
                return torch.zeros_like(video)
            (gradient,) = torch.autograd.grad(cosines.sum(), video)
        size = gradient.abs()
        alive = size > _ALIVE * size.max()
        return gradient / gradient[alive].square().mean().sqrt() if bool(alive.any()) else gradient

    def _cosines(self, video: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        """The cosine of every face in each of these latent frames with the person that it is taken for."""
        with self.arithmetic():
            pictures = decode_pictures(self.vae, video.to(self.vae.dtype)[None])[0]  # (f, 3, H, W)
        pictures = pictures.float().cpu()  # where the face networks are, whatever the others run on
        wanted = F.normalize(embeds.float().cpu(), dim=-1)
        cosines = [torch.zeros(0)]
        for picture, pixels in zip(pictures, _to_pixels(pictures), strict=True):
            faces = self.detector.detect(pixels)
            if not faces:
                continue
            landmarks = torch.from_numpy(np.stack([face.landmarks for face in faces]))
            crops = cut_faces(picture.expand(len(faces), -1, -1, -1), landmarks, size=self.recogniser.crop_size)
            seen = F.normalize(self.recogniser.embed_pixel_values(crops), dim=-1)  # (K, R)
            likeness = seen @ wanted.T  # (K, N)
            face, person = linear_sum_assignment(-likeness.detach().numpy())
            cosines.append(likeness[face, person])
        return torch.cat(cosines)


def _to_pixels(pictures: torch.Tensor) -> UInt8Array:
    """RGB frames (f, H, W, 3) of pictures (f, 3, H, W) in -1..1."""
    values = (pictures.detach().clamp(-1, 1) + 1) * 127.5
    pixels: UInt8Array = values.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels
