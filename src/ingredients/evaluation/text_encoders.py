"""Who says how well frames fit a sentence: CLIP, or the dual encoder that ships with a model of the drawn world.

Legend: F frames, H/W pixels, S sentences, D embedding.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.evaluation.records import TextEncoderName, TextRecord
from ingredients.faces.image_encoder import DualEncoder

_DECIMALS = 5


class TextImageEncoder(Protocol):
    """Embeds pictures and sentences in one space."""

    @property
    def name(self) -> TextEncoderName:
        """Which kind it is."""
        ...

    @property
    def network(self) -> torch.nn.Module:
        """What its answers depend on."""
        ...

    def embed_frames(self, frames: UInt8Array) -> torch.Tensor:
        """Embeds frames (F, H, W, 3) as (F, D)."""
        ...

    def embed_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Embeds sentences as (S, D)."""
        ...


class DualTextEncoder:
    """A `TextImageEncoder`: the model's own."""

    name: TextEncoderName = "dual_encoder"

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder

    @property
    def network(self) -> torch.nn.Module:
        """Both towers."""
        clip: torch.nn.Module = self._encoder.clip
        return clip

    def embed_frames(self, frames: UInt8Array) -> torch.Tensor:
        """Embeds frames (F, H, W, 3) as (F, D)."""
        return self._encoder.encode(frames).embeds

    def embed_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Embeds sentences as (S, D)."""
        return self._encoder.encode_text(sentences)


def compare_with_prompt(encoder: TextImageEncoder, frames: UInt8Array, prompt: str) -> TextRecord:
    """Embeds the frames (F, H, W, 3) of a video, averaged, and its prompt."""
    normalise = torch.nn.functional.normalize
    return TextRecord(
        frames=_to_vector(normalise(encoder.embed_frames(frames), dim=-1).mean(dim=0)),
        prompt=_to_vector(normalise(encoder.embed_sentences([prompt]), dim=-1)[0]),
        encoder=encoder.name,
    )


def _to_vector(embeds: torch.Tensor) -> tuple[float, ...]:
    values: Float32Array = embeds.double().cpu().numpy()
    return tuple(np.round(values, _DECIMALS).tolist())
