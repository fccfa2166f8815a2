"""Memory modes: what of a model is on the device at a time.

| mode | text encoder | transformer | VAE |
|---|---|---|---|
| full | on the device | on the device | on the device |
| balanced | in turn with the transformer | in turn with the text encoder | on the device, in tiles |
| low | block by block | block by block | on the device, in tiles |
| minimal | block by block | layer by layer, in 8 bit, a guidance pass at a time | on the device, in small tiles |

What is not on the device waits in the processor's memory. The face networks run on the processor, or where an
onnxruntime with CUDA takes them. The VAE is
small (0.4 GB as published), is needed at both ends, and in every step by likeness guidance, which differentiates it:
weights that are moved inside `torch.inference_mode`, as hooks would, cannot be differentiated any more. So it stays.

On the processor itself there is nowhere to move anything: balanced and low decode in tiles, minimal keeps the weights
in 8 bit as well.
"""

import contextlib
import fractions
from collections.abc import Iterator
from typing import Any, Protocol

import psutil
import torch
from accelerate import cpu_offload_with_hook
from diffusers.hooks import apply_group_offloading
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from torch import nn
from transformers import T5EncoderModel

from ingredients.core.memory_mode import MemoryMode
from ingredients.models.backbones import VideoVae, backbone_of_vae
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

PROCESSOR = torch.device("cpu")

EIGHT_BIT = torch.float8_e4m3fn
"""The type of the weights in minimal mode. It needs no library and no calibration, and every device casts it."""

FULL_PRECISION = (*DEFAULT_SKIP_MODULES_PATTERN, "time_embedding", "multi_scale_projector", "id_router")
"""What minimal mode leaves alone: small, used once a video, or, as the routers, with a yes or no at its end."""

TILE, SMALL_TILE = (30, 45), (18, 25)
"""Rows and columns of the VAE's tiles, in latents: 240x360 and 144x200 pixels of the published VAE.

Tiles overlap by a sixth of their rows and a fifth of their columns. Sizes that do not divide by 6 and 5 round to
other steps in latents than in pixels, and the frames come out in the wrong size.
"""

_PINNED_COPIES = 2
"""Page-locked memory is handed out in powers of two, so up to twice the weights."""


class MovableParts(Protocol):
    """The parts of a model that are moved and cast, such as a pipeline has them."""

    text_encoder: T5EncoderModel
    transformer: IngredientsTransformer3DModel
    vae: VideoVae


def apply_memory_mode(parts: MovableParts, mode: MemoryMode, device: torch.device) -> None:
    """Puts the parts of a freshly loaded model where `mode` wants them.

    Args:
        parts: those on the processor.
        mode: one of `MEMORY_LADDER`.
        device: where they are going to run.
    """
    if mode is MemoryMode.AUTO:
        raise ValueError("auto is no mode of its own; `plan_memory` chooses one.")
    if mode is MemoryMode.FULL:
        for part in (parts.text_encoder, parts.transformer, parts.vae):
            part.to(device)
        return
    decode_in_tiles(parts.vae, SMALL_TILE if mode is MemoryMode.MINIMAL else TILE)
    if mode is MemoryMode.MINIMAL:
        parts.transformer.enable_layerwise_casting(
            storage_dtype=EIGHT_BIT, compute_dtype=parts.transformer.dtype, skip_modules_pattern=FULL_PRECISION
        )
    if device.type != "cpu":
        place_parts(parts, mode, onload_device=device)


def decode_in_tiles(vae: VideoVae, tile: tuple[int, int]) -> None:
    """Lets the VAE work on tiles of frames that are larger than one, and on one video after the other.

    Args:
        vae: works on smaller frames as before.
        tile: rows and columns in latents.
    """
    spatial_ratio = backbone_of_vae(vae).spatial_ratio(vae.config)
    vae.enable_slicing()
    vae.enable_tiling(tile_sample_min_height=tile[0] * spatial_ratio, tile_sample_min_width=tile[1] * spatial_ratio)


def fit_tiles(vae: VideoVae) -> None:
    """Gives tiles that someone else switched on sizes and overlaps that are the same in latents as in pixels.

    Diffusers rounds each by itself, and where the two differ, as in small tiles, frames come out in another size.
    """
    if not vae.use_tiling:
        return
    ratio = backbone_of_vae(vae).spatial_ratio(vae.config)
    for side in ("height", "width"):
        tile = max(getattr(vae, f"tile_latent_min_{side}"), 1)
        share = getattr(vae, f"tile_overlap_factor_{side}")
        step = max(int(tile * (1 - share)), 1)
        if (
            getattr(vae, f"tile_sample_min_{side}") == tile * ratio
            and tile * ratio - int(tile * ratio * share) == step * ratio
        ):
            continue
        setattr(vae, f"tile_latent_min_{side}", tile)
        setattr(vae, f"tile_sample_min_{side}", tile * ratio)
        setattr(vae, f"tile_overlap_factor_{side}", fractions.Fraction(tile - step, tile))  # exact both ways


@contextlib.contextmanager
def decoding_in_tiles(vae: VideoVae, tile: tuple[int, int]) -> Iterator[None]:
    """`decode_in_tiles` while the block runs, for a VAE that does other work before and after it."""
    before = vae.use_slicing, vae.use_tiling
    decode_in_tiles(vae, tile)
    try:
        yield
    finally:
        vae.use_slicing, vae.use_tiling = before


def place_parts(
    parts: MovableParts,
    mode: MemoryMode,
    *,
    onload_device: torch.device,
    offload_device: torch.device = PROCESSOR,
) -> None:
    """Moves parts to the device, or hooks that will.

    Args:
        parts: those on `offload_device`.
        mode: balanced, low or minimal.
        onload_device: where parts are used.
        offload_device: where they wait.
    """
    parts.vae.to(onload_device)
    transformer, text_encoder = parts.transformer, parts.text_encoder
    if mode is MemoryMode.BALANCED:
        take_turns(text_encoder, transformer, onload_device)
        return
    devices: dict[str, Any] = {"onload_device": onload_device, "offload_device": offload_device}
    # Streams copy the next weights while the present ones are used; the copies come from page-locked memory.
    use_stream = onload_device.type == "cuda"
    apply_group_offloading(
        text_encoder.encoder,  # its blocks are found one level below the model
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=use_stream,
        low_cpu_mem_usage=True,  # used once a video: not worth locking its pages for good
        **devices,
    )
    transformer.enable_group_offload(
        offload_type="leaf_level" if mode is MemoryMode.MINIMAL else "block_level",
        num_blocks_per_group=1,
        use_stream=use_stream,
        low_cpu_mem_usage=not _can_be_pinned(transformer),
        **devices,
    )


def take_turns(first: nn.Module, second: nn.Module, device: torch.device) -> None:
    """Lets two models share a device: calling one brings it there and sends the other to the processor."""
    _, first_hook = cpu_offload_with_hook(first, device)
    _, second_hook = cpu_offload_with_hook(second, device, prev_module_hook=first_hook)
    first_hook.hook.prev_module_hook = second_hook  # diffusers' chain ends at the last model, this one is a ring


def _can_be_pinned(module: nn.Module) -> bool:
    num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
    available: int = psutil.virtual_memory().available
    return _PINNED_COPIES * num_bytes < available
