"""Whatever went wrong, as `application/problem+json` (RFC 9457). Nothing that was sent is ever echoed but by `errors.quote`."""

from __future__ import annotations

import uuid

import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from app.codes import title_of
from app.validation import validation_error
from headstart.errors import HeadstartError, Malformed, NotFound, TooLarge, Unavailable
from headstart.specs.problems import FieldError, Problem

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
MAX_FAULTS = 20
"""Fields listed in one problem."""
MAX_INSTANCE = 256
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Refusal(HTTPException):
    """A `HeadstartError` on its way through code that lets nothing but `HTTPException` pass."""

    def __init__(self, error: HeadstartError) -> None:
        super().__init__(error.status)
        self.error = error


class MethodNotAllowed(HeadstartError):
    status = 405


def problem_response(scope: Scope, error: HeadstartError) -> Response:
    """The answer that says `error`."""
    path = (scope.get("raw_path") or scope["path"].encode("utf-8", "replace")).decode("ascii", "replace")
    problem = Problem(
        type=f"/docs/errors#{error.code}",
        title=title_of(error.code),
        status=error.status,
        code=error.code,
        detail=error.message,
        hint=error.hint,
        instance=path[:MAX_INSTANCE],
        request_id=scope.get("state", {}).get("request_id", ""),
        errors=[FieldError(pointer=fault.pointer, row=fault.row, message=fault.message) for fault in error.faults[:MAX_FAULTS]],
    )
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return Response(problem.model_dump_json(), error.status, headers, MEDIA_TYPE)


def as_error(exc: BaseException, scope: Scope) -> HeadstartError:
    """The words for an exception; one that nobody foresaw is logged under an incident id, and only the id is told."""
    if isinstance(exc, HeadstartError):
        return exc
    if isinstance(exc, Refusal):
        return exc.error
    if isinstance(exc, RequestValidationError):
        return validation_error(exc.errors(), scope)
    if isinstance(exc, HTTPException):
        return _of_http(exc, scope)
    if isinstance(exc, PoolTimeout):
        return Unavailable("unavailable", "The database is busy.", "Try again shortly.", retry_after_seconds=2)
    incident = uuid.uuid4().hex[:12]
    log.error("request_failed", incident=incident, exc_info=exc)
    return HeadstartError("internal", f"Something failed on our side (incident {incident}).", "Tell the operator the incident id.")


def _of_http(exc: HTTPException, scope: Scope) -> HeadstartError:
    if exc.status_code == 404:
        return NotFound("not_found", "There is nothing at this address.", "GET /openapi.json lists what there is.")
    if exc.status_code == 405:
        allowed = ", ".join(_allowed(scope))
        return MethodNotAllowed("method_not_allowed", "This address does not take this method.", f"It takes {allowed}.")
    if exc.status_code == 413:
        return TooLarge("too_large", "The body is too large.")
    return Malformed("malformed_json", "The request cannot be read.")


def _allowed(scope: Scope) -> list[str]:
    """The methods of all routes at this path; the framework names those of the first one alone."""
    routes = scope["app"].router.routes
    return [method for method in METHODS if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)]


async def handle(request: Request, exc: Exception) -> Response:
    """FastAPI's handler for everything that a route raises."""
    response = problem_response(request.scope, as_error(exc, request.scope))
    if response.status_code == 405:
        response.headers["Allow"] = ", ".join(_allowed(request.scope))
    return response
