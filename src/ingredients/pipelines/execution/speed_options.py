"""Speed options: how a model runs faster or in less memory, off unless asked for (docs/performance.md).

| option | changes the video |
|---|---|
| compile | by rounding |
| attention_backend | by rounding; quantised kernels by more |
| fuse_qkv | by rounding |
| split_guidance | by rounding |
| precision | by rounding, in bfloat16 |
| step_cache | yes: it leaves work out |

Here is what can be said of them before PyTorch is imported; `execution.py` applies them to a model.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self, get_args

from ingredients.core.errors import SpeedOptionError
from ingredients.core.precision import Precision
from ingredients.model_folders.speed_defaults import SpeedDefaults, check_precision
from ingredients.pipelines.guidance_passes import GuidancePass

StepCacheName = Literal["first-block", "pab", "faster", "mag", "taylor"]
STEP_CACHES: tuple[StepCacheName, ...] = get_args(StepCacheName)
StepCacheChoice = Literal[StepCacheName, "none"]

WITHIN_BLOCKS: frozenset[StepCacheName] = frozenset({"pab", "faster", "taylor"})
"""Those that decide inside a block, which a compiled block cannot follow."""

ATTENTION_BACKENDS = (
    "flash",
    "flash_hub",
    "flash_varlen",
    "flash_varlen_hub",
    "flash_4_hub",
    "_flash_3",
    "_flash_varlen_3",
    "_flash_3_hub",
    "_flash_3_varlen_hub",
    "aiter_fa2_hub",
    "flex",
    "native",
    "_native_cudnn",
    "_native_efficient",
    "_native_flash",
    "_native_math",
    "_native_npu",
    "_native_xla",
    "sage",
    "sage_hub",
    "sage_blackwell_hub",
    "sage_varlen",
    "_sage_qk_int8_pv_fp8_cuda",
    "_sage_qk_int8_pv_fp8_cuda_sm90",
    "_sage_qk_int8_pv_fp16_cuda",
    "_sage_qk_int8_pv_fp16_triton",
    "xformers",
)
"""All that diffusers' dispatcher knows; most need a library or a device of their own."""

COMPILE_NOTICE = (
    "The first steps compile the transformer's blocks, which takes from half a minute to minutes; "
    "it is worth it for many videos, or for long ones."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeedOptions:
    """How a model runs. The defaults leave it as its folder says.

    Raises:
        SpeedOptionError: for a name that does not exist, or options that cannot go together.
        MissingDependencyError: for an attention backend whose library is missing.
    """

    compile: bool = False
    """Whether the blocks are compiled, when the first video is made."""

    attention_backend: str | None = None
    """Kernel for attention, a name of diffusers' dispatcher; None leaves it to PyTorch."""

    step_cache: StepCacheName | None = None
    """What steps take over from those before; None computes everything."""

    fuse_qkv: bool = False
    """Whether query, key and value of self-attention are one matrix, kept beside the three."""

    split_guidance: bool = False
    """Whether the guidance passes of a step run one after the other instead of as one batch, in less memory."""

    precision: Precision | None = None
    """The arithmetic of transformer and VAE with weights in float32; weights in half precision keep their own. None
    takes what the model's folder says, and float32 where it says nothing."""

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_precision(self.precision)
        if self.attention_backend is not None:
            _check_attention_backend_name(self.attention_backend)

            from ingredients.pipelines.execution import attention_backends  # with PyTorch

            attention_backends.check_attention_backend(self.attention_backend)  # whether its library is here
        if self.step_cache is None:
            return
        if self.step_cache not in STEP_CACHES:
            raise SpeedOptionError(
                f"The step cache {self.step_cache!r} does not exist; choose one of {', '.join(STEP_CACHES)}."
            )
        if self.split_guidance and self.step_cache == "faster":
            raise SpeedOptionError(
                "The step cache faster leaves out one pass of a batch of two, and split guidance has no batch; "
                "choose another step cache, or leave split guidance out."
            )
        if self.compile and self.step_cache in WITHIN_BLOCKS:
            usable = ", ".join(name for name in STEP_CACHES if name not in WITHIN_BLOCKS)
            raise SpeedOptionError(
                f"The step cache {self.step_cache} decides anew within each block, which compiled blocks cannot "
                f"follow; choose one of {usable}, or leave compiling out."
            )

    def completed_by(self, defaults: SpeedDefaults) -> Self:
        """These options, with what a model's folder says in the place of what is left to it."""
        if self.precision is not None or defaults == SpeedDefaults():
            return self
        return dataclasses.replace(self, precision=defaults.precision)

    def names(self) -> tuple[str, ...]:
        """Names of the options that are on, for a report."""
        named = {"compile": self.compile, "fuse-qkv": self.fuse_qkv, "split-guidance": self.split_guidance}
        return (
            *(name for name, is_on in named.items() if is_on),
            *(f"step-cache {name}" for name in (self.step_cache,) if name is not None),
            *(f"precision {name}" for name in (self.precision,) if name not in (None, "float32")),
            *(f"attention-backend {name}" for name in (self.attention_backend,) if name is not None),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """What a single video may have another way than the loaded model does it; None leaves it as it is.

    All else of `SpeedOptions`, and the memory mode, is decided when a model is loaded: it says where weights lie, what
    type they have, and what is compiled.
    """

    step_cache: StepCacheChoice | None = None
    """What steps take over from those before, in less time; `none` computes everything."""

    split_guidance: bool | None = None
    """Whether the guidance passes of a step run one after the other, in less memory."""

    decode_in_tiles: bool | None = None
    """Whether the VAE works on a large picture in overlapping tiles, in less memory; false leaves it to the model."""

    def names(self) -> dict[str, str | bool]:
        """Those that are given, by name."""
        return {
            field.name: value for field in dataclasses.fields(self) if (value := getattr(self, field.name)) is not None
        }

    def applied_to(self, options: SpeedOptions) -> SpeedOptions:
        """The options of the loaded model with these in their place.

        Raises:
            SpeedOptionError: if they cannot go together.
        """
        step_cache = options.step_cache if self.step_cache is None else self.step_cache
        return dataclasses.replace(
            options,
            step_cache=None if step_cache == "none" else step_cache,
            split_guidance=options.split_guidance if self.split_guidance is None else self.split_guidance,
        )


def check_step_cache_passes(name: StepCacheName | None, passes: Sequence[GuidancePass]) -> None:
    """Refuses a step cache that cannot follow the passes of a video's guidance.

    Raises:
        SpeedOptionError: if so.
    """
    if name == "faster" and [each.has_prompt for each in passes] != [False, True]:
        raise SpeedOptionError(
            "The step cache faster computes the pass without the prompt from the one with it, and these scales need "
            "other passes; make the guidance scale larger than 1, the identity guidance scale 1 or the same and the "
            "perturbed attention scale 0, or choose another step cache."
        )


LOADED_OPTIONS = ("memory", "compile", "attention_backend", "fuse_qkv", "precision")
"""Options that hold for all videos of a loaded model."""


def _check_attention_backend_name(name: str) -> None:
    """Refuses a backend that diffusers does not know.

    Raises:
        SpeedOptionError: with the names that it knows.
    """
    if name not in ATTENTION_BACKENDS:
        raise SpeedOptionError(
            f"The attention backend {name!r} does not exist; choose one of {', '.join(ATTENTION_BACKENDS)}."
        )
