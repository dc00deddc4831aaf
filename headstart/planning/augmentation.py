"""What augmentation comes to: how often training rows go through f, and whether that can be kept."""

from __future__ import annotations

from headstart.errors import invalid_field
from headstart.specs.jobs import JobSpec

POINTER = "/training/augmentation"


def check_augmentation(spec: JobSpec) -> None:
    """See that there are images to change, and views that what learns can be fitted to.

    Raises:
        BadInput: `invalid_field`.
    """
    augmentation, task = spec.training.augmentation, spec.tasks[0]
    if augmentation is None:
        return
    if task.modality != "image":
        message = f"Augmentation changes images, and {task.type} has none."
        raise invalid_field(POINTER, message, "Leave augmentation out.")
    if augmentation.views is None and not spec.method.head.stepped:
        message = f"A {spec.method.head.type} head that is not trained by steps needs the views of all rows at once, and every epoch sees new ones."
        raise invalid_field(f"{POINTER}/views", message, "Set views to a number, or train a linear head by steps: its solver null.")


def is_fresh(spec: JobSpec) -> bool:
    """Whether every epoch sees other pixels."""
    return spec.training.augmentation is not None and spec.training.augmentation.views is None


def fixed_views(spec: JobSpec) -> int:
    """Views of each training row that are made before training begins: one without augmentation, none when every epoch sees others."""
    augmentation = spec.training.augmentation
    return 1 if augmentation is None else augmentation.views or 0


def reason_to_keep(spec: JobSpec) -> str:
    """Why the cache is used, once what is kept fits its budget."""
    augmentation = spec.training.augmentation
    if augmentation is None:
        return "fits the budget"
    views = f"{augmentation.views} fixed views" if augmentation.views != 1 else "one fixed view"
    return f"fits the budget with {views} of each training row"
