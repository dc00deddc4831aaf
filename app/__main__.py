"""`python -m app [--role both|control|prediction]`: one server process."""

from __future__ import annotations

import argparse
import os
import sys

import structlog
from fastapi import FastAPI

from app.bootstrap import ensure_workspace, write_credentials
from app.server import Server, listen, server_config, url_of
from app.services import Services, open_services
from headstart.errors import HeadstartError, Unavailable
from headstart.logs import configure
from headstart.processes import CANNOT_START, die_with_parent
from headstart.settings import Settings, load_settings
from headstart.store.migrate import migrate

log = structlog.get_logger()


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; 0 then. Else a sentence on what is wrong, and `CANNOT_START` when starting again will not help."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Serve the Headstart API.")
    parser.add_argument("--role", choices=["both", "control", "prediction"], default="both", help="which routes (default: both)")
    parser.add_argument("--parent", type=int, default=None, metavar="PID", help="end when this process, which started us, does")
    given = parser.parse_args(arguments)
    if given.parent is not None:
        die_with_parent(given.parent)
    try:
        settings = load_settings()
        configure(settings, "api" if given.role == "both" else given.role)
        os.umask(0o077)
        _serve(settings, given.role)
    except HeadstartError as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, Unavailable) else CANNOT_START
    return 0


def _serve(settings: Settings, role: str) -> None:
    listening = listen(settings)
    services = open_services(settings)
    try:
        migrate(services.database)
        ensure_workspace(services)
        url = url_of(listening, settings.host)
        if role != "prediction":
            write_credentials(services, url)
        log.info("listening", url=url, role=role)
        Server(server_config(_make(services, role), settings), services).run(sockets=[listening])
    finally:
        services.close()
        listening.close()


def _make(services: Services, role: str) -> FastAPI:
    """Only what the role needs is imported."""
    if role == "control":
        from app.main import create_control  # noqa: PLC0415

        return create_control(services)
    if role == "prediction":
        from app.serving.main import create_prediction  # noqa: PLC0415

        return create_prediction(services)
    from app.both import create_both  # noqa: PLC0415

    return create_both(services)


if __name__ == "__main__":
    sys.exit(main())
