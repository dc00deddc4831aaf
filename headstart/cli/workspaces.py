"""`headstart workspaces`: make and see (administrators)."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli import tables
from headstart.cli.session import After, Json, Limit, session
from headstart.client import workspaces as calls
from headstart.specs.pages import DEFAULT_LIMIT

app = typer.Typer(help="Workspaces, each blind to the others (admin).", no_args_is_help=True)


@app.command("list")
def list_workspaces(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List workspaces, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_workspaces(limit=limit, after=after), tables.workspaces)


@app.command("create")
def create_workspace(context: typer.Context, name: Annotated[str, typer.Argument(help="For people.")], *, as_json: Json = False) -> None:
    """Make a workspace; `headstart keys create --workspace ID` makes its first key."""
    with session(context, as_json=as_json) as here:
        here.show(calls.create_workspace(name=name), tables.workspace)
