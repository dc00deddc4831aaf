"""Which layer of a backbone a user's word means."""

from __future__ import annotations

from headstart.errors import closest, invalid_field, listing, quote
from headstart.specs.backbones import Anatomy

POINTER = "/method/layer"


def resolve_layer(layer: str | None, anatomy: Anatomy, pointer: str = POINTER) -> str:
    """The full name of `layer`; None means the last hidden state, and a family prefix such as `bert.` is taken off.

    Raises:
        BadInput: `layer_not_found`, with the closest names, or all when none comes near.
    """
    if layer is None:
        return anatomy.default_layer
    known = [each.name for each in anatomy.layers]
    name = layer if layer in known else without_family(layer, anatomy)
    parts = [each for each in known if each.startswith(f"{name}.")]
    if parts:  # a container: its output is that of its last part
        return parts[-1]
    if name not in known:
        raise invalid_field(pointer, f"The backbone has no layer {quote(layer)}.", _hint(name, known), code="layer_not_found")
    return name


def without_family(layer: str, anatomy: Anatomy) -> str:
    """A name or pattern without the prefix that a larger model puts before the backbone's names."""
    family, _, rest = layer.partition(".")
    return rest if rest and family in _families(anatomy) else layer


def _families(anatomy: Anatomy) -> set[str]:
    """What transformers puts before a backbone's names inside a larger model: `bert.`, `roberta.` for XLM-R, `model.`."""
    kind = anatomy.model_type
    return {kind, kind.replace("-", "_"), kind.rpartition("-")[2], anatomy.architecture.removesuffix("Model").lower(), "model"}


def _hint(name: str, known: list[str]) -> str:
    near = closest(name, known, most=3)
    return f"Did you mean {' or '.join(map(quote, near))}?" if near else f"Layers are: {listing(known)}."
