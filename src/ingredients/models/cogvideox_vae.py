"""An exact shortcut for CogVideoX's causal VAE on single frames.

Legend: B batch, F latent frames, C channels, h/w latent grid, H/W pixels.

Every causal convolution pads the past with copies of the first frame. A single frame therefore meets each of a
kernel's time taps, and the convolution equals a two-dimensional one by the taps' sum, at a third of the cost.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d

TimeTaps = Literal["sum", "last"]


@contextlib.contextmanager
def single_frame_convolutions(vae: AutoencoderKLCogVideoX, taps: TimeTaps = "sum") -> Iterator[None]:
    """Runs the VAE's convolutions over single frames in two dimensions while the block runs.

    Args:
        vae: all its inputs must hold one frame meanwhile.
        taps: `sum` is exact. `last` uses the present frame's tap alone, which is exact while the others are zero and
            leaves them without a gradient: how a VAE is trained on images before it sees clips.
    """
    convolutions = [module for module in vae.modules() if isinstance(module, CogVideoXCausalConv3d)]
    for convolution in convolutions:
        convolution.forward = functools.partial(_single_frame_forward, convolution, taps)
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward  # the class's own shows again


def keep_present_frame_taps(vae: AutoencoderKLCogVideoX) -> None:
    """Sets to zero the taps that look into the past: the VAE then treats each frame of a clip as an image."""
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, CogVideoXCausalConv3d) and module.time_kernel_size > 1:
                module.conv.weight[:, :, :-1] = 0.0


def on_single_frames(vae: AutoencoderKLCogVideoX) -> AutoencoderKLCogVideoX:
    """A VAE without compression in time that does to each frame of a clip what this one does to a single frame."""
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    alone: AutoencoderKLCogVideoX = AutoencoderKLCogVideoX.from_config(config | {"temporal_compression_ratio": 1})
    alone.load_state_dict(vae.state_dict())
    with torch.no_grad():
        for module in alone.modules():
            if isinstance(module, CogVideoXCausalConv3d) and module.time_kernel_size > 1:
                module.conv.weight[:, :, -1] = module.conv.weight.sum(dim=2)
    keep_present_frame_taps(alone)
    return alone


def _single_frame_forward(
    convolution: CogVideoXCausalConv3d, taps: TimeTaps, inputs: torch.Tensor, conv_cache: torch.Tensor | None = None
) -> tuple[torch.Tensor, None]:
    if inputs.shape[2] != 1 or conv_cache is not None:
        raise ValueError(f"The single-frame form takes one frame, not {inputs.shape[2]}.")
    weight = convolution.conv.weight  # (C_out, C_in, time, height, width)
    weight = weight.sum(dim=2) if taps == "sum" else weight[:, :, -1]
    padding = (convolution.height_pad, convolution.width_pad)
    return F.conv2d(inputs.squeeze(2), weight, convolution.conv.bias, padding=padding).unsqueeze(2), None
