"""`headstart keys`: make, see and revoke."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from headstart.cli import tables
from headstart.cli.session import After, Json, Limit, session
from headstart.client import keys as calls
from headstart.specs.keys import Scope
from headstart.specs.pages import DEFAULT_LIMIT

app = typer.Typer(help="API keys: make, see, revoke.", no_args_is_help=True)


@app.command("list")
def list_keys(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List keys, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_keys(limit=limit, after=after), tables.keys)


@app.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; may be repeated [default: read and write].")] = None,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="Whose it is [default: your own].")] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339 with a zone [default: never].")] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once."""
    with session(context, as_json=as_json) as here:
        scopes = cast("list[Scope] | None", scope or None)  # the server judges the words
        here.show(calls.create_key(name=name, scopes=scopes, workspace=workspace, expires_at=expires_at), tables.new_key)
        here.say("Keep the key now: it is not shown again.")


@app.command("revoke")
def revoke_key(
    context: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY_ID", help="Its id, key_….")], *, as_json: Json = False
) -> None:
    """Revoke a key; it stops working within seconds."""
    with session(context, as_json=as_json) as here:
        here.client.revoke_key(key)
        here.say(f"Revoked {tables.plain(key)}.")
