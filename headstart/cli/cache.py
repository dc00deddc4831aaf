"""`headstart cache`: what the feature cache holds (administrators)."""

from __future__ import annotations

import typer

from headstart.cli import tables
from headstart.cli.session import Json, session
from headstart.client import cache as calls


def cache(context: typer.Context, *, as_json: Json = False) -> None:
    """Show size, hit rate and content of the feature cache (admin)."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_cache(), tables.cache)
