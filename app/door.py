"""One FastAPI application with the service's door before it, for whichever routers it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.authentication import Authentication, Limits
from app.comparing import Comparisons
from app.idempotency import Running
from app.middleware import Door
from app.openapi import describe, operation_id
from app.problems import handle
from app.requests import StrictRoute
from app.services import Services
from headstart.errors import HeadstartError


def make_app(
    services: Services, routers: Sequence[APIRouter], *, limits: Limits | None = None, starting: Callable[[], None] | None = None
) -> FastAPI:
    """An application over `services`.

    Args:
        services: open; whoever opened them closes them.
        routers: what it serves.
        limits: of the tables that strangers can fill.
        starting: called when the server starts; must not block.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if starting is not None:
            starting()
        yield
        services.stopping.set()

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.router.route_class = StrictRoute
    app.state.services = services
    app.state.running = Running()
    app.state.comparisons = Comparisons()
    for router in routers:
        app.include_router(router)
    for kind in (HeadstartError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
    app.add_middleware(Authentication, services=services, limits=limits or Limits())
    app.add_middleware(Door)
    app.openapi = describe(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app
