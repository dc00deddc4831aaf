"""For tests of faults: a named point of the code waits while a file exists, so that a test can kill there.

`HEADSTART_FAILPOINT` is `name=file`. Unset, `reach` does nothing.
"""

from __future__ import annotations

import time
from pathlib import Path

POINTS = frozenset({"queued", "preparing", "training", "evaluating", "publishing", "publish.before_commit"})


def reach(name: str, failpoint: str | None) -> None:
    """Wait here while the failpoint's file exists, if this is the point it names."""
    if failpoint is None:
        return
    wanted, _, path = failpoint.partition("=")
    while name == wanted and Path(path).exists():
        time.sleep(0.02)
