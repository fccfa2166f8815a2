"""Trains the small model's 3D causal VAE on drawn frames and clips.

Legend: B batch, F frames, H/W pixels, C channels.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import UInt8Array
from ingredients.data.latents import video_to_pixels
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.canvas import compose_canvas
from ingredients.models.cogvideox_vae import TimeTaps, keep_present_frame_taps, single_frame_convolutions
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.folders import part_folder
from ingredients.training.small_world.settings import VaeConfig
from ingredients.world import STYLES, Split, render_portrait, render_scene, sample_scene


def build_vae(config: VaeConfig) -> AutoencoderKLCogVideoX:
    """The small VAE, initialised at random."""
    num_blocks = len(config.block_out_channels)
    vae = AutoencoderKLCogVideoX(
        block_out_channels=config.block_out_channels,
        down_block_types=("CogVideoXDownBlock3D",) * num_blocks,
        up_block_types=("CogVideoXUpBlock3D",) * num_blocks,
        latent_channels=config.latent_channels,
        layers_per_block=1,
        norm_num_groups=config.norm_num_groups,
        temporal_compression_ratio=config.temporal_compression_ratio,
        sample_height=config.height,
        sample_width=config.width,
        scaling_factor=1.0,
    )
    keep_present_frame_taps(vae)
    with torch.no_grad():  # start with little posterior noise, so that the first steps have something to decode
        vae.encoder.conv_out.conv.bias[config.latent_channels :] = -4.0
    return vae


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipPool:
    """Clips of one length with the masks of their faces."""

    frames: UInt8Array
    """(B, F, H, W, 3)."""

    faces: np.ndarray
    """(B, F, H, W) bool."""


def draw_clips(config: VaeConfig, num_clips: int, *, num_frames: int, first_seed: int, split: Split) -> ClipPool:
    """Draws scenes with the seeds from `first_seed` on."""
    scenes = [
        render_scene(
            sample_scene(seed, split=split, style=STYLES[config.style]),
            height=config.height,
            width=config.width,
            num_frames=num_frames,
        )
        for seed in range(first_seed, first_seed + num_clips)
    ]
    return ClipPool(
        frames=np.stack([scene.frames for scene in scenes]),
        faces=np.stack([scene.face_masks.any(axis=1) for scene in scenes]),
    )


def draw_canvases(config: VaeConfig, num_canvases: int, *, first_seed: int, split: Split) -> ClipPool:
    """Draws canvases of aligned portraits, the other kind of picture that the VAE encodes."""
    canvases = []
    for seed in range(first_seed, first_seed + num_canvases):
        people = sample_scene(seed, split=split).people
        portraits = [render_portrait(person, seed + 7 * slot) for slot, person in enumerate(people)]
        crops = [crop_ffhq(portrait.image, portrait.landmarks, size=config.height) for portrait in portraits]
        canvases.append(compose_canvas(crops, config.height, config.width))
    frames = np.stack(canvases)[:, None]  # (B, 1, H, W, 3)
    return ClipPool(frames=frames, faces=np.asarray((frames < 250).any(axis=-1)))


def vae_reconstruction_loss(
    reconstruction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, *, edge_weight: float
) -> torch.Tensor:
    """Weighted L1 + MSE, and the L1 of the differences between neighbouring pixels.

    Args:
        reconstruction: (B, C, F, H, W) in [-1, 1].
        target: as `reconstruction`.
        weight: (B, 1, F, H, W), normalised to mean 1 inside.
        edge_weight: weight of the differences.
    """
    weight = weight / weight.mean()
    error = reconstruction - target
    loss = (weight * (error.abs() + error.square())).mean()
    across = error.diff(dim=-1).abs() * weight[..., 1:]
    down = error.diff(dim=-2).abs() * weight[..., 1:, :]
    return loss + edge_weight * (across.mean() + down.mean())


def psnr(reconstruction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of images in [-1, 1], over the pixels of `mask` or all: a scalar there."""
    error = ((reconstruction.clamp(-1, 1) - target) / 2).square()
    if mask is not None:
        error = error[mask.expand_as(error)]
    return -10 * error.mean().log10()


def change_kept(reconstruction: torch.Tensor, target: torch.Tensor, config: VaeConfig) -> list[float]:
    """Change from frame to frame against the truth's, by the transition's place in a latent frame; 1 keeps all.

    The first frame is a latent frame by itself, each later one stands for `temporal_compression_ratio` frames: the
    first share is of transitions from one latent frame to the next, the others lie within one.

    Args:
        reconstruction: (B, 3, F, H, W) in [-1, 1].
        target: as `reconstruction`.
        config: says how many frames a latent frame stands for.
    """
    got, truth = (each.diff(dim=2).abs().mean(dim=(0, 1, 3, 4)) for each in (reconstruction.clamp(-1, 1), target))
    ratio = config.temporal_compression_ratio
    return [float(got[place::ratio].sum() / truth[place::ratio].sum()) for place in range(ratio)]


class VaeStage(WholeStepStage):
    """Reconstruction of drawn pictures: single frames for `image_share` of the run, then clips."""

    name = "vae"

    def __init__(self, config: VaeConfig, vae: AutoencoderKLCogVideoX | None = None) -> None:
        torch.manual_seed(config.trainer.seed)
        self.config = config
        self.vae = vae or build_vae(config)
        num_canvases = config.num_pool_images // 4
        self.images = [
            draw_clips(config, config.num_pool_images - num_canvases, num_frames=1, first_seed=0, split="train"),
            draw_canvases(config, num_canvases, first_seed=10_000_000, split="train"),
        ]
        self.image_share = 1.0 if config.temporal_compression_ratio == 1 else config.image_share
        self.clips = None
        if self.image_share < 1.0:
            self.clips = draw_clips(
                config, config.num_pool_clips, num_frames=config.num_frames, first_seed=20_000_000, split="train"
            )

    def to(self, device: torch.device) -> None:
        """Moves the VAE; pictures follow crop by crop."""
        self.device = device
        self.vae.to(device)

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the VAE, or its decoder."""
        if not self.config.train_encoder:
            self.vae.encoder.requires_grad_(False)
        trained = {name: each for name, each in self.vae.named_parameters() if each.requires_grad}
        return [ParameterGroup(parameters=trained)]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One step on crops, of single frames or of clips."""
        if self.clips is None or progress < self.image_share:
            kind = 0 if float(torch.rand((), generator=generator)) < 0.75 else 1
            pixels, weight = self._crops(self.images[kind], self.config.image_batch_size, generator)
            taps: TimeTaps = "last" if self.config.train_encoder else "sum"
            with single_frame_convolutions(self.vae, taps=taps):
                return self._loss(pixels, weight, generator)
        pixels, weight = self._crops(self.clips, self.config.clip_batch_size, generator)
        return self._loss(pixels, weight, generator)

    def _crops(self, clips: ClipPool, num_crops: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        size = self.config.crop_size
        num_clips, _, height, width = clips.faces.shape

        def draw(high: int) -> list[int]:
            return torch.randint(high, (num_crops,), generator=generator).tolist()

        corners = list(zip(draw(num_clips), draw(height - size + 1), draw(width - size + 1), draw(2), strict=True))
        frames = np.stack(
            [clips.frames[i, :, y : y + size, x : x + size][:, :, :: 1 - 2 * f] for i, y, x, f in corners]
        )
        faces = np.stack([clips.faces[i, :, y : y + size, x : x + size][:, :, :: 1 - 2 * f] for i, y, x, f in corners])
        weight = torch.from_numpy(np.where(faces, self.config.face_weight, 1.0).astype(np.float32))
        return video_to_pixels(frames).to(self.device), weight.unsqueeze(1).to(self.device)

    def _loss(self, pixels: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> StepOutput:
        posterior = self.vae.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(self.device)
        latents = posterior.mean + posterior.std * noise
        reconstruction = self.vae.decode(latents).sample
        loss = vae_reconstruction_loss(reconstruction, pixels, weight, edge_weight=self.config.edge_weight)
        divergence = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        metrics = {
            "psnr": psnr(reconstruction.detach(), pixels),
            "divergence": divergence.detach(),
            "posterior_std": posterior.std.detach().mean(),
        }
        return StepOutput(loss=loss + self.config.kl_weight * divergence, metrics=metrics)

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """PSNR on held-out people: clips, their faces, and canvases; sets the scaling factor on the way."""
        self.vae.eval()
        clips = draw_clips(
            self.config,
            self.config.num_validation_clips,
            num_frames=self.config.num_frames,
            first_seed=0,
            split="eval",
        )
        canvases = draw_canvases(self.config, self.config.num_validation_clips, first_seed=0, split="eval")
        pixels, canvas_pixels = video_to_pixels(clips.frames), video_to_pixels(canvases.frames)
        coded = [self._code(clip.to(self.device)) for clip in torch.split(pixels, 4)]
        latents, reconstruction = (torch.cat(parts).cpu() for parts in zip(*coded, strict=True))
        canvas_latents, canvas_reconstruction = (each.cpu() for each in self._code(canvas_pixels.to(self.device)))
        if self.config.train_encoder:
            self.vae.register_to_config(scaling_factor=round(float(1 / latents.std()), 5))
        self.vae.train()
        faces = torch.from_numpy(clips.faces).unsqueeze(1)
        return {
            "psnr": float(psnr(reconstruction, pixels)),
            "psnr_faces": float(psnr(reconstruction, pixels, faces)),
            "psnr_canvas": float(psnr(canvas_reconstruction, canvas_pixels)),
            "psnr_worst_frame": min(
                float(psnr(reconstruction[:, :, f], pixels[:, :, f])) for f in range(pixels.shape[2])
            ),
            **{
                f"motion_{index + 1}": share
                for index, share in enumerate(change_kept(reconstruction, pixels, self.config))
            },
            "scaling_factor": float(self.vae.config.scaling_factor),
            "latent_mean": float(latents.mean()),
            "canvas_latent_std": float(canvas_latents.std()),
        }

    def _code(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (B, C, f, h, w) and reconstruction (B, 3, F, H, W) of clips."""
        if self.config.temporal_compression_ratio > 1 and pixels.shape[2] > 1:
            latents = self.vae.encode(pixels).latent_dist.mode()
            return latents, self.vae.decode(latents).sample
        pictures = pixels.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (B F, 3, 1, H, W)
        with single_frame_convolutions(self.vae):
            latents = self.vae.encode(pictures).latent_dist.mode()
            decoded = self.vae.decode(latents).sample
        shape = pixels.shape[0], pixels.shape[2]
        coded = (torch.unflatten(each.squeeze(2), 0, shape).transpose(1, 2) for each in (latents, decoded))
        latents, decoded = coded
        return latents, decoded

    def export(self, folder: Path) -> None:
        """Writes diffusers' model folder to `folder / "vae"`."""
        self.vae.save_pretrained(folder / "vae")


def decoder_stage(config: VaeConfig, folder: Path) -> VaeStage:
    """The decoder of the trained VAE, further: what the encoder gives stays as it is.

    So this can run beside the stages that learn from encoded clips.
    """
    vae = AutoencoderKLCogVideoX.from_pretrained(part_folder(folder.parent, "vae", "vae"))
    return VaeStage(config, vae)
