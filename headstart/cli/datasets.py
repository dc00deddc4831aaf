"""`headstart datasets`: upload, append, compare, see and delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import tables
from headstart.cli.session import After, Json, Limit, Session, session
from headstart.client import datasets as calls
from headstart.errors import BadInput, NotFound, listing, quote
from headstart.specs.datasets import FORMATS, READ_MODES
from headstart.specs.pages import DEFAULT_LIMIT

app = typer.Typer(help="Labelled data: upload, append, compare, see, delete.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="DATASET", help="Id, name (newest ready version) or name:2.")]

Format = Annotated[str | None, typer.Option("--format", help=f"One of {listing(FORMATS)} [default: by the file's ending].")]
Schema = Annotated[str | None, typer.Option(metavar="JSON", help='Column types that are stated: {"label": "category"}.')]
Mode = Annotated[
    str | None, typer.Option(help=f"One of {listing(READ_MODES)}: whether a bad row refuses the file or is dropped [default: strict].")
]
Resumable = Annotated[
    bool | None,
    typer.Option("--resumable/--at-once", help="Send it in pieces, to go on after a break [default: from 64 MiB on]."),
]


@app.command("list")
def list_datasets(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List datasets, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_datasets(limit=limit, after=after), tables.datasets)


@app.command("get")
def get_dataset(context: typer.Context, dataset: Reference, *, as_json: Json = False) -> None:
    """Show one dataset and its columns."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_dataset(_id(here, dataset)), tables.dataset)


@app.command("upload")
def upload(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help=f"A file in one of these formats: {listing(FORMATS)}, also as .gz or .zst; or a folder, sent as a zip.",
            exists=True,
            readable=True,
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="The dataset's name [default: the file's].")] = None,
    format: Format = None,  # noqa: A002
    schema: Schema = None,
    mode: Mode = None,
    resumable: Resumable = None,
    as_json: Json = False,
) -> None:
    """Upload a file or folder and wait until it has been read. Said again after a break, it goes on where it was."""
    with session(context, as_json=as_json) as here:
        progress = not here.json
        row = here.client.upload(file, name=name, format=format, schema=_schema(schema), mode=mode, resumable=resumable, progress=progress)
        here.show(calls.get_dataset(row.id), tables.dataset)


@app.command("append")
def append(
    context: typer.Context,
    dataset: Reference,
    file: Annotated[
        Path,
        typer.Argument(
            help=f"The new rows: a file in one of these formats: {listing(FORMATS)}, also as .gz or .zst; or a folder.",
            exists=True,
            readable=True,
        ),
    ],
    *,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Replace rows that have the same value here; columns that the file lacks stay [default: add all]."
        ),
    ] = None,
    format: Format = None,  # noqa: A002
    schema: Schema = None,
    mode: Mode = None,
    resumable: Resumable = None,
    as_json: Json = False,
) -> None:
    """Make the next version of a dataset from its rows and a file's, and wait until it has been read."""
    with session(context, as_json=as_json) as here:
        begun, progress = _id(here, dataset), not here.json
        row = here.client.append(
            begun, file, key=key, format=format, schema=_schema(schema), mode=mode, resumable=resumable, progress=progress
        )
        here.show(calls.get_dataset(row.id), tables.dataset)


@app.command("diff")
def get_dataset_diff(
    context: typer.Context,
    dataset: Reference,
    against: Annotated[str | None, typer.Argument(metavar="AGAINST", help="The earlier version [default: what it was made from].")] = None,
    *,
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="A column that tells rows apart, to see which changed.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
    as_json: Json = False,
) -> None:
    """Show what changed between two versions: columns, labels, and rows by number."""
    with session(context, as_json=as_json) as here:
        earlier = None if against is None else _id(here, against)
        here.show(calls.get_dataset_diff(_id(here, dataset), against=earlier, key=key, limit=limit, after=after), tables.diff)


@app.command("suggestions")
def get_dataset_suggestions(context: typer.Context, dataset: Reference, *, as_json: Json = False) -> None:
    """Show what a dataset could be used for, and what deserves a look before."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_dataset_suggestions(_id(here, dataset)), tables.suggestions)


@app.command("problems")
def list_dataset_problems(
    context: typer.Context, dataset: Reference, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False
) -> None:
    """List what was wrong in which row."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_dataset_problems(_id(here, dataset), limit=limit, after=after), tables.problems)


@app.command("delete")
def delete_dataset(context: typer.Context, dataset: Reference, *, as_json: Json = False) -> None:
    """Delete one version of a dataset."""
    with session(context, as_json=as_json) as here:
        here.client.delete_dataset(_id(here, dataset))
        here.say(f"Deleted {tables.plain(dataset)}.")


def _id(here: Session, reference: str) -> str:
    if reference.startswith("ds_"):
        return reference
    row = here.client.find_dataset(reference)
    if row is None:
        raise NotFound("not_found", f"There is no dataset {quote(reference)}.", "See `headstart datasets list`.")
    return row.id


def _schema(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadInput("invalid_field", "--schema is not a JSON object.", 'It looks like {"label": "category"}.')
    return {str(column): str(kind) for column, kind in value.items()}
