"""How large a head is."""

from __future__ import annotations

import itertools

from headstart.specs.jobs import LinearHead, MlpHead


def head_parameters(head: LinearHead | MlpHead, width: int, classes: int) -> int:
    """Weights and biases of all its layers."""
    hidden = head.hidden if isinstance(head, MlpHead) else []
    return sum((size + 1) * out for size, out in itertools.pairwise([width, *hidden, classes]))
