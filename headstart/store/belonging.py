"""Whether a blob folder and a database belong together: the folder holds the id of the database's first workspace.

An API writes it there when it starts. A worker on another machine that was given the wrong folder, or one whose mount is missing, would
otherwise fail every job that it claims.
"""

from __future__ import annotations

from headstart.blobs.local import LocalBlobs
from headstart.errors import Conflict, Unavailable

KEY = "installation"


def claim(blobs: LocalBlobs, workspace_id: str) -> None:
    """Write down whose folder this is, unless that is written there already.

    Raises:
        Conflict: it belongs to another database.
        Unavailable: it cannot be used.
    """
    try:
        if not blobs.exists(KEY):
            with blobs.write(KEY) as file:
                file.write(workspace_id.encode())
    except OSError as error:
        raise _unusable(blobs, error) from error
    check(blobs, workspace_id)


def check(blobs: LocalBlobs, workspace_id: str) -> None:
    """See that this is the folder that an API on the same database uses.

    Raises:
        Conflict: it belongs to another database.
        Unavailable: it cannot be used, or no API has used it yet.
    """
    try:
        found = blobs.path(KEY).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        message = f"No API on this database has used the blob folder {blobs.root} yet."
        raise Unavailable("unavailable", message, "Give API and workers the same folder, mounted, with HEADSTART_BLOBS.") from None
    except OSError as error:
        raise _unusable(blobs, error) from error
    if found != workspace_id:
        message = f"The blob folder {blobs.root} belongs to another database."
        raise Conflict("state_conflict", message, "Each installation has a folder of its own: HEADSTART_BLOBS.")


def _unusable(blobs: LocalBlobs, error: OSError) -> Unavailable:
    message = f"The blob folder {blobs.root} cannot be used: {error.strerror}."
    return Unavailable("unavailable", message, "API and workers must run as one user, with room to write.")
