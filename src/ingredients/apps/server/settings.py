"""What the operator of a server decides: how much a caller may ask for, and what holds where a caller says nothing."""

import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Any

from ingredients.apps.server.errors import ApiError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What a request may ask for."""

    most_upload_bytes: int = 64 * 2**20
    """Size of a request, photos and all."""

    most_photo_pixels: int = 40_000_000
    """Pixels of a photo, as its header says, before anything is decoded."""

    most_people: int = 8
    """People in a video."""

    most_photos: int = 24
    """Photos of all of them."""

    most_video_pixels: int = 50_000_000
    """Width times height times frames of a video, and of its enlarged file 16 times that."""

    most_steps: int = 200
    """Denoising steps."""

    most_takes: int = 8
    """Takes of a video, of which one is kept."""

    requests_per_minute: int = 60
    """Videos that one caller may ask for in a minute, on average."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerDefaults:
    """What holds where a request says nothing; None, here too, leaves it to the model."""

    negative_prompt: str | None = None
    """What videos are led away from."""

    sampling: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of `SamplingSettings`, by name."""

    num_frames: int | None = None
    """Length in frames."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    scale: int = 1
    """The whole number of pixels to which each pixel is enlarged in the file."""


class RateLimiter:
    """Lets each caller do something so many times a minute on average, and as often at once."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, float]] = {}  # those left, and when that was so

    def take(self, caller: str) -> None:
        """Counts once.

        Raises:
            ApiError: with status 429, if the caller has to wait.
        """
        with self._lock:
            now = time.monotonic()
            left, then = self._tokens.get(caller, (float(self._per_minute), now))
            left = min(float(self._per_minute), left + (now - then) * self._per_minute / 60)
            if left < 1:
                seconds = max(1, round((1 - left) * 60 / self._per_minute))
                raise ApiError(
                    429,
                    "rate_limit",
                    f"More than {self._per_minute} videos were asked for in a minute; try again in {seconds} s.",
                    headers={"Retry-After": str(seconds)},
                )
            self._tokens[caller] = (left - 1, now)
