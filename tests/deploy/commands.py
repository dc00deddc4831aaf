"""Whether a command line that a container runs is one that the CLI has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from headstart.cli.root import app


def is_ours(words: Sequence[str]) -> bool:
    """`headstart`, then commands, then options, all of which exist."""
    program, *rest = words
    command: Any = get_command(app)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    return program == "headstart" and not hasattr(command, "commands") and set(rest) <= known
