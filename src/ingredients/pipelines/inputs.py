"""What a call of the pipeline may be given beside photos: canvases, seeds, prompts and embeddings, forced routing.

Legend: B canvases or videos, H/W pixels, N identities, R recognition dim, S semantic dim, L video tokens (ordered
frame, row, column), f/h/w grid of video tokens.
"""

import dataclasses
import math
import operator
from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias, cast

import numpy as np
import torch
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ArgumentError, ShapeError
from ingredients.core.finite import check_given
from ingredients.core.ranges import check_number
from ingredients.media.photos import read_photo
from ingredients.models.id_router import Routing
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.prompts import check_prompts

CanvasImage: TypeAlias = Image.Image | UInt8Array | Float32Array
CanvasInput: TypeAlias = CanvasImage | torch.Tensor | Sequence[CanvasImage]
"""A Pillow image, read as its file is; RGB pixels (H, W, 3) or (B, H, W, 3), uint8, or floating-point numbers in
[0, 1] as diffusers has them; a list of such images; or a tensor (B, 3, H, W), uint8 or in [-1, 1]."""

GeneratorInput: TypeAlias = SupportsIndex | torch.Generator | Sequence[SupportsIndex | torch.Generator]
"""A seed or a generator for all videos of a call, or one for each."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branches:
    """What the method's two branches do in a video: the canvas (global), and the routed identities (local)."""

    use_canvas: bool = True
    """False drops the global branch: image latents are zero."""

    use_identities: bool = True
    """False drops the local branch: nothing is routed or added."""

    face_scale: float = 1.0
    """alpha_m of Eq. 4, the strength of the local branch; any number, 0 is without."""

    routing: Routing | None = None
    """How tokens choose identities: `argmax`, `softmax` or `uniform`; None takes the model's own."""

    routing_indices: torch.Tensor | None = None
    """An identity forced on each video token, -1 for none: (L), (B, L), or the grid (f, h, w) or (B, f, h, w)."""

    def __post_init__(self) -> None:
        """Checks the strength.

        Raises:
            ArgumentError: if it is no number.
        """
        check_number("face_scale", self.face_scale)

    @property
    def can_be_planned(self) -> bool:
        """Whether a layout may say at the start who is where: there are identities, and nothing else says it."""
        return self.use_identities and self.routing is None and self.routing_indices is None


_NUM_SEEDS = 2**64

_ROUNDING = 1e-2
"""By which half precision may leave a range."""


def canvas_to_tensor(canvas: CanvasInput, *, height: int, width: int) -> torch.Tensor:
    """Turns a canvas, or one for each video, into what the VAE reads.

    Returns:
        (B, 3, H, W) float32 in [-1, 1].

    Raises:
        ShapeError: if it is not of the video's size.
        ArgumentError: if its values are not in the range of its kind.
        PhotoError: if it is a Pillow image that cannot be read.
    """
    if isinstance(canvas, torch.Tensor):
        values = canvas / 127.5 - 1 if canvas.dtype == torch.uint8 else canvas
        _check_range(values, low=-1, expected="a tensor must be uint8, or lie in [-1, 1]")
    else:
        images = cast(list[CanvasImage], list(canvas) if isinstance(canvas, list | tuple) else [canvas])
        values = torch.cat([_image_to_tensor(image) for image in images])
    if values.shape[1:] != (3, height, width):
        raise ShapeError(
            f"The canvas has shape {tuple(values.shape)}, but a video {height} high and {width} wide needs "
            f"(B, 3, {height}, {width}); make it with compose_canvas(crops, {height}, {width})."
        )
    return values.float()


def _image_to_tensor(image: CanvasImage) -> torch.Tensor:
    """(B, 3, H, W) in [-1, 1] of an image, or of B."""
    pixels = read_photo(image, "canvas") if isinstance(image, Image.Image) else np.asarray(image)
    pixels = pixels[None] if pixels.ndim == 3 else pixels  # (B, H, W, 3)
    if pixels.dtype == np.uint8:
        values = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)
    else:
        values = torch.from_numpy(pixels.astype(np.float32))
        _check_range(values, low=0, expected="an array must be uint8, or lie in [0, 1]")
        values = values * 2 - 1
    return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


def _check_range(values: torch.Tensor, *, low: float, expected: str) -> None:
    smallest, largest = (float(each) for each in values.float().aminmax())
    if not low - _ROUNDING <= smallest <= largest <= 1 + _ROUNDING:  # NaN neither
        raise ArgumentError(f"The values of the canvas go from {smallest:g} to {largest:g}: {expected}.")


def generator_from_seed(seed: int) -> torch.Generator:
    """A generator on the CPU, so that a seed means the same video on every device.

    Every integer is a seed, 0 and negative ones too; they are taken modulo 2**64.
    """
    return torch.Generator("cpu").manual_seed(seed % _NUM_SEEDS)


def make_generators(
    generator: GeneratorInput | None, num_videos: int
) -> torch.Generator | list[torch.Generator] | None:
    """Turns seeds into generators: one that all videos share, or a list with one for each video.

    Raises:
        ArgumentError: if a list has another length than there are videos, or something is no seed.
    """
    if generator is None:
        return None
    if isinstance(generator, np.ndarray | torch.Tensor) and generator.ndim > 0:
        generator = generator.tolist()
    if not isinstance(generator, list | tuple):
        return _make_generator(generator)
    if len(generator) != num_videos:
        raise ArgumentError(f"{len(generator)} generators were given for {num_videos} videos.")
    return [_make_generator(each) for each in generator]


def _make_generator(given: object) -> torch.Generator:
    if isinstance(given, torch.Generator):
        return given
    try:
        seed = operator.index(given)  # type: ignore[arg-type] # numpy's and PyTorch's whole numbers are some, too
    except TypeError:
        raise ArgumentError(f"A seed must be a whole number or a torch.Generator, not {given!r}.") from None
    return generator_from_seed(seed)


def check_inputs(
    *,
    people: object,
    prompt: str | Sequence[str] | None,
    prompt_embeds: torch.Tensor | None,
    negative_prompt: str | Sequence[str] | None,
    negative_prompt_embeds: torch.Tensor | None,
    latents: torch.Tensor | None,
) -> None:
    """Says whether what a call was given goes together and is all numbers; what it means is in `__call__`.

    Raises:
        PromptError: if a prompt is empty.
        NotFiniteError: if something holds values that are no numbers.
        ValueError: if arguments contradict each other.
    """
    if (prompt is None) == (prompt_embeds is None):
        raise ValueError("Give either prompt or prompt_embeds.")
    if prompt is not None:
        check_prompts(as_list(prompt))
    if negative_prompt is not None and negative_prompt_embeds is not None:
        raise ValueError("Give either negative_prompt or negative_prompt_embeds.")
    if prompt_embeds is not None and negative_prompt_embeds is not None:
        shapes = tuple(prompt_embeds.shape), tuple(negative_prompt_embeds.shape)
        if shapes[0] != shapes[1]:
            raise ValueError(f"prompt_embeds {shapes[0]} and negative_prompt_embeds {shapes[1]} differ in shape.")
    check_given("latents", [latents])
    check_given("prompt_embeds", [prompt_embeds])
    check_given("negative_prompt_embeds", [negative_prompt_embeds])
    if not isinstance(people, PeopleEmbeds):
        return
    mask = people.id_mask
    for name, tensors in {
        "id_embeds": [people.id_embeds],
        "id_vit_hidden_states": people.id_vit_hidden_states,
    }.items():
        real = [  # padding may hold anything
            tensor if mask is None or tensor.shape[: mask.ndim] != mask.shape else tensor[mask.to(tensor.device)]
            for tensor in tensors
        ]
        check_given(name, real)


def per_video_indices(
    routing_indices: torch.Tensor, token_grid: tuple[int, int, int], batch_size: int
) -> torch.Tensor:
    """(B, L) of indices given for one video or for each, flat or on the grid of tokens."""
    if tuple(routing_indices.shape[-3:]) == token_grid:
        routing_indices = routing_indices.flatten(-3)
    num_tokens = math.prod(token_grid)
    if routing_indices.ndim > 2 or routing_indices.shape[-1] != num_tokens:
        raise ShapeError(
            f"routing_indices have shape {tuple(routing_indices.shape)}, but these videos have {num_tokens} tokens, "
            f"{token_grid} by frame, row and column."
        )
    return routing_indices.expand(batch_size, num_tokens)


def count_people(people: PeopleEmbeds) -> list[int]:
    """People of each row of `id_embeds` (rows, N, R + S), padding left out."""
    if people.id_mask is None:
        return [people.id_embeds.shape[1]] * len(people.id_embeds)
    return [int(number) for number in people.id_mask.sum(dim=1)]


def names_of_prompts(people: PeopleEmbeds | None, num_prompts: int) -> list[tuple[str, ...]]:
    """What the people of each prompt are called; nothing where they have no names.

    Args:
        people: those with the names of all, or those for each prompt.
        num_prompts: how many prompts there are.

    Raises:
        ValueError: if these are other numbers of people, or of prompts.
    """
    if people is None or not people.names:
        return [()] * num_prompts
    names, number = people.names, people.id_embeds.shape[-2]
    rows = [tuple(names)] * num_prompts if isinstance(names[0], str) else [tuple(each) for each in names]
    if len(rows) != num_prompts:
        raise ValueError(f"names are given for {len(rows)} prompts, but there are {num_prompts}.")
    if any(len(row) != number for row in rows):
        raise ValueError(f"names must be {number} for each prompt, as many as id_embeds.")
    return cast(list[tuple[str, ...]], rows)


def as_list(texts: str | Sequence[str]) -> list[str]:
    """A text, or several, as a list."""
    return [texts] if isinstance(texts, str) else list(texts)
