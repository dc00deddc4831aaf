"""`headstart backbones`: register, see and delete."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli import tables
from headstart.cli.session import After, Json, Limit, Session, session
from headstart.client import backbones as calls
from headstart.errors import NotFound, quote
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT

app = typer.Typer(help="Pretrained models: register, see, delete.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="BACKBONE", help="Id, name, or source such as demo:minilm-l6.")]


@app.command("list")
def list_backbones(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List backbones, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_backbones(limit=limit, after=after), tables.backbones)


@app.command("get")
def get_backbone(context: typer.Context, backbone: Reference, *, as_json: Json = False) -> None:
    """Show one backbone."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_backbone(_id(here, backbone)), tables.backbone)


@app.command("add")
def create_backbone(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="demo:NAME, or path:FOLDER below a root that the server allows.")],
    *,
    name: Annotated[str | None, typer.Option(help="Its name here [default: the end of the source].")] = None,
    as_json: Json = False,
) -> None:
    """Register a backbone, unless it is there already, and wait until it has been read."""
    with session(context, as_json=as_json) as here:
        row = here.client.ensure_backbone(source, name=name)
        here.show(calls.get_backbone(row.id), tables.backbone)


@app.command("layers")
def list_backbone_layers(
    context: typer.Context, backbone: Reference, *, limit: Limit = MAX_LIMIT, after: After = None, as_json: Json = False
) -> None:
    """List the layers whose output can be taken, in forward order."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_backbone_layers(_id(here, backbone), limit=limit, after=after), tables.layers)


@app.command("delete")
def delete_backbone(context: typer.Context, backbone: Reference, *, as_json: Json = False) -> None:
    """Delete a backbone."""
    with session(context, as_json=as_json) as here:
        here.client.delete_backbone(_id(here, backbone))
        here.say(f"Deleted {tables.plain(backbone)}.")


def _id(here: Session, reference: str) -> str:
    if reference.startswith("bb_"):
        return reference
    row = here.client.find_backbone(reference)
    if row is None:
        raise NotFound("not_found", f"There is no backbone {quote(reference)}.", "See `headstart backbones list`.")
    return row.id
