"""The call that asks whether the server is ready."""

from __future__ import annotations

from typing import Any

from headstart.client.protocol import Call, mapping


def get_health() -> Call[dict[str, Any]]:
    """One try only: whoever asks for health wants to know it as it is now."""
    return Call("GET", "/readyz", mapping, retried=False)
