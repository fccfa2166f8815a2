"""Which sizes and lengths a model can make, and the grids that follow from them."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, Self

from ingredients.core.errors import ShapeError


class ShapeWarning(UserWarning):
    """A size or a length that a model can compute and was not made for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoGeometry:
    """How a model divides a video: what the VAE compresses and the transformer joins into tokens."""

    spatial_ratio: int
    """Pixels along one side of a latent cell."""

    temporal_ratio: int
    """Frames in one latent frame, but for the first, which is one frame alone."""

    patch_size: int
    """Latent cells along one side of a video token."""

    only_shape: tuple[int, int, int] | None = None
    """(height, width, num_frames) of a model with learned positions, which can make no other shape."""

    @classmethod
    def of(cls, transformer_config: Mapping[str, Any], vae_config: Mapping[str, Any]) -> Self:
        """A model's, by the configurations of its parts; learned positions, which can be dropped, do not count."""
        return cls(
            spatial_ratio=2 ** (len(vae_config["block_out_channels"]) - 1),
            temporal_ratio=int(vae_config["temporal_compression_ratio"]),
            patch_size=transformer_config["patch_size"],
        )

    @property
    def size_multiple(self) -> int:
        """What height and width must be a multiple of."""
        return self.spatial_ratio * self.patch_size

    @property
    def frame_step(self) -> int:
        """Frames by which a video can grow: the causal VAE decodes exactly one frame more than a multiple of this."""
        return 2 * self.temporal_ratio

    def check(self, *, height: int, width: int, num_frames: int) -> None:
        """Checks a shape.

        Raises:
            ShapeError: if the model cannot make it; the message names the nearest that it can.
        """
        for name, value in (("height", height), ("width", width)):
            if value < 1 or value % self.size_multiple:
                raise ShapeError(
                    f"The {name} {value} is not a multiple of {self.size_multiple}, which this model needs; "
                    f"try {_alternatives(value, self.size_multiple, offset=0, smallest=self.size_multiple)}."
                )
        if num_frames < 1 or (num_frames - 1) % self.frame_step:
            raise ShapeError(
                f"The number of frames {num_frames} is not {self.frame_step}k + 1, which this model needs; "
                f"try {_alternatives(num_frames, self.frame_step, offset=1, smallest=1)}."
            )
        if self.only_shape is not None and (height, width, num_frames) != self.only_shape:
            only_height, only_width, only_frames = self.only_shape
            raise ShapeError(
                f"This model has learned positions and makes only {only_frames} frames of {only_height} high and "
                f"{only_width} wide, not {num_frames} frames of {height} high and {width} wide."
            )

    def latent_shape(self, *, height: int, width: int, num_frames: int) -> tuple[int, int, int]:
        """(frames, rows, columns) of the latents."""
        return (num_frames - 1) // self.temporal_ratio + 1, height // self.spatial_ratio, width // self.spatial_ratio

    def token_grid(self, *, height: int, width: int, num_frames: int) -> tuple[int, int, int]:
        """(frames, rows, columns) of the video tokens, which the transformer orders frame, row, column."""
        frames, rows, columns = self.latent_shape(height=height, width=width, num_frames=num_frames)
        return frames, rows // self.patch_size, columns // self.patch_size


def warn_about_shape(
    geometry: VideoGeometry, transformer_config: Mapping[str, Any], *, height: int, width: int, num_frames: int
) -> None:
    """Warns with `ShapeWarning` of a size or a length that a model was not made for; a single frame is a picture.

    Args:
        geometry: of the model.
        transformer_config: with the shape that it was made for.
        height: pixels.
        width: pixels.
        num_frames: length.
    """
    own_height = transformer_config["sample_height"] * geometry.spatial_ratio
    own_width = transformer_config["sample_width"] * geometry.spatial_ratio
    own_frames = transformer_config["sample_frames"]
    if (height, width) == (own_height, own_width) and num_frames in (1, own_frames):
        return
    warnings.warn(
        f"This model was made for {own_frames} frames of {own_width}x{own_height}, and may draw people badly, or not "
        f"at all, in {num_frames} of {width}x{height}.",
        ShapeWarning,
        stacklevel=3,
    )


def _alternatives(value: int, step: int, *, offset: int, smallest: int) -> str:
    below = (value - offset) // step * step + offset
    choices = [choice for choice in (below, below + step) if choice >= smallest]
    return " or ".join(str(choice) for choice in choices or [smallest])
