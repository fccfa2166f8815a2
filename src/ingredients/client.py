"""Asks a server (`ingredients serve`) for videos, from another program; needs httpx, and nothing of the models.

client = Client("http://127.0.0.1:8080")
video = client.create(prompt="Two people wave on a beach", people={"ana": "ana.png", "ben": "ben.png"}, seed=3)
video = client.wait(video.id)
client.download(video.id, "out.mp4")
"""

import contextlib
import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ingredients.core.config import config_from_dict
from ingredients.core.errors import PhotoError, UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.input_files import read_bytes
from ingredients.core.optional_dependencies import import_optional
from ingredients.generation.jobs import JobState
from ingredients.generation.video_record import Variant, VideoRecord

if TYPE_CHECKING:
    import httpx

_MOST_PHOTO_BYTES = 2**30
_SECONDS_BETWEEN_TRIES = 1.0
_BUSY = (429, 503)
"""Statuses after which the same request may succeed a little later."""


class ServerError(UserInputError):
    """A request that the server refused, or could not answer; the message is its own sentence."""

    def __init__(self, message: str, *, status: int = 0, code: str = "unreachable") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo, where more is to be said than which file it is."""

    content: str | Path | bytes
    """The file, or what is in it."""

    face: str | int | None = None
    """Which face is meant: largest, left, right, or a number from the left."""


PhotoInput: TypeAlias = str | Path | bytes | Photo


class Client:
    """A server's other end; usable from several threads, and in a `with` block, which closes its connections."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8080",
        *,
        key: str | None = None,
        patience: float = 120.0,
        timeout: float = 60.0,
    ) -> None:
        """Notes whom to ask; nothing is sent yet.

        Args:
            address: the address of the server.
            key: if the server wants one.
            patience: seconds for which a server is asked again that is busy, loading its model or starting.
            timeout: seconds until an answer has to begin.

        Raises:
            MissingDependencyError: without httpx.
        """
        library = import_optional("httpx", extra="studio")
        self._transport_error: type[Exception] = library.TransportError
        self._patience = patience
        self._http: httpx.Client = library.Client(
            base_url=address,
            timeout=timeout,
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def create(
        self,
        *,
        prompt: str,
        people: Mapping[str, PhotoInput | Sequence[PhotoInput]],
        place: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> VideoRecord:
        """Asks for a video, and returns at once.

        Args:
            prompt: what happens.
            people: photos by name, one or several each.
            place: where people are to stand, by name: left, middle or right, edges such as (0.55, 0.2, 0.95, 0.9),
                or these by key frame, such as {0: "left", 8: "right"}.
            **options: other fields of the request, such as `seed`, `takes`, `size`, `seconds`, `scale` or
                `num_inference_steps`; None leaves one out.

        Raises:
            PhotoError: if a photo cannot be read.
            ServerError: if the server refuses.
        """
        fields: dict[str, Any] = {"prompt": prompt, "people": [], "faces": []}
        files = []
        for name, photos in people.items():
            for photo in [photos] if isinstance(photos, str | Path | bytes | Photo) else photos:
                spelled_out = photo if isinstance(photo, Photo) else Photo(content=photo)
                fields["people"].append(name)
                fields["faces"].append("" if spelled_out.face is None else str(spelled_out.face))
                files.append(("input_references", ("photo", _content(spelled_out, name), "application/octet-stream")))
        fields |= {name: _as_text(value) for name, value in options.items() if value is not None}
        if place:
            fields["place"] = json.dumps(place, allow_nan=False)
        return _video(self._ask("POST", "/v1/videos", data=fields, files=files, headers=_asked_once()).json())

    def remix(
        self,
        video_id: str,
        *,
        prompt: str | None = None,
        seed: int | None = None,
        takes: int | None = None,
        keep_routing: bool = False,
        routing: Mapping[str, Any] | None = None,
        only: Sequence[str] = (),
    ) -> VideoRecord:
        """Asks for another video of the same people.

        Args:
            video_id: the id of the first one.
            prompt: what happens; None: the same.
            seed: None: any other.
            takes: how many are made, of which the best is kept; None: as many.
            keep_routing: whether everybody is where the first one has them.
            routing: who is where: what `download` writes as its variant `routing`, edited.
            only: people who alone are made anew; the rest of the picture stays.

        Raises:
            ServerError: if the server refuses.
        """
        given = {"prompt": prompt, "seed": seed, "takes": takes, "routing": routing}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        changes |= {"keep_routing": keep_routing, "only": list(only)}
        return _video(self._ask("POST", f"/v1/videos/{video_id}/remix", json=changes, headers=_asked_once()).json())

    def retrieve(self, video_id: str) -> VideoRecord:
        """What the server says of a video.

        Raises:
            ServerError: if there is none.
        """
        return _video(self._ask("GET", f"/v1/videos/{video_id}").json())

    def videos(self, *, statuses: Sequence[JobState] = (), newest_first: bool = True) -> Iterator[VideoRecord]:
        """All videos, page by page as they are looked at.

        Args:
            statuses: those that are wanted; none: all.
            newest_first: whether the newest come first.

        Raises:
            ServerError: if the server refuses.
        """
        parameters: dict[str, Any] = {"limit": 100, "order": "desc" if newest_first else "asc"}
        if statuses:
            parameters["status"] = list(statuses)
        while True:
            page = self._ask("GET", "/v1/videos", params=parameters).json()
            yield from map(_video, page["data"])
            if not page["has_more"]:
                return
            parameters["after"] = page["last_id"]

    def events(self, video_id: str) -> Iterator[VideoRecord]:
        """A video each time that something about it changes, until it has ended; a lost connection is made again.

        Raises:
            ServerError: if there is no such video, or the server stays away.
        """
        given_up = time.monotonic() + self._patience
        while True:
            with (
                contextlib.suppress(self._transport_error),
                self._http.stream("GET", f"/v1/videos/{video_id}/events") as stream,
            ):
                if stream.status_code not in (*_BUSY, 200):
                    stream.read()
                    raise _refusal(stream)
                for line in stream.iter_lines() if stream.status_code == 200 else ():
                    if line.startswith("data: ") and '"object"' in line:  # the last event has no record
                        given_up = time.monotonic() + self._patience
                        video = _video(json.loads(line.removeprefix("data: ")))
                        yield video
                        if video.has_ended:
                            return
            if time.monotonic() > given_up:
                raise ServerError(f"The server at {self._http.base_url} does not answer; is it running?")
            time.sleep(_SECONDS_BETWEEN_TRIES)

    def wait(self, video_id: str, *, on_change: Callable[[VideoRecord], None] | None = None) -> VideoRecord:
        """Waits until a video has ended, however it has.

        Args:
            video_id: the id of the video.
            on_change: told of each change.

        Raises:
            ServerError: if there is no such video, or the server stays away.
        """
        last = None
        for last in self.events(video_id):
            if on_change is not None:
                on_change(last)
        assert last is not None
        return last

    def download(self, video_id: str, path: str | Path, *, variant: Variant = "video") -> None:
        """Writes a video, or a picture of it, to a file, which appears when it is complete.

        Args:
            video_id: the id of the video.
            path: the path of the file; one that is there is replaced.
            variant: which of its files.

        Raises:
            ServerError: if it is not done.
            OutputError: if the file cannot be written.
        """
        address, parameters = f"/v1/videos/{video_id}/content", {"variant": variant}
        with (
            atomic_path(path) as temporary,
            self._explained(),
            self._http.stream("GET", address, params=parameters) as stream,
        ):
            if stream.status_code != 200:
                stream.read()
                raise _refusal(stream)
            with temporary.open("wb") as file:
                for part in stream.iter_bytes():
                    file.write(part)

    def cancel(self, video_id: str) -> VideoRecord:
        """Ends a video at its next step; its record stays.

        Raises:
            ServerError: if there is none.
        """
        return _video(self._ask("POST", f"/v1/videos/{video_id}/cancel").json())

    def delete(self, video_id: str) -> None:
        """Ends a video and removes it, its photos and its files.

        Raises:
            ServerError: if there is none.
        """
        self._ask("DELETE", f"/v1/videos/{video_id}")

    def model(self) -> dict[str, Any]:
        """What the server says of its model; waits until it is loaded.

        Raises:
            ServerError: if it does not come to be.
        """
        given_up = time.monotonic() + self._patience
        while not (models := self._ask("GET", "/v1/models").json()["data"]):
            if time.monotonic() > given_up:
                raise ServerError(f"The server at {self._http.base_url} has no model yet; look at its log.")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        return dict(models[0])

    def _ask(self, method: str, path: str, **options: Any) -> "httpx.Response":
        """The answer to a request, which is sent again while the server is busy or away."""
        given_up = time.monotonic() + self._patience
        while True:
            with self._explained() if time.monotonic() > given_up else contextlib.suppress(self._transport_error):
                response = self._http.request(method, path, **options)
                if response.is_success:
                    return response
                if response.status_code not in _BUSY or time.monotonic() > given_up:
                    raise _refusal(response)
            time.sleep(_SECONDS_BETWEEN_TRIES)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._transport_error as error:
            raise ServerError(
                f"The server at {self._http.base_url} does not answer ({error or type(error).__name__}); is it "
                "running?"
            ) from error


def _content(photo: Photo, name: str) -> bytes:
    if isinstance(photo.content, bytes):
        return photo.content
    try:
        return read_bytes(photo.content, most_bytes=_MOST_PHOTO_BYTES)
    except OSError as error:
        raise PhotoError(
            f"The photo {photo.content} of {name} cannot be read ({error.strerror or error}); check the name."
        ) from error


def _asked_once() -> dict[str, str]:
    """A header with which a request is taken once, however often it has to be sent."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _video(record: Mapping[str, Any]) -> VideoRecord:
    return config_from_dict(VideoRecord, record, ignore_unknown=True)


def _refusal(response: "httpx.Response") -> ServerError:
    try:
        error = response.json()["error"]
        return ServerError(error["message"], status=response.status_code, code=error["code"])
    except (ValueError, KeyError, TypeError):
        return ServerError(
            f"What answers at {response.url} is no such server (status {response.status_code}); check the address.",
            status=response.status_code,
            code="no_server",
        )
