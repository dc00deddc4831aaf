"""The predict route: inputs as JSON, or files as multipart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from app.dependencies import CallerHere
from app.multipart import boundary_of
from app.openapi import problems
from app.problems import Refusal
from app.requests import ON_LOOP_BYTES, MultipartRoute, StrictRequest, StrictRoute
from app.serving.inputs import Given, decoded, encoded_chars, receive_files
from app.serving.prediction import Serving
from headstart.errors import TooLarge
from headstart.specs.predictions import MAX_INPUTS, Parameters, Predict, Prediction, Usage

PATH = "/v1/models/{model}/predict"
_FILES: dict[str, Any] = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "inputs": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": MAX_INPUTS,
                            "description": "One part for each image or recording, whichever the model reads.",
                        },
                        "parameters": {"$ref": "#/components/schemas/Parameters"},
                    },
                },
                "encoding": {"parameters": {"contentType": "application/json"}},
            }
        }
    }
}


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


class FilesRoute(MultipartRoute):
    body_model = Predict
    """What the errors of a part are told by."""


router = APIRouter(route_class=PredictRoute, tags=["models"])


async def predict_files(model: str, request: Request, caller: CallerHere) -> Prediction:
    """In the document it is the second content type of `predict`."""
    boundary = boundary_of(request.headers.get("content-type"))
    files, parameters = await receive_files(request.stream(), boundary, request.app.state.services.settings.max_inputs)
    return await _answer(request, caller.workspace_id, model, files, parameters)


router.add_api_route(PATH, predict_files, methods=["POST"], route_class_override=FilesRoute, include_in_schema=False)


@router.post(PATH, responses=problems(400, 404, 413, 415), openapi_extra=_FILES)
async def predict(model: str, body: Predict, request: Request, caller: CallerHere) -> Prediction:
    """`model` is a name (newest version), `name:3`, `name@alias` or an id.

    As JSON, an input is a text, or an object of what the model reads: `text`, `text_pair`, `tokens`, `image`, `audio`; a file is `{"base64": "…"}`.
    As multipart, each part `inputs` is one file, and a part `parameters` holds the parameters as JSON.
    """
    inputs = decoded(body) if encoded_chars(body) <= ON_LOOP_BYTES else await run_in_threadpool(decoded, body)
    return await _answer(request, caller.workspace_id, model, inputs, body.parameters)


async def _answer(request: Request, workspace_id: str, model: str, inputs: Sequence[Given | bytes], parameters: Parameters) -> Prediction:
    serving: Serving = request.app.state.serving
    served, rows, tokens = await serving.predict(workspace_id, model, inputs, parameters)
    return Prediction(
        object="prediction",
        model=served.model,
        version=served.version,
        artifact=served.artifact_id,
        backbone=served.backbone,
        backbone_sha256=served.backbone_sha256,
        data=rows,
        usage=Usage(inputs=len(inputs), tokens=tokens),
    )
