"""The predict route."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from app.dependencies import CallerHere
from app.openapi import problems
from app.problems import Refusal
from app.requests import StrictRequest, StrictRoute
from app.serving.prediction import Serving
from headstart.errors import TooLarge
from headstart.specs.predictions import Predict, Prediction, Usage


class PredictRequest(StrictRequest):
    """Counts the inputs before they are checked one by one."""

    async def json(self) -> Any:  # noqa: ANN401 - starlette's signature
        value = await super().json()
        most = self.app.state.services.settings.max_inputs
        if isinstance(value, dict) and isinstance(inputs := value.get("inputs"), list) and len(inputs) > most:
            hint = f"At most {most} are taken; send them in several requests."
            raise Refusal(TooLarge("too_many_inputs", f"There are {len(inputs)} inputs.", hint))
        return value


class PredictRoute(StrictRoute):
    request_class = PredictRequest


router = APIRouter(route_class=PredictRoute, tags=["models"])


@router.post("/v1/models/{model}/predict", responses=problems(400, 404, 413, 415))
async def predict(model: str, body: Predict, request: Request, caller: CallerHere) -> Prediction:
    """`model` is a name (newest version), `name:3`, `name@alias` or an id."""
    serving: Serving = request.app.state.serving
    texts = [each if isinstance(each, str) else each.text for each in body.inputs]
    served, rows, tokens = await serving.predict(caller.workspace_id, model, texts, body.parameters)
    return Prediction(
        object="prediction",
        model=served.model,
        version=served.version,
        artifact=served.artifact_id,
        backbone=served.backbone,
        backbone_sha256=served.backbone_sha256,
        data=rows,
        usage=Usage(inputs=len(texts), tokens=tokens),
    )
