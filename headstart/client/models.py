"""Calls about models and their predictions."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.client.inputs import Given, is_one, written
from headstart.client.protocol import Call, answer, body, nothing, query, route
from headstart.errors import BadInput
from headstart.specs.models import Model, ModelVersion
from headstart.specs.pages import Page
from headstart.specs.predictions import Prediction


def list_models(*, limit: int | None = None, after: str | None = None) -> Call[Page[Model]]:
    return Call("GET", route("models"), answer(Page[Model]), query(limit=limit, after=after))


def get_model(name: str) -> Call[Model]:
    return Call("GET", route("models", name), answer(Model))


def list_model_versions(name: str, *, limit: int | None = None, after: str | None = None) -> Call[Page[ModelVersion]]:
    return Call("GET", route("models", name, "versions"), answer(Page[ModelVersion]), query(limit=limit, after=after))


def get_model_version(name: str, version: int) -> Call[ModelVersion]:
    return Call("GET", route("models", name, "versions", str(version)), answer(ModelVersion))


def put_model_alias(name: str, alias: str, *, version: int) -> Call[Model]:
    return Call("PUT", route("models", name, "aliases", alias), answer(Model), content=body({"version": version}))


def delete_model_alias(name: str, alias: str) -> Call[None]:
    return Call("DELETE", route("models", name, "aliases", alias), nothing)


def delete_model(name: str) -> Call[None]:
    return Call("DELETE", route("models", name), nothing)


def predict(model: str, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None) -> Call[Prediction]:
    if is_one(inputs):
        kind = "string; a list of texts" if isinstance(inputs, str) else "input; a list of inputs"
        raise BadInput("invalid_field", f"The inputs are one {kind} was expected.", "Put it in brackets: [input].")
    chosen = {"top_k": top_k, "tasks": None if tasks is None else list(tasks)}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    return Call(
        "POST",
        route("models", model, "predict"),
        answer(Prediction),
        content=body({"inputs": [written(each) for each in inputs], "parameters": parameters}),
    )
