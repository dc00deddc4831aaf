"""The OpenAPI 3.1 document, and the problems that a route declares."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from headstart import __version__
from headstart.specs.datasets import FORMATS, READ_MODES
from headstart.specs.problems import Problem

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ALWAYS = (401, 403, 422, 429, 500, 503)

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The `responses` of a route that needs a key: these refusals, and those that any such route can give."""
    return only(*statuses, *_ALWAYS)


def only(*statuses: int) -> Responses:
    """The `responses` of a route that refuses in these ways."""
    return {status: {"description": HTTPStatus(status).phrase, "content": _PROBLEM} for status in sorted(set(statuses))}


def made(status: int, what: str) -> Responses:
    """The answer of a creating route, with the header that says where the new row is."""
    location = {"description": f"Where the {what} is.", "schema": {"type": "string"}}
    return {status: {"description": f"The new {what}.", "headers": {"Location": location}}}


def file_body(required: str, own: dict[str, Any], *, types: str, bad_row: str) -> dict[str, Any]:
    """The multipart body of a route that takes a file of rows, which is streamed past FastAPI: the route's own fields, then those of any file.

    Args:
        required: the field that must be there beside the file.
        own: the schemas of the route's fields, by name.
        types: what `schema` is for.
        bad_row: what `mode` decides.
    """
    properties = {
        **own,
        "format": {"type": "string", "enum": list(FORMATS), "description": "Left out: from the file's name, or its first bytes."},
        "schema": {"type": "string", "description": types},
        "mode": {"type": "string", "enum": list(READ_MODES), "default": "strict", "description": bad_row},
        "file": {"type": "string", "format": "binary", "description": "Comes last."},
    }
    body = {"type": "object", "required": [required, "file"], "properties": properties}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": body}}}}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What replaces `app.openapi`: the document, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title="Headstart",
                version=__version__,
                summary="Transfer learning as a service.",
                openapi_version="3.1.0",
                routes=app.routes,
            )
            app.openapi_schema = _completed(document)
        return app.openapi_schema

    return openapi


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key: `hs_…`."}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [{"key": []}] if path.startswith("/v1/") else []
    return document


def operation_id(route: APIRoute) -> str:
    """The handler's name, which is also the SDK's method."""
    return route.name
