"""Which parameters of a backbone learn, and where training therefore begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import re2

from headstart.errors import BadInput, closest, invalid_field, listing, quote
from headstart.planning.adapters import adapter_for, adapter_tensors, usual_targets
from headstart.planning.layers import without_family
from headstart.specs.backbones import Anatomy, Layer, Tensor
from headstart.specs.jobs import AdapterMethod, BitFit, FineTuning, LowRank
from headstart.specs.plans import INPUT, Adapter, PlanWarning

MAX_PATTERN_MEMORY = 8 * 2**20
CHOICES = ("trainable", "frozen", "top_layers")
Tuned = FineTuning | BitFit | AdapterMethod


@dataclass(frozen=True, slots=True)
class Selection:
    """The parameters that learn, in the backbone's order or of its adapters, and the layer whose output training starts from."""

    tensors: list[Tensor]
    boundary: str
    adapter: Adapter | None = None
    warnings: tuple[PlanWarning, ...] = ()

    @property
    def parameters(self) -> int:
        return sum(prod(tensor.shape) for tensor in self.tensors)


def select(method: Tuned, anatomy: Anatomy) -> Selection:
    """What a spec's `trainable`, `frozen`, `targets` or `top_layers` means for this backbone.

    Parameters that the pooled output does not depend on (a pooler that is not asked for) never learn.

    Raises:
        BadInput: not exactly one of the three of fine-tuning is given; a pattern is broken or matches nothing (`no_parameters_matched`);
            nothing is left to learn; there are not so many layers; a rank is larger than a matrix.
    """
    if isinstance(method, BitFit):
        return _biases(method, anatomy)
    if not isinstance(method, FineTuning):
        return _adapters(method, anatomy)
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
    matched = _matched(patterns or [], [tensor.name for tensor in used], [tensor.name for tensor in anatomy.tensors], anatomy, pointer)
    return [tensor for tensor in used if (tensor.name in matched) == (method.trainable is not None)]


def _biases(method: BitFit, anatomy: Anatomy) -> Selection:
    used = [tensor for tensor in anatomy.tensors if tensor.name.endswith("bias") and _is_used(tensor, method, anatomy)]
    every = [_module(tensor.name) for tensor in anatomy.tensors if tensor.name.endswith("bias")]
    modules = [_module(tensor.name) for tensor in used]
    if method.targets is not None:
        matched = _matched(method.targets, modules, every, anatomy, "/method/targets", "module that has a bias")
        used = [tensor for tensor in used if _module(tensor.name) in matched]
    chosen = [tensor for tensor in used if _is_upper(tensor.name, method, anatomy)]
    if not chosen:
        raise _nothing_there("No bias", method)
    return Selection(chosen, _boundary(chosen, anatomy))


def _adapters(method: AdapterMethod, anatomy: Anatomy) -> Selection:
    """Adapters beside matrix products; the boundary lies below the lowest of them."""
    shapes = {tensor.name: tensor for tensor in anatomy.tensors}
    weights = [shapes[f"{name}.weight"] for name in anatomy.linear if f"{name}.weight" in shapes]  # a tied one goes by another name
    used = [_module(weight.name) for weight in weights if _is_used(weight, method, anatomy)]
    if not used:
        message = f"The backbone has no matrix product that adapters of {method.type} could stand beside."
        raise invalid_field("/method/type", message, 'Use the method "fine-tuning", or another backbone.')
    warning = None
    if method.targets is None:
        found, warning = usual_targets(method.type, used, anatomy)
    else:
        matched = _matched(method.targets, used, anatomy.linear, anatomy, "/method/targets", "matrix product")
        found = [name for name in used if name in matched]
    targets = [name for name in found if _is_upper(f"{name}.weight", method, anatomy)]
    if not targets:
        raise _nothing_there("No target", method)
    _check_rank(method, [shapes[f"{name}.weight"] for name in targets])
    adapter = adapter_for(method, targets, anatomy)
    return Selection(
        adapter_tensors(adapter, anatomy),
        _boundary([shapes[f"{name}.weight"] for name in targets], anatomy),
        adapter,
        () if warning is None else (PlanWarning(code="targets_guessed", pointer="/method/targets", message=warning),),
    )


def _check_rank(method: AdapterMethod, weights: list[Tensor]) -> None:
    smallest = min(weights, key=lambda weight: min(weight.shape))
    if isinstance(method, LowRank) and method.rank > min(smallest.shape):
        message = f"The rank {method.rank} is larger than the smaller side of {quote(_module(smallest.name))}, {min(smallest.shape)}."
        raise invalid_field("/method/rank", message, "Ranks from 4 to 64 are usual.")


def _is_upper(name: str, method: BitFit | AdapterMethod, anatomy: Anatomy) -> bool:
    """Whether a parameter lies within the method's `top_layers`."""
    if method.top_layers is None:
        return True
    return _owner(Tensor(name=name, shape=[]), anatomy) in {layer.name for layer in _top(method.top_layers, method, anatomy)}


def _nothing_there(what: str, method: BitFit | AdapterMethod) -> BadInput:
    hint = "Raise top_layers, or leave it or targets out."
    return invalid_field(
        "/method/top_layers" if method.top_layers is not None else "/method/type",
        f"{what} lies in the layers that may learn.",
        hint,
        code="no_parameters_matched",
    )


def _module(name: str) -> str:
    """The module that holds a parameter."""
    return name.rpartition(".")[0]


def _matched(
    patterns: Sequence[str], names: list[str], every: list[str], anatomy: Anatomy, pointer: str, what: str = "parameter"
) -> set[str]:
    """The names that any of the patterns matches.

    Args:
        names: of what the pooled output depends on.
        every: of all there is.
        what: a name stands for, in words.
    """
    found: set[str] = set()
    for number, pattern in enumerate(patterns):
        expression = _compiled(pattern, anatomy, f"{pointer}/{number}")
        hits = {name for name in names if expression.fullmatch(name)}
        if not hits:
            raise _no_match(pattern, names, every, expression, f"{pointer}/{number}", what)
        found |= hits
    return found


def _compiled(pattern: str, anatomy: Anatomy, pointer: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - re2 has no types
    """A glob (`*` any characters, `?` one) or, behind `re:`, an RE2 expression: both match in linear time."""
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_PATTERN_MEMORY, False
    options.never_capture = True  # to say where each group lies costs a thousand times what the match does
    if pattern.startswith("re:"):
        text = pattern[3:]
    else:
        glob = without_family(pattern, anatomy)
        text = "".join(".*" if c == "*" else "." if c == "?" else re2.escape(c) for c in glob)
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise invalid_field(pointer, f"The pattern {quote(pattern)} is not a regular expression of RE2.", "See its syntax.") from error


def _no_match(pattern: str, names: list[str], every: list[str], expression, pointer: str, what: str) -> BadInput:  # type: ignore[no-untyped-def] # noqa: ANN001
    if any(expression.fullmatch(name) for name in every):
        hint = 'Use the pooling "pooler" to train it.'
        return invalid_field(pointer, f"What {quote(pattern)} matches is not used with this pooling.", hint, code="no_parameters_matched")
    near = closest(pattern.removeprefix("re:").replace("*", ""), names, most=5) or names[:5]
    return invalid_field(
        pointer, f"The pattern {quote(pattern)} matches no {what}.", f"Near names: {listing(near)}.", code="no_parameters_matched"
    )


def _top(count: int, method: Tuned, anatomy: Anatomy) -> list[Layer]:
    """The `count` upper blocks (layers that are numbered), and what stands above the lowest of them."""
    upto = [layer for layer in anatomy.layers if layer.index <= _last_index(method, anatomy)]
    blocks = [layer for layer in upto if layer.name.rpartition(".")[2].isdigit()]
    if count > len(blocks):
        hint = 'For all: "trainable": ["*"].' if isinstance(method, FineTuning) else "For all, leave top_layers out."
        raise invalid_field("/method/top_layers", f"The backbone has {len(blocks)} layers, not {count}.", hint)
    return [layer for layer in upto if layer.index >= blocks[-count].index]


def _last_index(method: Tuned, anatomy: Anatomy) -> int:
    """The highest layer that the pooled output depends on."""
    if method.pooling == "pooler":
        return max(layer.index for layer in anatomy.layers)
    return anatomy.layer(anatomy.default_layer).index


def _is_used(tensor: Tensor, method: Tuned, anatomy: Anatomy) -> bool:
    owner = _owner(tensor, anatomy)
    return owner is None or anatomy.layer(owner).index <= _last_index(method, anatomy)


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
