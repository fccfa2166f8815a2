"""Step caches: what one denoising step computed is used again in the next ones, which changes the video a little.

Diffusers' hooks do the work. Each is switched on for one call of the pipeline and off after it, so that nothing is
carried from video to video and the number of steps is known. Which settings, and what they cost, is measured by
`benchmarks/speed_options.py`.

| name | what is used again | when |
|---|---|---|
| first-block | what all blocks but the first add | while the first adds about what it did (FBCache) |
| mag | what all blocks add | while measured magnitudes say that it changes little (MagCache) |
| pab | what self-attention adds | every other step (pyramid attention broadcast) |
| taylor | what self-attention and feed-forward add | every other step, after a fifth of them (TaylorSeer, order 0) |
| faster | self-attention; by what the passes differ | of three steps two do one pass only (FasterCache) |

The identities live inside the block: a cache that skips whole blocks skips them, too, and what it adds instead holds
them once. The other caches leave the identity modules alone. They are a few hundredths of a block's work, they are
what the likeness depends on, and what they add changes at once where the planned layout ends.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)

from ingredients.core.errors import SpeedOptionError
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.execution.residual_magnitudes import ResidualMagnitudes
from ingredients.pipelines.execution.speed_options import StepCacheName, check_step_cache_passes
from ingredients.pipelines.guidance import Guidance


def step_cache_config(
    name: StepCacheName,
    *,
    timesteps: Sequence[int],
    current_timestep: Callable[[], int],
    dtype: torch.dtype = torch.float32,
    magnitudes: ResidualMagnitudes | None = None,
) -> Any:
    """Diffusers' config of a cache."""
    num_inference_steps = len(timesteps)
    match name:
        case "first-block":
            return FirstBlockCacheConfig(threshold=0.4)
        case "pab":
            return PyramidAttentionBroadcastConfig(
                spatial_attention_block_skip_range=2,
                spatial_attention_timestep_skip_range=(-1, 900),
                current_timestep_callback=current_timestep,
            )
        case "faster":
            return FasterCacheConfig(
                spatial_attention_block_skip_range=2,
                spatial_attention_timestep_skip_range=(-1, 900),
                unconditional_batch_skip_range=3,
                unconditional_batch_timestep_skip_range=(-1, 900),
                alpha_low_frequency=1.0,
                alpha_high_frequency=1.0,
                attention_weight_callback=lambda _: 0.0,  # no slope: each step adds new noise
                tensor_format="BFCHW",
                current_timestep_callback=current_timestep,
            )
        case "mag":
            assert magnitudes is not None  # `check_step_cache`
            return MagCacheConfig(
                threshold=0.2,
                max_skip_steps=3,
                retention_ratio=0.2,
                num_inference_steps=num_inference_steps,
                mag_ratios=list(magnitudes.ratios(timesteps)),
            )
        case "taylor":
            return TaylorSeerCacheConfig(
                cache_interval=2,
                disable_cache_before_step=math.ceil(0.2 * num_inference_steps),
                max_order=0,  # nor here
                taylor_factors_dtype=dtype,
                cache_identifiers=[r"transformer_blocks\.\d+\.(attn1|ff)"],
            )


def check_step_cache(
    name: StepCacheName | None,
    transformer: IngredientsTransformer3DModel,
    *,
    magnitudes: ResidualMagnitudes | None,
    guidance: Guidance | None = None,
) -> None:
    """Refuses a cache that this model cannot have, or that does not go with the guidance of a video, if that is known.

    Raises:
        SpeedOptionError: if so.
    """
    if name == "mag" and magnitudes is None:
        raise SpeedOptionError(
            "The step cache mag needs the magnitudes of the model's residuals, which this model's folder does not "
            "hold; measure them with benchmarks/residual_magnitudes.py, or choose another step cache."
        )
    if name == "faster" and transformer.config.published_guidance_fault:
        raise SpeedOptionError(
            "The step cache faster leaves out the pass by which published_guidance_fault routes the other one; choose "
            "another step cache."
        )
    if guidance is not None:
        check_step_cache_passes(name, guidance.passes)


@contextmanager
def running_step_cache(
    transformer: IngredientsTransformer3DModel,
    name: StepCacheName | None,
    *,
    timesteps: Sequence[int],
    current_timestep: Callable[[], int],
    magnitudes: ResidualMagnitudes | None,
) -> Iterator[None]:
    """Caches while a video is denoised; a transformer that has a cache of its own starts it anew."""
    transformer._reset_stateful_cache()
    if name is None:
        yield
        return
    config = step_cache_config(
        name,
        timesteps=timesteps,
        current_timestep=current_timestep,
        dtype=transformer.dtype,
        magnitudes=magnitudes,
    )
    transformer.enable_cache(config)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)  # of diffusers' own
            yield
    finally:
        transformer.disable_cache()
