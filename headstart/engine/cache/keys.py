"""What features depend on besides the row itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """All that features depend on besides the row itself. The workspace comes first: nobody can tell what another workspace has.

    Attributes:
        dtype: what the prefix ran in.
        storage: what the values are kept in, `float32` or `bfloat16`.
    """

    workspace: str
    backbone_sha256: str
    boundary: str
    pooling: str | None
    preprocessing: str
    dtype: str
    device: str
    torch: str
    transformers: str
    storage: str = "float32"
    format: int = FORMAT

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()
