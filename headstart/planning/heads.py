"""Whether a head and the loss it learns by go together, with the method and with the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headstart.errors import closest, invalid_field, listing, quote
from headstart.specs.heads import Head, KnnHead
from headstart.specs.jobs import FeatureExtraction, JobSpec, Training
from headstart.specs.labels import normal_label
from headstart.specs.plans import PlanWarning
from headstart.specs.tasks import Problem

OTHER_HEADS = 'Use a "linear" or "mlp" head, or leave it out.'


def check_head(spec: JobSpec) -> None:
    """See that the head can learn with this method, by this loss.

    Raises:
        BadInput: `invalid_field`.
    """
    head = spec.method.head
    if not head.has_loss:
        _check_without_loss(spec)
        return
    solver = getattr(head, "solver", None)
    if isinstance(spec.method, FeatureExtraction) and not head.stepped and getattr(head, "dropout", 0.0) > 0:
        message = "A solved head has no dropout."
        raise invalid_field("/method/head/dropout", message, "Set the solver to null to train it by steps, or dropout to 0.")
    if solver is not None and spec.training.loss == "focal":
        message = "The focal loss has more than one valley, so that no solver finds its least value."
        raise invalid_field("/training/loss", message, "Set the head's solver to null to train it by steps.")


def _check_without_loss(spec: JobSpec) -> None:
    kind = spec.method.head.type
    if not isinstance(spec.method, FeatureExtraction):
        message = f"A {kind} head is computed from features and gives no gradient that the backbone could learn by."
        raise invalid_field("/method/head/type", message, 'Use a "linear" or "mlp" head, or the method "feature-extraction".')
    training = spec.training
    asked = {
        "class_weights": training.class_weights is not None,
        "label_smoothing": training.label_smoothing > 0,
        "loss": training.loss != "cross-entropy",
    }
    for name, given in asked.items():
        if given:
            raise invalid_field(f"/training/{name}", f"A {kind} head is computed, by no loss that {name} could change.", OTHER_HEADS)


def check_rows(spec: JobSpec, train_rows: int) -> None:
    """See that there are as many neighbours as shall vote.

    Raises:
        BadInput: `invalid_field`.
    """
    head = spec.method.head
    if isinstance(head, KnnHead) and head.k > train_rows:
        message = f"There are {train_rows:,} rows to train on, fewer than the {head.k:,} that shall vote."
        raise invalid_field("/method/head/k", message, "Lower k.")


def head_warnings(spec: JobSpec, kept: int, width: int, *, what: str) -> Iterable[PlanWarning]:
    """What a user may not expect of a head; `kept`: training rows or, as `what` says, words."""
    if isinstance(spec.method.head, KnnHead):
        augmentation = spec.training.augmentation
        views = "" if augmentation is None else ", their views counted"
        message = f"The model keeps the features of all {kept:,} training {what}{views}, {4 * kept * width:,} bytes."
        yield PlanWarning(code="rows_kept", pointer="/method/head/type", message=message)


def check_problem(head: Head, problem: Problem, training: Training, number: int) -> None:
    """See that a head can give the answers of a problem, by a loss there is for it.

    Raises:
        BadInput: `invalid_field`.
    """
    if head.type == "prototype" and problem != "single-label":
        message = f"A prototype head gives the class whose mean is nearest, and the problem of task {number + 1} is {problem}."
        raise invalid_field("/method/head/type", message, 'Use a "linear", "mlp" or "knn" head.')
    if problem != "regression":
        return
    for name, given in (("loss", training.loss != "cross-entropy"), ("label_smoothing", training.label_smoothing > 0)):
        if given:
            message = f"Task {number + 1} is a regression, whose loss is the squared error; it has no labels that {name} could change."
            raise invalid_field(f"/training/{name}", message, "Leave it out.")


def check_class_weights(spec: JobSpec, labels: Collection[str]) -> None:
    """See that each weight is for a label that there is.

    Args:
        labels: of all tasks.

    Raises:
        BadInput: `invalid_field`, with the closest labels.
    """
    weights = spec.training.class_weights
    if not isinstance(weights, dict):
        return
    for label in weights:
        if normal_label(label) not in labels:
            near = closest(label, labels, most=3)
            hint = f"Did you mean {' or '.join(map(quote, near))}?" if near else f"Labels are: {listing(sorted(labels))}."
            raise invalid_field(_pointer(label), f"No row has the label {quote(label)}.", hint)


def _pointer(label: str) -> str:
    """RFC 6901; a label too long to be one is not repeated whole."""
    escaped = quote(label)[1:-1].replace("~", "~0").replace("/", "~1")
    return f"/training/class_weights/{escaped}"
