"""Prediction alone, for a deployment that runs it apart from control."""

from __future__ import annotations

from fastapi import FastAPI

from app.authentication import Limits
from app.door import make_app
from app.routes import docs, health
from app.services import Services
from app.serving import routes
from app.serving.prediction import Serving


def create_prediction(services: Services, *, serving: Serving | None = None, limits: Limits | None = None) -> FastAPI:
    serving = serving or Serving(services)
    services.engine_state = lambda: serving.state
    app = make_app(services, [routes.router, health.router, docs.router], limits=limits, starting=serving.start)
    app.state.serving = serving
    return app
