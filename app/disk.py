"""A full disk in our words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.errors import Unavailable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def worded_disk() -> Iterator[None]:
    """Raise Unavailable where the system says that there is no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Unavailable("unavailable", "The disk of the service is full.", "Tell the operator.", retry_after_seconds=60) from error
