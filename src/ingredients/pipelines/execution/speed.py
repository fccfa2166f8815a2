"""Makes a model run by its speed options, which `speed_options.py` declares."""

from typing import TYPE_CHECKING

import torch
from diffusers.hooks import HookRegistry
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ingredients.core.errors import SpeedOptionError
from ingredients.core.memory_mode import MemoryMode
from ingredients.pipelines.execution.attention_backends import use_attention_backend
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.execution.step_caches import check_step_cache

if TYPE_CHECKING:
    from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline


def apply_speed_options(
    pipeline: "IngredientsPipeline", options: SpeedOptions, *, device: torch.device | None = None
) -> None:
    """Makes a pipeline run with these options and no others.

    Blocks are compiled and matrices fused before memory is saved by offloading, which `load_pipeline` sees to.

    Args:
        pipeline: its calls from here on.
        options: all of them; the defaults take back what was applied before, and those that are applied stay as they
            are.
        device: where it is going to run; None where it is.

    Raises:
        SpeedOptionError: if the model or the machine cannot do it.
    """
    if options == pipeline.speed_options:
        return
    transformer = pipeline.transformer
    _check_weights(transformer, options)
    if options.compile:
        check_compiler(device or transformer.device)
    check_step_cache(options.step_cache, transformer, magnitudes=pipeline.residual_magnitudes)
    use_attention_backend(transformer, options.attention_backend, device=device)
    transformer.unfuse_qkv_projections()
    if options.fuse_qkv:
        transformer.fuse_qkv_projections()
    transformer.uncompile_repeated_blocks()
    if options.compile:
        transformer.compile_repeated_blocks()
    pipeline.step_cache = options.step_cache
    pipeline.split_guidance = options.split_guidance or pipeline.saves_memory_by_splitting
    pipeline.speed_options = options


def _check_weights(transformer: "IngredientsTransformer3DModel", options: SpeedOptions) -> None:
    if not (options.fuse_qkv or options.compile):
        return
    if any(_is_offloaded(block) for block in transformer.transformer_blocks):
        raise SpeedOptionError(
            "Blocks cannot be compiled, nor matrices fused, once the model is offloaded; give the speed options to "
            "load_pipeline, which does it before."
        )
    if options.fuse_qkv and any(isinstance(module, BaseTunerLayer) for module in transformer.modules()):
        raise SpeedOptionError(
            "Fused matrices would leave out the LoRA of this model's attention; leave fused projections out."
        )


def _is_offloaded(block: nn.Module) -> bool:
    registry = getattr(block, "_diffusers_hook", None)
    return isinstance(registry, HookRegistry) and registry.get_hook("group_offloading") is not None


def check_speed_in_memory_mode(options: SpeedOptions, mode: MemoryMode) -> None:
    """Says whether options can be used in a memory mode.

    Raises:
        SpeedOptionError: if they cannot.
    """
    if mode is MemoryMode.MINIMAL and options.step_cache == "faster":
        raise SpeedOptionError(
            "The step cache faster needs the guidance passes in one batch, and the memory mode minimal runs them one "
            "after the other; choose another step cache, or --memory low."
        )
    if mode is MemoryMode.MINIMAL and options.compile:
        raise SpeedOptionError(
            "Compiling cannot follow weights that are cast layer by layer, as the memory mode minimal does; leave "
            "compiling out, or take --memory low."
        )


def check_compiler(device: torch.device) -> None:
    """Says whether something can be compiled for a device.

    Raises:
        SpeedOptionError: if a compiler is missing.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise SpeedOptionError(
            "Compiling needs a C++ compiler, and none was found; install one, such as g++, or leave compiling out."
        ) from error
    if device.type == "cuda" and not has_triton():
        raise SpeedOptionError(
            "Compiling for this GPU needs the library triton, which does not work here; install it with: "
            "pip install triton, or leave compiling out."
        )
