"""What goes wrong with a request: JSON with a code and a sentence, never a traceback or a path of the server."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import found, shorten
from ingredients.core.printable import printable
from ingredients.generation.job_store import JobStore, QueueFullError, StoreFullError
from ingredients.generation.jobs import JobError, error_code, explain_error, private_folders

_LOG = logging.getLogger(__name__)

_TYPES = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
}


class ApiError(UserInputError):
    """A request that is refused."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What somebody is told of an error."""

    status: int
    """The status of the response."""

    error: JobError
    """Code and sentence."""

    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """More of its headers."""


_DOING = {
    "/v1/judgements": "judge this video",
    "/v1/faces": "look at this photo",
    "/v1/drawings": "draw this person",
    "/v1/estimates": "say what this video would take",
}
"""What the server does at an address, where it is not to make a video."""

SERVER_FAILED = JobError(code="server_error", message="The server failed; its operator finds the reason in the log.")
"""What is told of an error that nobody expects."""


def refusal_of(error: UserInputError, *, about: str, private: Mapping[str, str]) -> Refusal:
    """What is told of an error.

    Args:
        error: whose sentence is about the request, or about the machine.
        about: the address that was asked, under which the operator finds it in the log.
        private: as `explain_error` takes it.
    """
    if isinstance(error, ApiError):
        return Refusal(status=error.status, error=JobError(code=error.code, message=str(error)), headers=error.headers)
    explained = explain_error(error, job_id=about, private=private, doing=_DOING.get(about, "make this video"))
    if isinstance(error, QueueFullError):
        return Refusal(status=429, error=explained, headers={"Retry-After": "10"})
    if isinstance(error, StoreFullError):
        return Refusal(status=507, error=explained)
    if explained.code != error_code(error):  # no fault of the request
        _LOG.error("%s: %s", about, error)
        return Refusal(status=500, error=explained)
    return Refusal(status=400, error=explained)


def stopping() -> ApiError:
    """What somebody is told who waits when the server is about to end."""
    return ApiError(503, "stopping", "The server stops; ask again when it is back.")


def error_response(status: int, error: JobError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that says what went wrong."""
    return JSONResponse(
        {"error": {"code": error.code, "message": error.message}},
        status_code=status,
        headers=None if headers is None else dict(headers),
    )


def add_error_handlers(app: FastAPI, store: JobStore) -> None:
    """Has an app answer every error in this form."""
    private = private_folders(store.folder)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UserInputError)
        refusal = refusal_of(error, about=request.url.path, private=private)
        return error_response(refusal.status, refusal.error, headers=refusal.headers)

    async def unfit(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return error_response(422, JobError(code="invalid_request", message=unfit_sentence(error.errors())))

    async def not_served(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        sentences = {
            404: ("not_found", f"There is nothing at {printable(request.url.path, most=200)}; /docs lists what is."),
            405: ("method_not_allowed", f"This address does not take {printable(request.method, most=20)}."),
            416: ("range", "The file has no such range."),
        }
        code, message = sentences.get(
            error.status_code, ("invalid_request", "The request cannot be read; /docs shows the form of requests.")
        )
        return error_response(error.status_code, JobError(code=code, message=message), headers=error.headers)

    async def broken(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(500, SERVER_FAILED)

    app.add_exception_handler(UserInputError, refused)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, not_served)
    app.add_exception_handler(Exception, broken)


def unfit_sentence(problems: Any, *, fields: Mapping[str, Any] | None = None) -> str:
    """One sentence about the first thing that does not fit a schema.

    Args:
        problems: as pydantic lists them.
        fields: the fields that there are, by name.
    """
    problem = problems[0]
    place = ".".join(str(each) for each in problem["loc"] if each not in ("body", "query", "path"))
    name, kind = shorten(place)[:100] or "the request", problem["type"]
    value, context = found(problem.get("input")), problem.get("ctx") or {}
    if kind == "extra_forbidden":
        known = f"; the fields are {', '.join(fields)}" if fields else ""
        return f"There is no field {name}{known}."
    if kind == "missing":
        return f"The field {name} is missing."
    bounds = {
        "greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most"),
        "greater_than": ("gt", "more than"), "less_than": ("lt", "less than"),
    }  # fmt: skip
    if kind in bounds:
        key, words = bounds[kind]
        return f"{name} must be {words} {context[key]}, not {value}."
    if kind in ("too_long", "string_too_long"):
        return f"{name} is too long; it may have {context['max_length']} {'letters' if 'string' in kind else 'items'}."
    if kind in ("string_pattern_mismatch", "literal_error", "enum"):
        return f"{name} cannot be {value}; it must be {context.get('expected') or context.get('pattern')}."
    for prefix, words in _TYPES.items():
        if kind.startswith(prefix):
            return f"{name} must be {words}, not {value}."
    return f"{name} cannot be {value}: {shorten(str(problem.get('msg', '')))}."
