"""What a captioner says of a clip's pictures, in its own words: kept, as answers take time or money.

What becomes of the words is decided by the step after this one, `curation/captions.py`: its settings, and those of
people and masks, ask nobody again.

Legend: F frames, H/W pixels.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ingredients.core.arrays import UInt8Array
from ingredients.core.progress import duration_in_words
from ingredients.curation.config import CaptionsConfig
from ingredients.curation.cut import spread
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection

PROMPT = (
    "These pictures are frames of one short video, in order. Say in one or two plain sentences what happens: who does "
    "what, with which expression, where, and in which light. Tell people apart by their place alone: the person on "
    "the left, the person on the right, the person in the middle. Never say what anybody looks like: no hair, beard, "
    "skin, age, sex, build, clothes, hats or glasses. Do not begin with 'The video'."
)


class Captioner(Protocol):
    """Writes a sentence about pictures."""

    def caption(self, pictures: Sequence[UInt8Array], prompt: str) -> str:
        """What happens in pictures (H, W, 3) of one clip, in order.

        Raises:
            CaptionError: if it cannot be had now; nothing is kept then, and the next run asks again.
        """
        ...


class Answers(ClipStep):
    """Asks a captioner what happens in a clip."""

    name, cost, title = "answers", "network", "Asking for captions"
    needs = ("cut",)
    measured_by = (
        "captions.by",
        "captions.model",
        "captions.base_url",
        "captions.num_pictures",
        "captions.longest_side",
        "captions.max_tokens",
    )

    @functools.cached_property
    def captioner(self) -> Captioner:
        """The captioner, made when the first clip comes."""
        return open_captioner(self.config.captions)

    def measure(self, clip: Clip) -> Measured:
        """What it `said`, as it said it."""
        config = self.config.captions
        chosen = spread(range(len(clip.frames)), config.num_pictures)
        pictures = [_scaled(clip.frames[each], config.longest_side) for each in chosen]
        return {"said": self.captioner.caption(pictures, PROMPT)}

    def decide(self, measured: Measured) -> Rejection | None:
        """Words decide nothing by themselves."""
        return None


@functools.lru_cache(maxsize=1)
def open_captioner(config: CaptionsConfig) -> Captioner:
    """Makes what writes captions.

    Raises:
        UserInputError: if its model is not there.
        MissingDependencyError: if its library is not installed.
    """
    if config.by == "endpoint":
        from ingredients.curation.caption_endpoint import EndpointCaptioner

        return EndpointCaptioner(config)
    from ingredients.curation.qwen import load_qwen

    return load_qwen(Path(str(config.model)), max_tokens=config.max_tokens)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptionCost:
    """What captions will cost, by estimate."""

    num_requests: int
    """Questions that are sent, one a clip."""

    input_tokens: int
    """Tokens that are read, pictures included."""

    output_tokens: int
    """Tokens that are written, at most."""

    dollars: float
    """The cost by the prices of the settings."""

    minutes: float
    """Time that it takes at the rate of the settings, in one process."""

    @property
    def sentence(self) -> str:
        """All of it for a person."""
        price = f"{self.dollars:.2f} US dollars" if self.dollars else "no price given (captions.dollars_per_million_*)"
        return (
            f"{self.num_requests} requests, {self.input_tokens:,} tokens read, up to {self.output_tokens:,} written, "
            f"{price}, no less than {duration_in_words(60 * self.minutes)} with one process"
        )


_PIXELS_A_TOKEN = 28 * 28  # of Qwen2-VL: patches of 14 pixels, four of which make a token
_LETTERS_A_TOKEN = 4


def estimate_cost(num_clips: int, config: CaptionsConfig) -> CaptionCost:
    """What captions by a server will cost at most: pictures of 3:2 in Qwen2-VL's tokens, and the longest answers."""
    pixels = config.longest_side * config.longest_side * 2 // 3
    tokens = config.num_pictures * (pixels // _PIXELS_A_TOKEN) + len(PROMPT) // _LETTERS_A_TOKEN
    read, written = num_clips * tokens, num_clips * config.max_tokens
    dollars = (read * config.dollars_per_million_input + written * config.dollars_per_million_output) / 1e6
    return CaptionCost(
        num_requests=num_clips,
        input_tokens=read,
        output_tokens=written,
        dollars=dollars,
        minutes=num_clips / config.requests_a_minute,
    )


def _scaled(picture: UInt8Array, longest_side: int) -> UInt8Array:
    import numpy as np
    from PIL import Image

    scale = longest_side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(round(side * scale), 1) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
