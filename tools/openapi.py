"""Write `openapi.json` from the code, or with `--check` fail when the committed file is stale. Loads no torch."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.both import create_both  # noqa: E402 - the repository's root must be on the path first
from app.services import Services  # noqa: E402
from headstart.blobs.local import LocalBlobs  # noqa: E402
from headstart.settings import Settings  # noqa: E402
from headstart.store.database import Database  # noqa: E402

FILE = ROOT / "openapi.json"


class NoBell:
    """Nobody waits for the document."""

    def ring(self, work_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def document() -> str:
    """The OpenAPI document as text: keys sorted, so that a change shows where it is."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        services = Services(settings, Database(settings.database), LocalBlobs(settings.blob_folder), NoBell())
        return json.dumps(create_both(services).openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is stale")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    text = document()
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("openapi.json is stale: run `python tools/openapi.py`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
