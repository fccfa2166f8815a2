"""Which kernel computes attention: a name of diffusers' dispatcher, tried once before anything depends on it."""

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    _check_attention_backend_requirements,
    dispatch_attention_fn,
)

from ingredients.core.errors import MissingDependencyError, SpeedOptionError
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

_NUM_PROBE_TOKENS = 16

_REMEDIES = (
    ("hub", "pip install kernels"),
    ("aiter", "pip install kernels"),
    ("flash_3", "building FlashAttention 3 from its sources"),
    ("flash_varlen_3", "building FlashAttention 3 from its sources"),
    ("flash", "pip install flash-attn"),
    ("sage", "pip install sageattention"),
    ("xformers", "pip install xformers"),
    ("npu", "pip install torch_npu"),
    ("xla", "pip install torch_xla"),
)
"""What brings a backend's library, by a part of the backend's name; the first that fits."""


def check_attention_backend(name: str) -> None:
    """Refuses a backend of diffusers' whose library is not installed; looks at nothing else.

    Raises:
        MissingDependencyError: with what installs the library.
    """
    try:
        _check_attention_backend_requirements(AttentionBackendName(name))
    except RuntimeError as error:
        remedy = next((remedy for part, remedy in _REMEDIES if part in name), "updating torch")
        raise MissingDependencyError(
            f"The attention backend {name} needs a library that is missing or too old here; it comes by: {remedy}"
        ) from error


def use_attention_backend(
    transformer: IngredientsTransformer3DModel, name: str | None, *, device: torch.device | None = None
) -> None:
    """Has every attention of the transformer computed by a backend; None by diffusers' own choice.

    Diffusers makes a model's backend the default of the whole process as well; here it stays the model's.

    Args:
        transformer: whose attention.
        name: the name of the backend.
        device: where the transformer is going to run; None where it is.

    Raises:
        SpeedOptionError: if the backend cannot compute this model's attention on its device; nothing is changed then.
        MissingDependencyError: as `check_attention_backend`.
    """
    before = getattr(transformer.transformer_blocks[0].attn1.processor, "_attention_backend", None)
    if name is None:
        if before is not None:
            transformer.reset_attention_backend()
        return
    check_attention_backend(name)
    device = device or transformer.device
    active = _AttentionBackendRegistry._active_backend
    try:
        _probe(transformer, name, device)
        transformer.set_attention_backend(name)
    except Exception as error:  # kernels fail in as many ways as there are libraries
        if before is not None:
            transformer.set_attention_backend(before)
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise SpeedOptionError(
            f"The attention backend {name} does not work on {device} with {transformer.dtype} "
            f"({reason}); choose another one, or leave it out."
        ) from error
    finally:
        _AttentionBackendRegistry.set_active_backend(active)


@torch.no_grad()
def _probe(transformer: IngredientsTransformer3DModel, name: str, device: torch.device) -> None:
    """Attends once with heads of the sizes that the transformer has."""
    config = transformer.config
    heads = [(config.num_attention_heads, config.attention_head_dim)]
    if config.identity_modules:
        heads.append((config.id_attn_num_heads, config.id_attn_head_dim))
    for num_heads, head_dim in heads:
        states = torch.ones(1, _NUM_PROBE_TOKENS, num_heads, head_dim, device=device, dtype=transformer.dtype)
        attended = dispatch_attention_fn(states, states, states, backend=AttentionBackendName(name))
        if not torch.allclose(attended, states, rtol=0.05, atol=0.05):
            raise ValueError("it gives wrong numbers")
