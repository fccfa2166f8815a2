"""Which frames of a video a latent frame, and a frame of the transformer's tokens, stand for.

A causal VAE makes the first frame a latent frame by itself, and each later one of `temporal_ratio` frames; with a
ratio of 1 every frame is a latent frame. A transformer with temporal patches joins `patch_size_t` latent frames to one
frame of tokens; where their number does not fit, copies of the first one are put in front, as CogVideoX 1.5 does, and
are dropped again when the video is denoised.
"""


def front_padding(num_latent_frames: int, patch_size_t: int | None) -> int:
    """Latent frames that are put in front, so that patches of `patch_size_t` fit."""
    return -num_latent_frames % (patch_size_t or 1)


def latent_frames(num_frames: int, temporal_ratio: int) -> list[range]:
    """The frames of each latent frame.

    Raises:
        ValueError: if the VAE makes no such number of frames.
    """
    if num_frames < 1 or (num_frames - 1) % temporal_ratio:
        raise ValueError(f"A VAE of temporal ratio {temporal_ratio} has no {num_frames} frames.")
    later = range(1, num_frames, temporal_ratio)
    return [range(1), *(range(first, first + temporal_ratio) for first in later)]


def token_frames(num_frames: int, *, temporal_ratio: int, patch_size_t: int | None = None) -> list[range]:
    """The frames of each frame of tokens; padding stands for no frame of the video.

    Raises:
        ValueError: if the VAE makes no such number of frames.
    """
    latents = latent_frames(num_frames, temporal_ratio)
    patch = patch_size_t or 1
    padding = front_padding(len(latents), patch)
    firsts = range(-padding, len(latents), patch)
    return [range(latents[max(first, 0)].start, latents[first + patch - 1].stop) for first in firsts]
