"""The command line. `main` runs one command and turns what can go wrong into a sentence and an exit code.

Exit codes: 0 done; 1 refused by the server, or a job or upload that failed; 2 used wrongly; 3 the server cannot be reached or is
not ready; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from headstart.errors import HeadstartError, Unavailable

DONE, REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
_USAGE_CODES = frozenset({"no_credentials", "bad_credentials", "credentials_exposed"})


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and give back its exit code."""
    from typer.main import get_command

    from headstart.cli.root import app

    try:
        get_command(app).main(args=list(arguments), prog_name="headstart")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE
    except HeadstartError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        _say(
            f"Error: {error.strerror or 'the file cannot be used'}: {error.filename}" if error.filename else "Error: a file cannot be used."
        )
        return USAGE
    except Exception as error:  # noqa: BLE001 - the edge of the command line: never a traceback
        _say(f"Error: the command line itself failed ({type(error).__name__}); please report it with the command you ran.")
        return REFUSED
    return DONE


def _explain(error: HeadstartError) -> int:
    """Print an error as words, hint, faulty rows and code; give back the exit code it stands for."""
    _say(f"Error: {error.message}")
    for fault in error.faults:
        if fault.message != error.message:
            where = f"row {fault.row}" if fault.row is not None else fault.pointer
            _say(f"  {where}: {fault.message}" if where else f"  {fault.message}")
    if error.hint:
        _say(f"Hint: {error.hint}")
    _say(" ".join([f"Code: {error.code}", *(f"({note})" for note in getattr(error, "__notes__", []))]))
    if isinstance(error, Unavailable):
        return UNREACHABLE
    return USAGE if error.code in _USAGE_CODES else REFUSED


def _say(line: str) -> None:
    from headstart.cli.tables import plain

    sys.stderr.write(plain(line) + "\n")
