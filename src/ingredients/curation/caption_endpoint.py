"""Captions from any server that speaks the chat-completions shape with pictures: one of your own, or a hired one."""

import base64
import io
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import IngredientsError
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import CaptionsConfig

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers after which a request is sent once more."""

_LONGEST_WAIT = 60.0
_JPEG_QUALITY = 90


class CaptionError(IngredientsError):
    """A caption that cannot be had now, through no fault of the clip."""


class EndpointCaptioner:
    """A `Captioner` of `ingredients.curation.captions`.

    Args:
        config: the settings of captions.
        sleep: waits so many seconds; for tests.

    Raises:
        MissingDependencyError: without httpx.
    """

    def __init__(self, config: CaptionsConfig, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._next_at = 0.0
        self._library: Any = import_optional("httpx", extra="curate")
        key = os.environ.get(config.key_variable)
        headers = {} if not key else {"Authorization": f"Bearer {key}"}
        self._http = self._library.Client(headers=headers, timeout=config.timeout_seconds)

    def caption(self, pictures: Sequence[UInt8Array], prompt: str) -> str:
        """What the server says of pictures.

        Raises:
            CaptionError: if the server cannot be reached, refuses, or says nothing, for as often as it was asked.
        """
        url = f"{self._config.base_url.rstrip('/')}/chat/completions"
        content = [{"type": "text", "text": prompt}, *(_as_content(picture) for picture in pictures)]
        question = {
            "model": self._config.model,
            "max_tokens": self._config.max_tokens,
            "temperature": 0,
            "messages": [{"role": "user", "content": content}],
        }
        problem, said_to_wait = "", None
        for attempt in range(self._config.most_attempts):
            if attempt:
                self._sleep(self._wait(attempt, said_to_wait))
            self._keep_to_the_rate()
            said_to_wait = None
            try:
                answer = self._http.post(url, json=question)
            except self._library.HTTPError as error:
                problem = f"cannot be reached ({error or type(error).__name__})"
                continue
            if answer.status_code in (401, 403):
                raise CaptionError(
                    f"The server {self._config.base_url} does not know the key; put it into the environment's "
                    f"variable {self._config.key_variable}."
                )
            if answer.status_code in _AGAIN:
                problem, said_to_wait = f"answers {answer.status_code}", answer.headers.get("Retry-After")
                continue
            if answer.status_code != 200:
                raise CaptionError(
                    f"The server {self._config.base_url} answers {answer.status_code} to a request for a caption by "
                    f"{self._config.model}: {answer.text[:200]}"
                )
            return _answer(answer, self._config)
        raise CaptionError(
            f"The server {self._config.base_url} {problem}, {self._config.most_attempts} times in a row; run the same "
            "command again later: what was captioned is kept."
        )

    def _wait(self, attempt: int, said: str | None) -> float:
        """Seconds until the next attempt: what the server said, or twice as long each time."""
        try:
            return min(max(float(said or ""), 0.0), _LONGEST_WAIT)
        except ValueError:
            return min(2.0 ** (attempt - 1), _LONGEST_WAIT)

    def _keep_to_the_rate(self) -> None:
        """Waits until the next request may be sent."""
        now = time.monotonic()
        if now < self._next_at:
            self._sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + 60 / self._config.requests_a_minute


def _as_content(picture: UInt8Array) -> dict[str, Any]:
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=_JPEG_QUALITY)
    encoded = base64.b64encode(stored.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}


def _answer(answer: Any, config: CaptionsConfig) -> str:
    try:
        said = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CaptionError(
            f"The server {config.base_url} answers in another shape than chat-completions: {answer.text[:200]}"
        ) from error
    if not isinstance(said, str) or not said.strip():
        raise CaptionError(f"The server {config.base_url} says nothing of a clip.")
    return said.strip()
