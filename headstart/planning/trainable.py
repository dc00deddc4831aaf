"""Which parameters of a backbone learn, and where training therefore begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import re2

from headstart.errors import BadInput, closest, invalid_field, listing, quote
from headstart.planning.layers import without_family
from headstart.specs.backbones import Anatomy, Layer, Tensor
from headstart.specs.jobs import FineTuning
from headstart.specs.plans import INPUT

MAX_PATTERN_MEMORY = 8 * 2**20
CHOICES = ("trainable", "frozen", "top_layers")


@dataclass(frozen=True, slots=True)
class Selection:
    """The parameters that learn, in the backbone's order, and the layer whose output training starts from."""

    tensors: list[Tensor]
    boundary: str

    @property
    def parameters(self) -> int:
        return sum(prod(tensor.shape) for tensor in self.tensors)


def select(method: FineTuning, anatomy: Anatomy) -> Selection:
    """What a spec's `trainable`, `frozen` or `top_layers` means for this backbone.

    Parameters that the pooled output does not depend on (a pooler that is not asked for) never learn.

    Raises:
        BadInput: not exactly one of the three is given; a pattern is broken or matches nothing (`no_parameters_matched`); nothing is
            left to learn; there are not so many layers.
    """
    given = [name for name in CHOICES if getattr(method, name) is not None]
    if len(given) != 1:
        what = "none is given" if not given else f"{' and '.join(given)} are given"
        hint = 'For example "top_layers": 2, or "trainable": ["*"] for everything.'
        raise invalid_field("/method", f"Exactly one of trainable, frozen and top_layers says what learns; {what}.", hint)
    used = [tensor for tensor in anatomy.tensors if _is_used(tensor, method, anatomy)]
    chosen = _chosen(method, used, anatomy)
    if not chosen:
        raise invalid_field(
            f"/method/{given[0]}",
            "Nothing of the backbone is left to learn.",
            'Freeze less, or use the method "feature-extraction".',
            code="no_parameters_matched",
        )
    return Selection(chosen, _boundary(chosen, anatomy))


def _chosen(method: FineTuning, used: list[Tensor], anatomy: Anatomy) -> list[Tensor]:
    if method.top_layers is not None:
        layers = {layer.name for layer in _top(method.top_layers, method, anatomy)}
        return [tensor for tensor in used if _owner(tensor, anatomy) in layers]
    patterns, pointer = (method.trainable, "/method/trainable") if method.trainable is not None else (method.frozen, "/method/frozen")
    matched = _matched(patterns or [], used, anatomy, pointer)
    return [tensor for tensor in used if (tensor.name in matched) == (method.trainable is not None)]


def _matched(patterns: Sequence[str], used: list[Tensor], anatomy: Anatomy, pointer: str) -> set[str]:
    names = [tensor.name for tensor in used]
    found: set[str] = set()
    for number, pattern in enumerate(patterns):
        expression = _compiled(pattern, anatomy, f"{pointer}/{number}")
        hits = {name for name in names if expression.fullmatch(name)}
        if not hits:
            raise _no_match(pattern, names, [tensor.name for tensor in anatomy.tensors], expression, f"{pointer}/{number}")
        found |= hits
    return found


def _compiled(pattern: str, anatomy: Anatomy, pointer: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - re2 has no types
    """A glob (`*` any characters, `?` one) or, behind `re:`, an RE2 expression: both match in linear time."""
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_PATTERN_MEMORY, False
    if pattern.startswith("re:"):
        text = pattern[3:]
    else:
        glob = without_family(pattern, anatomy)
        text = "".join(".*" if c == "*" else "." if c == "?" else re2.escape(c) for c in glob)
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise invalid_field(pointer, f"The pattern {quote(pattern)} is not a regular expression of RE2.", "See its syntax.") from error


def _no_match(pattern: str, names: list[str], every: list[str], expression, pointer: str) -> BadInput:  # type: ignore[no-untyped-def] # noqa: ANN001
    if any(expression.fullmatch(name) for name in every):
        hint = 'Use the pooling "pooler" to train it.'
        return invalid_field(pointer, f"What {quote(pattern)} matches is not used with this pooling.", hint, code="no_parameters_matched")
    near = closest(pattern.removeprefix("re:").replace("*", ""), names, most=5) or names[:5]
    return invalid_field(
        pointer, f"The pattern {quote(pattern)} matches no parameter.", f"Near names: {listing(near)}.", code="no_parameters_matched"
    )


def _top(count: int, method: FineTuning, anatomy: Anatomy) -> list[Layer]:
    """The `count` upper blocks (layers that are numbered), and what stands above the lowest of them."""
    upto = [layer for layer in anatomy.layers if layer.index <= _last_index(method, anatomy)]
    blocks = [layer for layer in upto if layer.name.rpartition(".")[2].isdigit()]
    if count > len(blocks):
        raise invalid_field("/method/top_layers", f"The backbone has {len(blocks)} layers, not {count}.", 'For all: "trainable": ["*"].')
    return [layer for layer in upto if layer.index >= blocks[-count].index]


def _last_index(method: FineTuning, anatomy: Anatomy) -> int:
    """The highest layer that the pooled output depends on."""
    if method.pooling == "pooler":
        return max(layer.index for layer in anatomy.layers)
    return next(layer.index for layer in anatomy.layers if layer.name == anatomy.default_layer)


def _is_used(tensor: Tensor, method: FineTuning, anatomy: Anatomy) -> bool:
    owner = _owner(tensor, anatomy)
    if owner is None:
        return True
    return next(layer.index for layer in anatomy.layers if layer.name == owner) <= _last_index(method, anatomy)


def _owner(tensor: Tensor, anatomy: Anatomy) -> str | None:
    """The layer that holds a parameter; None for one that stands outside of all layers."""
    holding = [layer.name for layer in anatomy.layers if tensor.name.startswith(f"{layer.name}.")]
    return max(holding, key=len, default=None)


def _boundary(chosen: list[Tensor], anatomy: Anatomy) -> str:
    """The highest layer at which the backbone can be cut and below which nothing learns."""
    index = {layer.name: layer.index for layer in anatomy.layers}
    owners = [_owner(tensor, anatomy) for tensor in chosen]
    lowest = min(-1 if owner is None else index[owner] for owner in owners)
    below = [layer for layer in anatomy.layers if layer.boundary and layer.index < lowest and layer.axes != ["D"]]
    return below[-1].name if below else INPUT
