"""Where folders of backbones may lie: below a root that an administrator named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Found(NamedTuple):
    """A folder, and the root that it lies below."""

    folder: Path
    root: Path


def find_folder(roots: Iterable[Path], inner: str) -> Found | None:
    """The folder `inner` of the first root that really holds it, links followed; None for one outside and for one that is not there alike."""
    for root in (root.expanduser() for root in roots):
        real = os.path.realpath(root)
        folder = os.path.realpath(Path(real, inner))
        if folder != real and os.path.commonpath([real, folder]) == real and Path(folder).is_dir():
            return Found(root / inner, root)
    return None
