"""Calls about backbones."""

from __future__ import annotations

from headstart.client.protocol import Call, answer, body, fresh_key, nothing, query, route
from headstart.specs.backbones import Backbone, Layer
from headstart.specs.pages import Page


def create_backbone(*, name: str, source: str, idempotency_key: str | None = None) -> Call[Backbone]:
    content = body({"name": name, "source": source})
    return Call("POST", route("backbones"), answer(Backbone), content=content, idempotency_key=fresh_key(idempotency_key))


def list_backbones(*, limit: int | None = None, after: str | None = None) -> Call[Page[Backbone]]:
    return Call("GET", route("backbones"), answer(Page[Backbone]), query(limit=limit, after=after))


def get_backbone(backbone: str) -> Call[Backbone]:
    return Call("GET", route("backbones", backbone), answer(Backbone))


def list_backbone_layers(backbone: str, *, limit: int | None = None, after: str | None = None) -> Call[Page[Layer]]:
    return Call("GET", route("backbones", backbone, "layers"), answer(Page[Layer]), query(limit=limit, after=after))


def delete_backbone(backbone: str) -> Call[None]:
    return Call("DELETE", route("backbones", backbone), nothing)
