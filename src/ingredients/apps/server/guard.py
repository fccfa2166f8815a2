"""What stands in front of every request: who may ask, what every answer says about itself, and how long it took.

A page of a stranger's in the browser of somebody on this machine can send requests to a server that only listens to
this machine. So requests that name another origin are refused, as are those that name another host, which is how a
stranger's domain that points to this machine shows.
"""

import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from ingredients.apps.server.errors import ApiError
from ingredients.apps.server.metrics import Metrics
from ingredients.apps.server.settings import LOOPBACK_HOSTS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
"""Nothing from outside is loaded by any page of the server, nor may another site show it in a frame.

What does not say how long it may be kept is asked for anew, or a browser could put the page together from scripts of
two versions of the server.
"""


class Guard:
    """Wraps the app of the server."""

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        any_host: bool,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        """Notes what is let through.

        Args:
            app: that answers.
            metrics: where requests are counted.
            any_host: whether the server is asked by other names than this machine's own; its callers have keys then.
            allowed_origins: pages of other servers that may ask, such as `https://studio.example`.
        """
        self._app = app
        self._metrics = metrics
        self._any_host = any_host
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0
        headers = Headers(scope=scope)
        origin = headers.get("origin")

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answered.setdefault(name, value)
                if origin in self._allowed_origins:
                    answered["Access-Control-Allow-Origin"] = origin
                    answered["Cross-Origin-Resource-Policy"] = "cross-origin"
                    answered.add_vary_header("Origin")
            await send(message)

        refusal = self._refusal(scope, headers, origin)
        try:
            if refusal is not None:
                await refusal(scope, receive, send_on)
            else:
                await self._app(scope, receive, send_on)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.monotonic() - started
            self._metrics.count(route=route, method=scope["method"], status=status or 499, seconds=seconds)

    def _refusal(self, scope: Scope, headers: Headers, origin: str | None) -> Any:
        """The answer to whom it is not for; None for whom it is."""
        host = headers.get("host", "")
        if not self._any_host and _without_port(host) not in LOOPBACK_HOSTS:
            return _refused(
                421, "host", "This server answers on this machine only, at addresses such as http://127.0.0.1:8080."
            )
        if origin is None or origin in self._allowed_origins:
            if origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                return _allowed()
            return None
        if origin.partition("://")[2] != host:
            return _refused(403, "origin", "This server takes no requests from pages of other servers.")
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _refused(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def _allowed() -> JSONResponse:
    """What a browser is told that asks beforehand whether a page may ask."""
    return JSONResponse(
        {},
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Range",
            "Access-Control-Max-Age": "600",
        },
    )


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
