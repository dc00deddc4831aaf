"""The call about the feature cache."""

from __future__ import annotations

from headstart.client.protocol import Call, answer, route
from headstart.specs.cache import Cache


def get_cache() -> Call[Cache]:
    return Call("GET", route("cache"), answer(Cache))
