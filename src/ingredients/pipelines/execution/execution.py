"""How a model runs, in one object that the pipeline has: its memory mode and its speed options."""

import contextlib
import dataclasses
from typing import Self

import torch
from diffusers.hooks import HookRegistry
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ingredients.core.errors import SpeedOptionError
from ingredients.core.memory_mode import MemoryMode
from ingredients.models.mixed_precision import resolve_precision
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.execution.attention_backends import use_attention_backend
from ingredients.pipelines.execution.memory_modes import MovableParts, apply_memory_mode
from ingredients.pipelines.execution.memory_plan import MemoryPlan
from ingredients.pipelines.execution.residual_magnitudes import ResidualMagnitudes
from ingredients.pipelines.execution.speed_options import SpeedOptions, VideoOptions
from ingredients.pipelines.execution.step_caches import check_step_cache
from ingredients.pipelines.guidance import Guidance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How the parts of a model run; by default whole on one device, and exactly.

    The methods change the parts and return what holds from then on.
    """

    memory: MemoryPlan = dataclasses.field(default_factory=lambda: MemoryPlan(mode=MemoryMode.FULL))
    """What of the model is on the device at a time, and why."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How it runs faster, or in less memory."""

    saves_memory_by_splitting: bool = False
    """Whether the memory mode, too, runs the guidance passes one after the other."""

    @property
    def splits_guidance(self) -> bool:
        """Whether the guidance passes of a step run one after the other instead of as one batch."""
        return self.speed.split_guidance or self.saves_memory_by_splitting

    def arithmetic(self, device: torch.device, weights: torch.dtype) -> contextlib.AbstractContextManager[None]:
        """A block in which matrix products and convolutions run in the precision that was asked for.

        Args:
            device: where they run.
            weights: the type of the weights; half precision keeps its own.
        """
        is_mixed = (
            weights == torch.float32 and resolve_precision(self.speed.precision or "float32", device) == "bfloat16"
        )
        if not is_mixed:
            return contextlib.nullcontext()
        # A step takes each weight about once, and all their copies in bfloat16 would be half the weights' memory more.
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)

    def apply_speed_options(
        self,
        options: SpeedOptions,
        transformer: IngredientsTransformer3DModel,
        *,
        magnitudes: ResidualMagnitudes | None,
        device: torch.device | None = None,
    ) -> Self:
        """Makes a transformer run with these options and no others.

        Blocks are compiled and matrices fused before memory is saved by offloading, which `load_pipeline` sees to.

        Args:
            options: all of them; the defaults take back what was applied before, and those that are applied stay as
                they are.
            transformer: that runs as this object says.
            magnitudes: the magnitudes of its residuals, where they are known.
            device: where it is going to run; None where it is.

        Raises:
            SpeedOptionError: if the model or the machine cannot do it.
        """
        if options == self.speed:
            return self
        _check_weights(transformer, options)
        if options.compile:
            check_compiler(device or transformer.device)
        check_step_cache(options.step_cache, transformer, magnitudes=magnitudes)
        use_attention_backend(transformer, options.attention_backend, device=device)
        transformer.unfuse_qkv_projections()
        if options.fuse_qkv:
            transformer.fuse_qkv_projections()
        transformer.uncompile_repeated_blocks()
        if options.compile:
            transformer.compile_repeated_blocks()
        return dataclasses.replace(self, speed=options)

    def apply_memory_plan(self, plan: MemoryPlan, parts: MovableParts, device: torch.device) -> Self:
        """Puts the parts of a freshly loaded model where a plan wants them.

        Args:
            plan: whose mode is one of `MEMORY_LADDER`.
            parts: those on the processor.
            device: where they are going to run.
        """
        apply_memory_mode(parts, plan.mode, device)
        can_split = not parts.transformer.config.published_guidance_fault
        return dataclasses.replace(
            self, memory=plan, saves_memory_by_splitting=plan.mode is MemoryMode.MINIMAL and can_split
        )

    def for_video(
        self,
        chosen: VideoOptions,
        transformer: IngredientsTransformer3DModel,
        *,
        magnitudes: ResidualMagnitudes | None,
    ) -> Self:
        """How the parts run for one video; nothing of them is changed.

        Args:
            chosen: what that video has another way.
            transformer: that runs as this object says.
            magnitudes: the magnitudes of its residuals, where they are known.

        Raises:
            SpeedOptionError: if the model cannot do it.
        """
        options = chosen.applied_to(self.speed)
        check_speed_in_memory_mode(options, self.memory.mode)
        check_step_cache(options.step_cache, transformer, magnitudes=magnitudes)
        return dataclasses.replace(self, speed=options)

    def check_guidance(
        self,
        guidance: Guidance,
        transformer: IngredientsTransformer3DModel,
        *,
        magnitudes: ResidualMagnitudes | None,
    ) -> None:
        """Says whether a video can be made so with this guidance.

        Raises:
            SpeedOptionError: if it cannot.
        """
        check_step_cache(self.speed.step_cache, transformer, magnitudes=magnitudes, guidance=guidance)
        if self.splits_guidance and len(guidance.passes) > 1 and transformer.config.published_guidance_fault:
            raise SpeedOptionError(
                "Split guidance cannot repeat published_guidance_fault, in which one pass goes by the rows of "
                "another; leave split guidance out."
            )


def _check_weights(transformer: IngredientsTransformer3DModel, options: SpeedOptions) -> None:
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
