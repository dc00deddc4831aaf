"""Adapters as arithmetic: what stands beside a matrix product of each kind, and where when the user does not say.

`peft` makes them so; a test compares names and shapes for every kind. A matrix is a weight [out, into].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt

from headstart.specs.backbones import Anatomy, Tensor
from headstart.specs.jobs import AdapterMethod, Dora, LowRank
from headstart.specs.jobs import Lora as LoraMethod
from headstart.specs.plans import Adapter

FEEDFORWARD = "ia3-feedforward"
"""In an anatomy's `adapter_targets`: the modules whose inputs IA3 scales."""

_FUSED = frozenset({"qkv", "Wqkv", "in_proj", "query_key_value"})
_QUERIES = frozenset({"query", "q", "q_proj", "q_lin", "query_proj"})
_KEYS = frozenset({"key", "k", "k_proj", "k_lin", "key_proj"})
_VALUES = frozenset({"value", "v", "v_proj", "v_lin", "value_proj"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of adapter.

    Attributes:
        tensors: (adapter, target, out, into) → its parameters beside a matrix [out, into], in order.
        usual: the key of its targets in `Anatomy.adapter_targets`.
        alike: last parts of module names that are taken where the family is not known.
    """

    tensors: Callable[[Adapter, str, int, int], list[Tensor]]
    usual: str
    alike: frozenset[str]


def adapter_for(method: AdapterMethod, targets: Sequence[str], anatomy: Anatomy) -> Adapter:
    """What a spec's method means at these modules."""
    scaled = set(anatomy.adapter_targets.get(FEEDFORWARD, ())) if method.type == "ia3" else set()
    return Adapter(
        kind=method.type,
        targets=list(targets),
        feedforward=[target for target in targets if target in scaled],
        rank=method.rank if isinstance(method, LowRank) else None,
        alpha=method.alpha if isinstance(method, LowRank) else None,
        dropout=method.dropout if isinstance(method, (LoraMethod, Dora)) else 0.0,
    )


def adapter_tensors(adapter: Adapter, anatomy: Anatomy) -> list[Tensor]:
    """The adapters' parameters, by the order of targets."""
    shapes = {tensor.name: tensor.shape for tensor in anatomy.tensors}
    kind = KINDS[adapter.kind]
    return [tensor for target in adapter.targets for tensor in kind.tensors(adapter, target, *shapes[f"{target}.weight"])]


def usual_targets(kind: str, used: Sequence[str], anatomy: Anatomy) -> tuple[list[str], str | None]:
    """Where adapters of this kind stand when the user does not say, and a word on it where that is a guess.

    Args:
        used: the modules that may have them.
    """
    known = set(anatomy.adapter_targets.get(KINDS[kind].usual, ()))
    if found := [name for name in used if name in known]:
        return found, None
    if alike := [name for name in used if name.rpartition(".")[2] in KINDS[kind].alike]:
        ends = sorted({name.rpartition(".")[2] for name in alike})
        return alike, f"No usual targets are known for this family; those that look like attention's are taken: {', '.join(ends)}."
    return list(used), "No usual targets are known for this family; every matrix product is taken."


def _lora(adapter: Adapter, target: str, out: int, into: int) -> list[Tensor]:
    rank = adapter.rank or 0
    return [
        Tensor(name=f"{target}.lora_A.default.weight", shape=[rank, into]),
        Tensor(name=f"{target}.lora_B.default.weight", shape=[out, rank]),
    ]


def _dora(adapter: Adapter, target: str, out: int, into: int) -> list[Tensor]:
    return [*_lora(adapter, target, out, into), Tensor(name=f"{target}.lora_magnitude_vector.default.weight", shape=[out])]


def _loha(adapter: Adapter, target: str, out: int, into: int) -> list[Tensor]:
    rank = adapter.rank or 0
    sides = {"w1_a": [out, rank], "w1_b": [rank, into], "w2_a": [out, rank], "w2_b": [rank, into]}
    return [Tensor(name=f"{target}.hada_{side}.default", shape=shape) for side, shape in sides.items()]


def _lokr(adapter: Adapter, target: str, out: int, into: int) -> list[Tensor]:
    """W1 [a, c] ⊗ W2 [b, d] with out = a·b, into = c·d, each as near to square as divisors allow; a large W2 is a product itself."""
    rank = adapter.rank or 0
    a, c = _divisor(out), _divisor(into)
    b, d = out // a, into // c
    sides = {"w1": [a, c], "w2": [b, d]} if rank >= max(b, d) / 2 else {"w1": [a, c], "w2_a": [b, rank], "w2_b": [rank, d]}
    return [Tensor(name=f"{target}.lokr_{side}.default", shape=shape) for side, shape in sides.items()]


def _divisor(number: int) -> int:
    """The largest divisor that is not beyond the square root."""
    return next(divisor for divisor in range(isqrt(number), 0, -1) if number % divisor == 0)


def _ia3(adapter: Adapter, target: str, out: int, into: int) -> list[Tensor]:
    return [Tensor(name=f"{target}.ia3_l.default", shape=[1, into] if target in adapter.feedforward else [out, 1])]


KINDS = {
    "lora": Kind(_lora, "lora", _FUSED | _QUERIES | _VALUES),
    "dora": Kind(_dora, "lora", _FUSED | _QUERIES | _VALUES),
    "loha": Kind(_loha, "lora", _FUSED | _QUERIES | _VALUES),
    "lokr": Kind(_lokr, "lora", _FUSED | _QUERIES | _VALUES),
    "ia3": Kind(_ia3, "ia3", _FUSED | _KEYS | _VALUES),
}
