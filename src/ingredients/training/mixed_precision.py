"""Mixed precision for the forward pass of a training step."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_precision(precision: Precision) -> Precision:
    """What `auto` means on this machine: bfloat16 where the processor has instructions for it, float32 elsewhere."""
    if precision != "auto":
        return precision
    capabilities = torch.cpu.get_capabilities()
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


@contextlib.contextmanager
def mixed_precision(precision: Precision) -> Iterator[None]:
    """Runs the block's matrix products and convolutions in `precision`, which is resolved; float32 changes nothing.

    The backward pass of a CPU's fused attention is slow in bfloat16. At the lengths that the small model trains on
    (hundreds of tokens), plain products and a softmax take half its time, so bfloat16 on a CPU uses those.
    """
    if precision == "float32":
        yield
        return
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        yield
