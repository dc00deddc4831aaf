"""`headstart models` and `headstart predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from headstart.cli import tables
from headstart.cli.session import After, Json, Limit, print_json, read_text, session
from headstart.client import models as calls
from headstart.client.inputs import Given
from headstart.errors import BadInput
from headstart.specs.pages import DEFAULT_LIMIT
from headstart.specs.predictions import MAX_INPUTS

app = typer.Typer(help="Adapted models: versions and aliases.", no_args_is_help=True)
alias_app = typer.Typer(help="Names that point to a version, such as prod.", no_args_is_help=True)
app.add_typer(alias_app, name="alias")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as prod.")]


@app.command("list")
def list_models(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List models, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_models(limit=limit, after=after), tables.models)


@app.command("get")
def get_model(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """Show one model."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_model(name), tables.model)


@app.command("versions")
def list_model_versions(
    context: typer.Context, name: Name, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False
) -> None:
    """List a model's versions, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_model_versions(name, limit=limit, after=after), tables.versions)


@app.command("delete")
def delete_model(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """Delete a model with all its versions."""
    with session(context, as_json=as_json) as here:
        here.client.delete_model(name)
        here.say(f"Deleted {tables.plain(name)}.")


@alias_app.command("set")
def put_model_alias(
    context: typer.Context,
    name: Name,
    alias: Alias,
    version: Annotated[int, typer.Argument(min=1, help="The version it shall point to.")],
    *,
    as_json: Json = False,
) -> None:
    """Point an alias to a version."""
    with session(context, as_json=as_json) as here:
        here.show(calls.put_model_alias(name, alias, version=version), tables.model)


@alias_app.command("delete")
def delete_model_alias(context: typer.Context, name: Name, alias: Alias, *, as_json: Json = False) -> None:
    """Delete an alias; the version stays."""
    with session(context, as_json=as_json) as here:
        here.client.delete_model_alias(name, alias)
        here.say(f"Deleted {tables.plain(name)}@{tables.plain(alias)}.")


def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name, name:3 or name@prod.")],
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="One input each; a file with --media.")] = None,
    *,
    media: Annotated[bool, typer.Option("--media", help="The arguments are files of images or recordings.")] = False,
    file: Annotated[
        str | None,
        typer.Option("--file", help="More inputs: one text a line, or a .jsonl file with one string or object a line; - is stdin."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="How many scores to show [default: all].")] = None,
    as_json: Json = False,
) -> None:
    """Ask a model about texts, images or recordings."""
    given = [Path(text) if media else text for text in texts or []]
    inputs: list[Given] = [*given, *(_read_inputs(file) if file is not None else [])]
    if not inputs:
        raise typer.BadParameter("give at least one text or file, or --file")
    with session(context, as_json=as_json) as here:
        if len(inputs) <= MAX_INPUTS and not media:
            here.show(calls.predict(model, inputs, top_k=top_k), lambda value: tables.prediction(value, inputs))
            return
        value = here.client.model(model).predict(inputs, top_k=top_k)
        if here.json:
            print_json(value.model_dump(mode="json"))
        else:
            here.console.print(tables.prediction(value, [each.name if isinstance(each, Path) else each for each in inputs]))


def _read_inputs(name: str) -> list[str | dict[str, Any]]:
    text = read_text(name)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not name.endswith(".jsonl"):
        return [line for line in lines if line]
    inputs = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            inputs.append(_input(line, number))
    return inputs


def _input(line: str, number: int) -> str | dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, str | dict):
        raise BadInput("malformed_json", f"Line {number} is neither a JSON string nor an object.", 'It looks like {"text": "great film"}.')
    return value
