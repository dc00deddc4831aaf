"""What every command shares: the options for address, key and JSON, the client, and how an answer is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from headstart.client import Headstart
from headstart.client.protocol import Call
from headstart.client.streams import Stream
from headstart.errors import BadInput, quote
from headstart.specs.pages import MAX_LIMIT, Page

T = TypeVar("T")

PIPE_WIDTH = 240
"""Columns of a table that no terminal limits."""

Json = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MAX_LIMIT, help="Rows of one page.")]
After = Annotated[str | None, typer.Option("--after", metavar="CURSOR", help="Go on after the page that named this cursor.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until the job has ended; --json prints one object a line.")]
Home = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="Folder of an installation on this machine [default: ~/.headstart].")
]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", metavar="KEY", help="The same key again gives the first answer again, for 24 hours.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    url: str | None = None
    key: str | None = None
    home: Path | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One command's client and way of answering."""

    client: Headstart
    json: bool
    console: Console

    def show(self, call: Call[T], render: Callable[[T], RenderableType]) -> None:
        """Make a call; print its JSON as it came over the wire, or what `render` makes of it."""
        content = self.client.connection.fetch(call)
        if self.json:
            print_json(json.loads(content))
            return
        value = call.read(content)
        self.console.print(render(value))
        if isinstance(value, Page) and value.next is not None:
            self.console.print(f"More: --after {value.next}", markup=False, highlight=False, soft_wrap=True)

    def follow(self, stream: Stream[T], render: Callable[[T], Text]) -> None:
        """Print rows as they come: the JSON of each as it came, on one line, or what `render` makes of it."""
        for message in self.client.connection.follow(stream):
            if self.json:
                print_json(json.loads(message.data), indent=None)
            else:
                self.console.print(render(stream.read(message)), soft_wrap=True)

    def say(self, line: str) -> None:
        """A sentence for people; `--json` keeps quiet."""
        if not self.json:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def session(context: typer.Context, *, as_json: bool) -> Iterator[Session]:
    """A session with the server that the options or the credentials name."""
    options = context.obj if isinstance(context.obj, Options) else Options()
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    with Headstart(options.url, options.key, home=options.home) as client:
        yield Session(client, as_json or options.json, console)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """A JSON value on stdout, at once, escaped where the terminal's encoding is not Unicode."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def read_text(name: str) -> str:
    """A UTF-8 file, or stdin for `-`."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("not_utf8", f"{quote(name)} is not UTF-8 text.", "Save it as UTF-8.") from None
