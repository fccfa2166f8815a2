"""Time of a training step of the small model's transformer: float32 against bfloat16, fused attention against plain.

    python benchmarks/training_precision.py

Prints seconds a sample of forward and backward passes, and the ratio to float32 in the same run. One thread.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.mixed_precision import mixed_precision
from ingredients.models.presets import small_world_base


@contextlib.contextmanager
def fused_bfloat16() -> Iterator[None]:
    """Autocast with PyTorch's own choice of attention."""
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        yield


Mode = Callable[[], AbstractContextManager[None]]
MODES: dict[str, Mode] = {
    "float32": lambda: mixed_precision("float32", torch.device("cpu")),
    "bfloat16, fused attention": fused_bfloat16,
    "bfloat16, as we train": lambda: mixed_precision("bfloat16", torch.device("cpu")),
}


def main() -> None:
    """Times each mode in turn, several rounds, and prints the fastest round of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    model = IngredientsTransformer3DModel(**small_world_base())
    for num_frames, batch_size in ((1, 24), (3, 12)):
        seconds = {
            name: [step(model, num_frames, batch_size, mode) for _ in range(rounds)] for name, mode in MODES.items()
        }
        for name, times in seconds.items():
            ratio = min(seconds["float32"]) / min(times)
            print(f"{num_frames} latent frames: {name:26} {min(times) / batch_size:.4f} s a sample, {ratio:.2f}x")


def step(model: IngredientsTransformer3DModel, num_frames: int, batch_size: int, mode: Mode) -> float:
    """Seconds of one forward and backward pass."""
    config = model.config
    latents = torch.randn(batch_size, num_frames, config.in_channels, config.sample_height, config.sample_width)
    text = torch.randn(batch_size, config.max_text_seq_length, config.text_embed_dim)
    timesteps = torch.randint(1000, (batch_size,))
    rotary = COGVIDEOX.positions(config, num_frames=num_frames, height=config.sample_height, width=config.sample_width)
    started = time.perf_counter()
    with mode():
        sample = model(latents, text, timesteps, image_rotary_emb=rotary).sample
    sample.float().square().mean().backward()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
