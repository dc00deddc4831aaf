"""What the server's wheel holds: the packages that lie beside this folder. Installed in place, they are used where they are, not copied."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("app", "worker", "migrations")


class Packages(BuildHookInterface):  # type: ignore[type-arg] # of whatever builder hatchling runs it for
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update({f"../{name}": name for name in PACKAGES})
