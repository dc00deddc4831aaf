"""Sealed tests: nothing beyond this machine is spoken to, no setting of the developer's leaks in, no deadline on a busy machine."""

from __future__ import annotations

import ipaddress
import os
import sys

from hypothesis import settings

LOCAL = {"localhost", ""}

settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("here")

for name in [name for name in os.environ if name.startswith("HEADSTART_")]:
    del os.environ[name]
os.environ.update({"HF_HUB_OFFLINE": "1", "NO_PROXY": "*"})


def _loopback_alone(event: str, arguments: tuple[object, ...]) -> None:
    """PEP 578: refuse every connection that would leave the machine."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and isinstance(address[0], str) and address[0] not in LOCAL:
        try:
            outside = not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
        except ValueError:
            outside = True
        if outside:
            raise PermissionError(f"tests speak to this machine alone, not to {address[0]}")


sys.addaudithook(_loopback_alone)
