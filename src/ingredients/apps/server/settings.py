"""What the operator of a server decides: who may reach it, how much a caller may ask for, and what else holds.

Nothing here needs a library of the server, so that the command line sees mistakes before it waits for them.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ingredients.core.errors import UserInputError

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")

_MOST_WORKERS = 64
_WORKERS = re.compile(
    r"(?P<alone>[0-9]{1,3})|(?P<address>ray(://[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5})?)(#(?P<number>[0-9]{1,3}))?"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """How many workers make videos, and where."""

    number: int | None = 1
    """How many; None: as many as the cluster has GPUs."""

    ray_address: str | None = None
    """The address of a Ray cluster, `ray` for one on this machine; None: processes of this machine."""

    @classmethod
    def parse(cls, text: str) -> "WorkerPlan":
        """Reads `4`, `ray`, `ray://HOST:PORT`, or one of the last two with the number behind it, as in `ray#4`.

        Raises:
            UserInputError: for anything else.
        """
        found = _WORKERS.fullmatch(text)
        number = None if found is None else found["alone"] or found["number"]
        if found is None or (number is not None and not 1 <= int(number) <= _MOST_WORKERS):
            raise UserInputError(
                f"The workers cannot be {text!r}; give a number from 1 to {_MOST_WORKERS}, ray or ray://HOST:PORT, or "
                "ray://HOST:PORT#NUMBER."
            )
        return cls(number=None if number is None else int(number), ray_address=found["address"])


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


def check_host(host: str, *, has_keys: bool) -> None:
    """Refuses to let everybody in.

    Raises:
        UserInputError: without keys, for an address that others can reach.
    """
    if not has_keys and host not in LOOPBACK_HOSTS:
        raise UserInputError(
            f"Without keys the server listens on this machine only, not on {host}; make a key with `ingredients keys "
            "add NAME --keys FILE` and give --keys FILE, or leave --host out."
        )
