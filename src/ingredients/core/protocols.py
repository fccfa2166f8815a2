"""What the layers expect of parts that can be exchanged.

Legend: B batch, H/W pixels, S side of a square crop, D embedding, P image-encoder tokens, C channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.boxes import box_area

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One detected face, in pixels of the image it was found in."""

    box: Float32Array
    """(4,): left, top, right, bottom."""

    score: float
    """Confidence of the detector, from 0 to 1."""

    landmarks: Float32Array
    """(5, 2), x then y: the eye at the image's left, the eye at its right, the nose tip, the left and the right
    corner of the mouth (left and right as seen in the image)."""

    @property
    def area(self) -> float:
        """Area of the box in pixels."""
        return box_area(self.box)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFeatures:
    """What an image encoder says about a batch of crops."""

    embeds: torch.Tensor
    """(B, D): the projected image embedding."""

    hidden_states: tuple[torch.Tensor, ...]
    """Five tensors (B, P, C), shallow to deep, the class token first."""


class FaceDetector(Protocol):
    """Finds faces and their five landmarks."""

    def detect(self, image: UInt8Array) -> list[Face]:
        """Finds the faces in one RGB image (H, W, 3), the largest first; an empty list if there is none."""
        ...


class FaceRecogniser(Protocol):
    """Turns an aligned face into an embedding whose cosine tells people apart."""

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        ...

    @property
    def embedding_dim(self) -> int:
        """Width D of the embedding."""
        ...

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as the crop (S, S, 3) `embed` reads."""
        ...

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        """Embeds crops (B, S, S, 3) as float32 (B, D), not normalised."""
        ...


@runtime_checkable
class DifferentiableRecogniser(Protocol):
    """A recogniser through which gradients flow, as they do not through an ONNX file."""

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        ...

    def embed_pixel_values(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embeds crops (B, 3, S, S) in -1..1 as float32 (B, D), not normalised; gradients reach the pixels."""
        ...

    def to(self, device: torch.device) -> None:
        """Computes there from now on."""
        ...


class ImageEncoder(Protocol):
    """A CLIP-style image tower that also gives five of its hidden states."""

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        ...

    @property
    def embedding_dim(self) -> int:
        """Width D of the image embedding."""
        ...

    def encode(self, crops: UInt8Array) -> ImageFeatures:
        """Encodes RGB crops (B, S, S, 3)."""
        ...


class ProgressCallback(Protocol):
    """Told how far a long piece of work has come."""

    def __call__(self, completed: int, total: int) -> None:
        """Called after `completed` of `total` steps are done."""
        ...


OnBadInput: TypeAlias = Callable[[str, str], None]
"""Told of each input that is left out, by its name and the reason."""


class ValidationCallback(Protocol):
    """Measures a model while it trains; supplied from above, so that training never imports evaluation."""

    def __call__(self, *, step: int, model: torch.nn.Module) -> Mapping[str, float]:
        """Returns the metrics of `model` at `step`, by name."""
        ...
