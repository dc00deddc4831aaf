"""Datasets: versions under a name, what reading them found, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Conflict, Fault, not_found
from headstart.specs import datasets as specs
from headstart.specs.ids import is_id, new_id
from headstart.specs.problems import Failure
from headstart.store.pages import page
from headstart.store.references import parse_reference
from headstart.store.states import TERMINAL
from headstart.store.tables import Dataset, Job, JobDataset

FOLDER = "datasets"
KIND = "dataset"
UNREAD = ("pending", "validating")


def upload_key(dataset_id: str) -> str:
    """Blob of the file as it was sent."""
    return f"{folder_key(dataset_id)}/upload"


def table_key(dataset_id: str, epoch: int) -> str:
    """Blob of the columnar table that attempt `epoch` wrote."""
    return f"{folder_key(dataset_id)}/e{epoch}/table.arrow"


def folder_key(dataset_id: str) -> str:
    return f"{FOLDER}/{dataset_id}"


def create_dataset(
    session: Session,
    *,
    dataset_id: str,
    workspace_id: str,
    name: str,
    format: specs.Format,  # noqa: A002 - the contract's word
    types: Mapping[str, str],
    size_bytes: int,
    sha256: str,
    max_attempts: int,
    parent: specs.Parent | None = None,
    now: datetime,
    mode: specs.ReadMode = "strict",
) -> Dataset:
    """The next version under `name`, `pending` until a worker has read it."""
    newest = select(func.max(Dataset.version)).where(Dataset.workspace_id == workspace_id, Dataset.name == name)
    for _ in range(10):  # two uploads of one name at once: the constraint decides, the loser takes the next number
        dataset = Dataset(
            id=dataset_id,
            workspace_id=workspace_id,
            name=name,
            version=(session.scalar(newest) or 0) + 1,
            status="pending",
            format=format,
            bytes=size_bytes,
            sha256=sha256,
            types=dict(types),
            mode=mode,
            rows=None,
            profile=None,
            problem_count=0,
            error=None,
            parent_id=None if parent is None else parent.dataset,
            parent_how=None if parent is None else parent.how,
            parent_key=None if parent is None else parent.key,
            created_at=now,
            deleted_at=None,
            max_attempts=max_attempts,
        )
        try:
            with session.begin_nested():
                session.add(dataset)
            return dataset
        except IntegrityError:
            continue
    raise Conflict("state_conflict", "Too many uploads under this name at once.", "Try again.", retry_after_seconds=1)


def all_alive(session: Session) -> set[str]:
    """Ids of the datasets, in all workspaces, that were not deleted."""
    return set(session.scalars(select(Dataset.id).where(Dataset.deleted_at.is_(None))))


def _alive(workspace_id: str) -> Select[Dataset]:
    return select(Dataset).where(Dataset.workspace_id == workspace_id, Dataset.deleted_at.is_(None))


def get_dataset(session: Session, workspace_id: str, dataset_id: str) -> Dataset:
    dataset = session.scalars(_alive(workspace_id).where(Dataset.id == dataset_id)).first()
    if dataset is None:
        raise not_found("dataset")
    return dataset


def list_datasets(
    session: Session, workspace_id: str, *, name: str | None, limit: int, after: str | None
) -> tuple[list[Dataset], str | None]:
    query = _alive(workspace_id)
    return page(session, query if name is None else query.where(Dataset.name == name), Dataset.id, limit=limit, after=after)


def resolve_dataset(session: Session, workspace_id: str, reference: str, *, pointer: str) -> Dataset:
    """The ready dataset that a body names, held until the transaction ends.

    Raises:
        BadInput: `dataset_not_found`, or it turned out invalid.
        Conflict: `dataset_not_ready`, it is still being read.
    """
    return resolve_datasets(session, workspace_id, {pointer: reference})[reference]


def resolve_datasets(session: Session, workspace_id: str, references: Mapping[str, str]) -> dict[str, Dataset]:
    """The ready datasets that a body names, by reference, held until the transaction ends.

    Args:
        references: by the pointer to each.

    Raises:
        BadInput, Conflict: as of `resolve_dataset`, for the first that cannot be used.
    """
    while True:
        found: dict[str, Dataset] = {}
        for pointer, reference in references.items():
            if reference not in found:
                found[reference] = _find_ready(session, workspace_id, reference, pointer)
        # in one order for all: two jobs on the same datasets would else each wait for what the other holds
        rows = select(Dataset).where(Dataset.id.in_({row.id for row in found.values()})).order_by(Dataset.id).with_for_update()
        if all(row.deleted_at is None for row in session.scalars(rows.execution_options(populate_existing=True)).all()):
            return found


def _find_ready(session: Session, workspace_id: str, reference: str, pointer: str) -> Dataset:
    found = _find(session, workspace_id, reference)
    if found is None:
        message = "no such dataset"
        raise BadInput(
            "dataset_not_found", "There is no such dataset.", "GET /v1/datasets lists those that are.", (Fault(pointer, message),)
        )
    if found.status == "invalid":
        code = (found.error or {}).get("code", "bad_data")
        message = f"the dataset is invalid ({code})"
        hint = "GET /v1/datasets/{id}/problems lists what is wrong; upload it again, mended."
        raise BadInput("invalid_field", f"The dataset could not be read ({code}).", hint, (Fault(pointer, message),))
    if found.status != "ready":
        raise Conflict("dataset_not_ready", "The dataset is still being read.", "Try again shortly.", retry_after_seconds=1)
    return found


def hold_parent(session: Session, workspace_id: str, dataset_id: str) -> Dataset:
    """The version that a new one is made from in this transaction; nobody deletes it meanwhile.

    Raises:
        NotFound: it is gone.
        Conflict: it is not ready.
    """
    dataset = get_dataset(session, workspace_id, dataset_id)
    session.refresh(dataset, with_for_update=True)
    if dataset.deleted_at is not None:
        raise not_found("dataset")
    return ready(dataset)


def ready(dataset: Dataset) -> Dataset:
    """The dataset, if it was read well.

    Raises:
        Conflict: `dataset_not_ready`, it is still being read; `state_conflict`, it is invalid.
    """
    if dataset.status == "ready":
        return dataset
    if dataset.status == "invalid":
        raise Conflict("state_conflict", "The dataset could not be read.", "GET /v1/datasets/{id}/problems says why.")
    raise Conflict("dataset_not_ready", "The dataset is still being read.", "Try again shortly.", retry_after_seconds=1)


def get_reference(session: Session, workspace_id: str, reference: str) -> Dataset:
    """By id, `name` (the newest ready version) or `name:2`."""
    found = _find(session, workspace_id, reference)
    if found is None:
        raise not_found("dataset")
    return found


def _find(session: Session, workspace_id: str, reference: str) -> Dataset | None:
    query = _alive(workspace_id)
    if is_id(reference, "ds"):
        return session.scalars(query.where(Dataset.id == reference)).first()
    parsed = parse_reference(reference)
    if parsed is None or parsed.alias is not None:
        return None
    query = query.where(Dataset.name == parsed.name)
    if parsed.version is not None:
        return session.scalars(query.where(Dataset.version == parsed.version)).first()
    newest = query.order_by(Dataset.version.desc()).limit(1)
    return session.scalars(newest.where(Dataset.status == "ready")).first() or session.scalars(newest).first()


def versioned(dataset: Dataset) -> str:
    """Its name with its version, which is given out once."""
    return f"{dataset.name}:{dataset.version}"


def profile_of(dataset: Dataset) -> specs.DatasetProfile:
    """What reading found; only of a ready dataset."""
    return specs.DatasetProfile.model_validate(dataset.profile)


def mark_read(dataset: Dataset, profile: specs.DatasetProfile) -> None:
    """Values of a dataset that was read well; the caller holds the lease."""
    dataset.status, dataset.rows, dataset.problem_count = "ready", profile.rows, profile.problem_count
    dataset.profile = profile.model_dump(mode="json")


def mark_invalid(dataset: Dataset, failure: Failure, problems: list[specs.RowProblem], problem_count: int) -> None:
    """Values of a dataset that could not be read; the caller holds the lease."""
    dataset.status, dataset.error, dataset.problem_count = "invalid", failure.model_dump(), problem_count
    dataset.profile = {"problems": [problem.model_dump() for problem in problems]}


def problems_of(dataset: Dataset) -> list[specs.RowProblem]:
    return [specs.RowProblem.model_validate(problem) for problem in (dataset.profile or {}).get("problems", [])]


def delete_dataset(session: Session, workspace_id: str, dataset_id: str, *, now: datetime) -> None:
    """Hide it at once; its files go when the transaction has committed.

    Raises:
        Conflict: `in_use`, a job that is not finished needs it.
    """
    dataset = get_dataset(session, workspace_id, dataset_id)
    session.refresh(dataset, with_for_update=True)  # a job that is being created holds it, or will not find it
    named = select(JobDataset.job_id).where(JobDataset.dataset_id == dataset.id)
    needs = (Job.dataset_id == dataset.id) | Job.id.in_(named)
    job = session.scalars(select(Job.id).where(needs, Job.status.not_in(TERMINAL)).limit(1)).first()
    if job is not None:
        raise Conflict("in_use", f"Job {job} needs this dataset.", "Wait for it, or cancel it.")
    unread = select(Dataset.id).where(Dataset.parent_id == dataset.id, Dataset.status.in_(UNREAD), Dataset.deleted_at.is_(None))
    child = session.scalars(unread.limit(1)).first()
    if child is not None:
        raise Conflict("in_use", f"Dataset {child} is being made from this one.", "Wait until it is ready, or delete it.")
    dataset.deleted_at = now
    session.flush()


def view(dataset: Dataset) -> specs.Dataset:
    columns = (dataset.profile or {}).get("columns") if dataset.status == "ready" else None
    keep = ("name", "type", "missing", "distinct")
    return specs.Dataset(
        object="dataset",
        id=dataset.id,
        name=dataset.name,
        version=dataset.version,
        status=dataset.status,
        format=dataset.format,
        mode=dataset.mode,
        bytes=dataset.bytes,
        sha256=dataset.sha256,
        rows=dataset.rows,
        columns=None if columns is None else [specs.Column(**{name: column[name] for name in keep}) for column in columns],
        dropped_rows=(dataset.profile or {}).get("dropped_rows", 0) if dataset.status == "ready" else None,
        problem_count=dataset.problem_count,
        error=None if dataset.error is None else Failure.model_validate(dataset.error),
        parent=parent_of(dataset),
        created_at=dataset.created_at,
    )


def parent_of(dataset: Dataset) -> specs.Parent | None:
    if dataset.parent_id is None or dataset.parent_how is None:
        return None
    how: specs.How = "append" if dataset.parent_how == "append" else "replace"
    return specs.Parent(dataset=dataset.parent_id, how=how, key=dataset.parent_key)


def new_dataset_id() -> str:
    return new_id("ds")
