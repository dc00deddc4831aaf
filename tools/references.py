"""Write docs/settings.md and docs/cli.md from the code; with --check, fail when they are stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from headstart.cli.root import app  # noqa: E402 - this checkout, wherever another one is installed
from headstart.settings import PREFIX, Settings  # noqa: E402

DOCS = ROOT / "docs"
WIDTH = 100


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Environment variables, read once when a process starts. An unknown `HEADSTART_` variable is an error.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join([*lines, ""])


def cli_page() -> str:
    parts = ["# Command line", "", "Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 3 server not reachable, 130 interrupted.", ""]
    for path, command in walk("headstart", get_command(app)):
        context = command.context_class(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH)
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts += [f"## {path}", "", "```", text, "```", ""]
    return "\n".join(parts)


def walk(path: str, command: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - typer carries a click of its own
    found = [(path, command)]
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        found += walk(f"{path} {name}", inner)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    checking = parser.parse_args().check
    stale = []
    for path, text in ((DOCS / "settings.md", settings_page()), (DOCS / "cli.md", cli_page())):
        if checking and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not checking:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"stale: {', '.join(stale)}; run python tools/references.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
