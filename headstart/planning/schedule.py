"""What of a backbone learns from which epoch on, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from headstart.errors import BadInput, Fault, invalid_field
from headstart.planning.trainable import Selection, select
from headstart.specs.backbones import Anatomy
from headstart.specs.jobs import FeatureExtraction, FineTuning, JobSpec
from headstart.specs.plans import INPUT, Phase


@dataclass(frozen=True, slots=True)
class Step:
    """From `epoch` on, all of `selection` learns."""

    epoch: int
    selection: Selection

    @property
    def phase(self) -> Phase:
        chosen = self.selection
        return Phase(epoch=self.epoch, boundary=chosen.boundary, parameters=chosen.parameters, tensors=len(chosen.tensors))


def steps_of(spec: JobSpec, anatomy: Anatomy) -> list[Step]:
    """What learns at first, and after each entry of the schedule: what learnt before goes on, so that the boundary only moves down.

    Raises:
        BadInput: as `select` does, with pointers into the schedule; an epoch that is not after the one before it, or beyond the last; an
            entry that adds nothing.
    """
    method = spec.method
    if isinstance(method, FeatureExtraction):
        return []
    if not isinstance(method, FineTuning):
        return [Step(1, select(method, anatomy))]
    _check_start(spec, method)
    steps = [Step(1, select(method, anatomy))]
    for number, entry in enumerate(method.schedule or ()):
        pointer = f"/method/schedule/{number}"
        _check_epoch(entry.epoch, steps[-1].epoch, spec.training.epochs, pointer)
        if (entry.trainable is None) == (entry.top_layers is None):
            message = "Exactly one of trainable and top_layers says what joins in."
            raise invalid_field(pointer, message, 'For example {"epoch": 2, "top_layers": 4}.')
        update = {"trainable": entry.trainable, "frozen": None, "top_layers": entry.top_layers}
        added = _pointed(method.model_copy(update=update), anatomy, pointer)
        together = _union(steps[-1].selection, added, anatomy)
        if len(together.tensors) == len(steps[-1].selection.tensors):
            raise invalid_field(pointer, "All that this entry names learns already.", "Name more in each entry than in the one before.")
        steps.append(Step(entry.epoch, together))
    return steps


def spans(first_epochs: Sequence[int], epochs: int) -> list[range]:
    """The epochs of each phase, counted from 1."""
    ends = [*(first - 1 for first in first_epochs[1:]), epochs]
    return [range(first, end + 1) for first, end in zip(first_epochs, ends, strict=True)]


def _check_start(spec: JobSpec, method: FineTuning) -> None:
    """See that what is said of where parameters and the head begin can be done.

    Raises:
        BadInput: `invalid_field`.
    """
    if method.l2_sp > 0 and spec.init == "random":
        message = "A backbone that begins at random has no pretrained parameters to be pulled to."
        raise invalid_field("/method/l2_sp", message, 'Set l2_sp to 0, or init to "pretrained".')
    if method.head_first_epochs > 0 and not method.head.stepped:
        message = "The head is solved first already; steps would add nothing."
        raise invalid_field("/method/head_first_epochs", message, "Set the head's solver to null, or head_first_epochs to 0.")


def rate_scales(names: Iterable[str], anatomy: Anatomy, decay: float) -> dict[str, float]:
    """The share of the learning rate that each parameter learns at: `decay` for the uppermost block, its square for the next, and so on.

    What stands above the uppermost block (a last norm, a pooler) learns as that does; what stands below the lowest block, or outside of all
    layers, one step slower than the lowest (Clark et al. 2020, as in ELECTRA).
    """
    blocks = sorted(layer.index for layer in anatomy.layers if layer.name.rpartition(".")[2].isdigit())
    index = {layer.name: layer.index for layer in anatomy.layers}

    def level(name: str) -> int:
        """Blocks at or below the parameter's layer."""
        holding = [layer for layer in index if name.startswith(f"{layer}.")]
        return sum(block <= index[max(holding, key=len)] for block in blocks) if holding else 0

    return {name: decay ** (len(blocks) + 1 - level(name)) for name in names}


def _check_epoch(epoch: int, before: int, last: int, pointer: str) -> None:
    if epoch <= before:
        message = f"Epoch {epoch} does not come after epoch {before}, where the phase before it begins."
        raise invalid_field(f"{pointer}/epoch", message, "Let the epochs of the schedule rise; the first phase begins at 1.")
    if epoch > last:
        raise invalid_field(f"{pointer}/epoch", f"There are {last} epochs, so epoch {epoch} never comes.", "Raise training.epochs.")


def _pointed(method: FineTuning, anatomy: Anatomy, pointer: str) -> Selection:
    """The selection of one entry; what it is refused for is said of that entry."""
    try:
        return select(method, anatomy)
    except BadInput as refused:
        moved = [replace(fault, pointer=_moved(fault, pointer)) for fault in refused.faults]
        raise BadInput(refused.code, refused.message, refused.hint, faults=moved) from None


def _moved(fault: Fault, pointer: str) -> str:
    return pointer + (fault.pointer or "").removeprefix("/method")


def _union(one: Selection, other: Selection, anatomy: Anatomy) -> Selection:
    names = {tensor.name for tensor in (*one.tensors, *other.tensors)}
    index = {INPUT: -1, **{layer.name: layer.index for layer in anatomy.layers}}
    boundary = min(one.boundary, other.boundary, key=index.__getitem__)
    return replace(one, tensors=[tensor for tensor in anatomy.tensors if tensor.name in names], boundary=boundary)
