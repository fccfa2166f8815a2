"""Mixed precision for the forward pass of a training step."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

Precision = Literal["float32", "bfloat16"]


@contextlib.contextmanager
def mixed_precision(precision: Precision) -> Iterator[None]:
    """Runs the block's matrix products and convolutions in `precision`; float32 changes nothing.

    The backward pass of a CPU's fused attention is slow in bfloat16. At the lengths that the small model trains on
    (hundreds of tokens), plain products and a softmax take half its time, so bfloat16 on a CPU uses those.
    """
    if precision == "float32":
        yield
        return
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        yield
