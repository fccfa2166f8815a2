"""In which arithmetic matrix products and convolutions are computed; nothing here needs PyTorch to be read."""

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]
"""The type of their factors; `auto` is bfloat16 where the processor, or the card, is faster in it."""
