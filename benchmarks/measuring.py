"""What the benchmarks share: time on any device, and what a device can do at best."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

MATRIX_SIZE = {"cuda": 8192, "cpu": 1536}
"""Rows and columns of the matrices whose product is timed."""


def seconds(function: Callable[[], Any], device: str) -> float:
    """Processor time of one call on a CPU, which other programs lengthen little; elsewhere, until it has finished."""
    if device == "cpu":
        start = time.process_time()
        function()
        return time.process_time() - start
    torch.accelerator.synchronize()
    start = time.perf_counter()
    function()
    torch.accelerator.synchronize()
    return time.perf_counter() - start


def best_seconds(function: Callable[[], Any], device: str, *, rounds: int) -> float:
    """The best of several rounds, after one that does not count."""
    function()
    return min(seconds(function, device) for _ in range(rounds))


def matrix_rate(device: str, dtype: torch.dtype, *, rounds: int = 10) -> float:
    """FLOP/s of a product of two large matrices."""
    size = MATRIX_SIZE["cpu" if device == "cpu" else "cuda"]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / best_seconds(lambda: left @ right, device, rounds=rounds)


def attention_rate(device: str, dtype: torch.dtype, *, num_tokens: int, num_heads: int, rounds: int = 3) -> float:
    """FLOP/s of self-attention in heads of 64, of two samples as in a guided step."""
    query, key, value = (torch.randn(2, num_heads, num_tokens, 64, device=device, dtype=dtype) for _ in range(3))
    flops = 2 * 4 * num_tokens**2 * num_heads * 64
    return flops / best_seconds(lambda: F.scaled_dot_product_attention(query, key, value), device, rounds=rounds)
