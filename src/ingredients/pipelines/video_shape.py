"""Which sizes and lengths a model can make, and the grids that follow from them."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import psutil

from ingredients.core.errors import OutOfMemoryError, ShapeError, UserInputError
from ingredients.core.model_files import read_json
from ingredients.core.token_time import front_padding, token_frames
from ingredients.models.vae_ratios import spatial_ratio_of_vae, temporal_ratio_of_vae

if TYPE_CHECKING:
    from ingredients.models.backbone import Backbone, Config


FPS = 8.0
"""Frames a second of every model's videos (4.1), and of clips that are drawn to compare with them."""


class ShapeWarning(UserWarning):
    """A size or a length that a model can compute and was not made for."""


class VideoShape(NamedTuple):
    """Size and length of a video."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    num_frames: int
    """Frames."""

    def check_memory(self, least: int | None = None) -> None:
        """Refuses what could only end with the system killing the process: no allocation fails before that.

        Args:
            least: bytes that making it takes at least; None counts its frames alone, which no model can do without.

        Raises:
            OutOfMemoryError: if the machine has less.
        """
        least, total = least or 3 * self.num_frames * self.height * self.width, psutil.virtual_memory().total
        if least > total:
            raise OutOfMemoryError(
                f"This video needs about {least / 1e9:.1f} GB of memory at least, and the machine has "
                f"{total / 1e9:.1f} GB; make fewer frames with --num-frames, or a smaller video with --height and "
                "--width."
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoGeometry:
    """How a model divides a video: what the VAE compresses and the transformer joins into tokens."""

    spatial_ratio: int
    """Pixels along one side of a latent cell."""

    temporal_ratio: int
    """Frames in one latent frame, but for the first, which is one frame alone."""

    patch_size: int
    """Latent cells along one side of a video token."""

    own_shape: VideoShape
    """The shape that the model was made for."""

    patch_size_t: int | None = None
    """Latent frames that the transformer joins to one frame of tokens; None as 1."""

    only_shape: VideoShape | None = None
    """The shape of a model with learned positions, which can make no other."""

    @classmethod
    def of(
        cls, backbone: Backbone, transformer_config: Config, vae_config: Config, *, heeds_positions: bool = False
    ) -> Self:
        """The geometry of a model, by the configurations of its parts.

        Args:
            backbone: the backbone of the model.
            transformer_config: sizes of the transformer.
            vae_config: sizes of the VAE.
            heeds_positions: whether learned positions, which can be dropped, leave it one shape only.
        """
        spatial_ratio = backbone.spatial_ratio(vae_config)
        own_shape = VideoShape(
            height=transformer_config["sample_height"] * spatial_ratio,
            width=transformer_config["sample_width"] * spatial_ratio,
            num_frames=transformer_config["sample_frames"],
        )
        is_fixed = heeds_positions and transformer_config["use_learned_positional_embeddings"]
        return cls(
            spatial_ratio=spatial_ratio,
            temporal_ratio=backbone.temporal_ratio(vae_config),
            patch_size=transformer_config["patch_size"],
            own_shape=own_shape,
            patch_size_t=transformer_config["patch_size_t"],
            only_shape=own_shape if is_fixed else None,
        )

    @classmethod
    def peek(cls, folder: Path) -> Self | None:
        """The geometry that the plain configurations in a model folder tell of, without the libraries that read them.

        Learned positions, which may be dropped, count for nothing.

        Args:
            folder: the folder of a whole model.

        Returns:
            None where they tell too little; then the model itself has to be asked.
        """
        try:
            transformer, vae = (read_json(folder / part / "config.json") for part in ("transformer", "vae"))
            if vae["_class_name"] != "AutoencoderKLCogVideoX":
                return None
            sizes = [transformer[name] for name in ("sample_height", "sample_width", "sample_frames", "patch_size")]
            sizes += [spatial_ratio_of_vae(vae), temporal_ratio_of_vae(vae)]
            patch_size_t = transformer.get("patch_size_t")
        except (UserInputError, LookupError, TypeError, ValueError):  # which the model itself says better
            return None
        given = sizes if patch_size_t is None else [*sizes, patch_size_t]
        if not all(type(size) is int and size > 0 for size in given):
            return None
        rows, columns, num_frames, patch_size, spatial_ratio, temporal_ratio = sizes
        return cls(
            spatial_ratio=spatial_ratio,
            temporal_ratio=temporal_ratio,
            patch_size=patch_size,
            own_shape=VideoShape(height=rows * spatial_ratio, width=columns * spatial_ratio, num_frames=num_frames),
            patch_size_t=patch_size_t,
        )

    def shape(self, *, height: int | None, width: int | None, num_frames: int | None) -> VideoShape:
        """The shape that is asked for, in which None takes the model's own; it need not be one that can be made."""
        own = self.own_shape
        return VideoShape(
            height=height or own.height, width=width or own.width, num_frames=num_frames or own.num_frames
        )

    @property
    def size_multiple(self) -> int:
        """What height and width must be a multiple of."""
        return self.spatial_ratio * self.patch_size

    @property
    def frame_step(self) -> int:
        """Frames by which a video can grow: a causal VAE decodes exactly one frame more than a multiple of this.

        A VAE without compression in time takes any number.
        """
        return 1 if self.temporal_ratio == 1 else 2 * self.temporal_ratio

    def check(self, shape: VideoShape) -> None:
        """Checks a shape.

        Raises:
            ShapeError: if the model cannot make it; the message names the nearest that it can.
        """
        height, width, num_frames = shape
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
        if self.only_shape is not None and shape != self.only_shape:
            only_height, only_width, only_frames = self.only_shape
            raise ShapeError(
                f"This model has learned positions and makes only {only_frames} frames of {only_height} high and "
                f"{only_width} wide, not {num_frames} frames of {height} high and {width} wide."
            )

    def latent_shape(self, shape: VideoShape) -> tuple[int, int, int]:
        """(frames, rows, columns) of the latents of a video."""
        frames = (shape.num_frames - 1) // self.temporal_ratio + 1
        return frames, shape.height // self.spatial_ratio, shape.width // self.spatial_ratio

    def front_padding(self, shape: VideoShape) -> int:
        """Latent frames that are put in front while a video is denoised, so that temporal patches fit."""
        return front_padding(self.latent_shape(shape)[0], self.patch_size_t)

    def token_grid(self, shape: VideoShape) -> tuple[int, int, int]:
        """(frames, rows, columns) of the video tokens, which the transformer orders frame, row, column."""
        frames, rows, columns = self.latent_shape(shape)
        frames = (frames + self.front_padding(shape)) // (self.patch_size_t or 1)
        return frames, rows // self.patch_size, columns // self.patch_size

    def token_frames(self, num_frames: int) -> list[range]:
        """The frames of the video that each frame of tokens stands for."""
        return token_frames(num_frames, temporal_ratio=self.temporal_ratio, patch_size_t=self.patch_size_t)

    def frames_made_together(self, num_frames: int) -> int:
        """Frames of the video that are made as one after the first, which is made alone.

        They are those of a frame of tokens; of a latent frame where temporal patches begin with more than one.
        """
        first, *later = (len(frames) for frames in self.token_frames(num_frames))
        return later[0] if first == 1 and len(set(later)) == 1 else self.temporal_ratio


def warn_about_shape(geometry: VideoGeometry, shape: VideoShape) -> None:
    """Warns with `ShapeWarning` of a size or a length that a model was not made for; a single frame is a picture."""
    own, (height, width, num_frames) = geometry.own_shape, shape
    if (height, width) == (own.height, own.width) and num_frames in (1, own.num_frames):
        return
    warnings.warn(
        f"This model was made for {own.num_frames} frames of {own.width}x{own.height}, and may draw people badly, or "
        f"not at all, in {num_frames} of {width}x{height}.",
        ShapeWarning,
        stacklevel=3,
    )


def _alternatives(value: int, step: int, *, offset: int, smallest: int) -> str:
    below = (value - offset) // step * step + offset
    choices = [choice for choice in (below, below + step) if choice >= smallest]
    return " or ".join(str(choice) for choice in choices or [smallest])
