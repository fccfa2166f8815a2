"""Mixed precision: matrix products and convolutions in bfloat16, whatever type the weights have."""

import contextlib
from collections.abc import Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ingredients.core.errors import UserInputError
from ingredients.core.precision import Precision


def resolve_precision(precision: Precision, device: torch.device, weights: torch.dtype = torch.float32) -> Precision:
    """What `auto` means on a device: bfloat16 where the weights are or where it is faster, float32 elsewhere.

    A processor is faster in bfloat16 with matrix units for it (AMX), or if it is one of AMD's with AVX-512's
    instructions. Intel's with those instructions alone multiply half as fast as in float32
    (`benchmarks/training_precision.py`).

    Raises:
        UserInputError: for float32 with weights in bfloat16.
    """
    if weights == torch.bfloat16:
        if precision == "float32":
            raise UserInputError(
                "The frozen weights are in bfloat16, with which trainer.precision=float32 cannot compute; set it to "
                "bfloat16, or load the weights in float32."
            )
        return "bfloat16"
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities()
    is_fast = capabilities.get("avx512_bf16") and "AMD" in str(capabilities.get("cpu_name"))
    return "bfloat16" if capabilities.get("amx_bf16") or is_fast else "float32"


def precision_of_weights(weights: torch.dtype) -> Precision:
    """The arithmetic in which a model is looked at while it is trained: float32, if its frozen weights allow it."""
    return "bfloat16" if weights == torch.bfloat16 else "float32"


@contextlib.contextmanager
def mixed_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """Runs the block's matrix products and convolutions in `precision`, which is resolved; float32 changes nothing."""
    if precision == "float32":
        yield
        return
    with torch.autocast(device.type, torch.bfloat16), fast_attention(precision, device):
        yield


@contextlib.contextmanager
def fast_attention(precision: Precision, device: torch.device) -> Iterator[None]:
    """Takes the attention whose backward pass is fast; for that pass as well, which may compute the forward again.

    The backward pass of a CPU's fused attention is slow in bfloat16. At the lengths that the small model trains on
    (hundreds of tokens), plain products and a softmax take half its time, so bfloat16 on a CPU uses those.
    """
    if precision == "float32" or device.type != "cpu":
        yield
        return
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with sdpa_kernel(SDPBackend.MATH):
        yield
