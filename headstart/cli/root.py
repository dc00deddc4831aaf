"""The command tree."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from headstart import __version__
from headstart.cli import backbones, cache, datasets, jobs, keys, models, tables, workspaces
from headstart.cli.session import Home, Json, Options, session
from headstart.client import health as calls
from headstart.errors import Unavailable

app = typer.Typer(
    help="Headstart: transfer learning as a service.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 3 server not reachable, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # brackets in help are brackets
)
app.add_typer(datasets.app, name="datasets")
app.add_typer(backbones.app, name="backbones")
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.command("predict")(models.predict)
app.add_typer(keys.app, name="keys")
app.add_typer(workspaces.app, name="workspaces")
app.command("cache")(cache.cache)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    *,
    url: Annotated[str | None, typer.Option(help="The server's address [default: HEADSTART_URL, else from the home folder].")] = None,
    key: Annotated[str | None, typer.Option(help="An API key [default: HEADSTART_KEY, else from the home folder].")] = None,
    home: Home = None,
    as_json: Json = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    context.obj = Options(url, key, home, as_json)


Database = Annotated[str | None, typer.Option(metavar="URL", help="postgresql+psycopg://… [default: SQLite in the home folder].")]
Broker = Annotated[str | None, typer.Option(metavar="URL", help="redis://… or amqp://… [default: a queue folder].")]
Blobs = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of uploads and artifacts, for API and workers alike [default: `blobs` in the home folder]."),
]


@app.command()
def up(
    context: typer.Context,
    *,
    home: Home = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one [default: 8321].")] = None,
    database: Database = None,
    broker: Broker = None,
    blobs: Blobs = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Run the API alone; `headstart worker` is run elsewhere.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start it in the background, and return once it is ready.")] = False,
) -> None:
    """Run an installation on this machine, until it is stopped. Needs headstart[server]."""
    installation = _installation()
    start = installation.up_in_background if detach else installation.up
    worker = "elsewhere" if no_worker else None
    start(home=_home(context, home), host=host, port=port, database_url=database, broker_url=broker, blobs=blobs, worker=worker)


@app.command()
def worker(context: typer.Context, *, home: Home = None, database: Database = None, broker: Broker = None, blobs: Blobs = None) -> None:
    """Run a worker alone, until it is stopped, for an API that runs elsewhere. Needs headstart[server]."""
    _installation().work(home=_home(context, home), database_url=database, broker_url=broker, blobs=blobs)


@app.command()
def down(context: typer.Context, *, home: Home = None) -> None:
    """Stop what runs in a home folder on this machine: an installation, or a worker alone."""
    _installation().down(home=_home(context, home))


@app.command()
def health(context: typer.Context, *, as_json: Json = False) -> None:
    """Ask the server whether it is ready."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_health(), lambda parts: tables.facts(list(parts.items())))


def _installation() -> ModuleType:
    """What runs a server.

    Raises:
        Unavailable: this environment has the client alone.
    """
    if find_spec("app") is None or find_spec("worker") is None:
        raise Unavailable("unavailable", "This environment has the client only.", "Install headstart[all] to run a server.")
    from headstart.cli import installation

    return installation


def _home(context: typer.Context, home: Path | None) -> Path | None:
    """`--home` is taken before the command too."""
    return home if home is not None or not isinstance(context.obj, Options) else context.obj.home
