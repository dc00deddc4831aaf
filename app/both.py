"""Control and prediction in one process: what the embedded run serves."""

from __future__ import annotations

from fastapi import FastAPI

from app.authentication import Limits
from app.door import make_app
from app.main import CONTROL, EVERYWHERE
from app.services import Services
from app.serving import routes
from app.serving.prediction import Serving


def create_both(services: Services, *, serving: Serving | None = None, limits: Limits | None = None) -> FastAPI:
    """Control answers while the engine is still loading; predictions wait for it."""
    serving = serving or Serving(services)
    services.engine_state = lambda: serving.state
    app = make_app(services, [*CONTROL, routes.router, *EVERYWHERE], limits=limits, starting=serving.start)
    app.state.serving = serving
    return app
