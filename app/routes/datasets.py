"""Datasets: upload, look, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app import idempotency
from app.dependencies import CallerHere, PageHere, Reading, Shared, Writing, answer, paged, respond, working
from app.idempotency import Running
from app.multipart import boundary_of
from app.openapi import made, problems
from app.requests import StrictRoute, UploadRoute
from app.services import Services
from app.tables import CSV, csv_response
from app.uploads import Upload, receive_upload
from headstart.data.preview import preview
from headstart.errors import Conflict
from headstart.planning.suggestions import suggest
from headstart.specs.datasets import FORMATS, READ_MODES, Dataset, Profile, Row, RowProblem
from headstart.specs.fields import NAME_PATTERN
from headstart.specs.pages import Page
from headstart.specs.suggestions import Suggestions
from headstart.store import datasets as store
from headstart.store.idempotency import Answer
from headstart.store.idempotency import Request as Repeat
from headstart.store.pages import encode_cursor
from headstart.store.tables import Dataset as DatasetRow

router = APIRouter(route_class=StrictRoute, tags=["datasets"])
uploads = APIRouter(route_class=UploadRoute, tags=["datasets"])

ROUTE = "POST /v1/datasets"
_PROBLEMS = problems(404) | {
    200: {"description": "A page, or all as `text/csv`.", "content": {CSV: {"schema": {"type": "string"}}}},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "file"],
                    "properties": {
                        "name": {"type": "string", "pattern": NAME_PATTERN, "description": "A name uploaded again is a new version."},
                        "format": {
                            "type": "string",
                            "enum": list(FORMATS),
                            "description": "Left out: from the file's name, or its first bytes.",
                        },
                        "schema": {
                            "type": "string",
                            "description": 'JSON such as {"label": "category"}; left out: guessed. `image` and `audio`: base64.',
                        },
                        "mode": {
                            "type": "string",
                            "enum": list(READ_MODES),
                            "default": "strict",
                            "description": "What one bad row does: `strict` refuses the file, `lenient` drops the row and counts it.",
                        },
                        "file": {"type": "string", "format": "binary", "description": "Comes last."},
                    },
                }
            }
        },
    }
}


@uploads.post(
    "/v1/datasets",
    status_code=202,
    response_model=Dataset,
    responses=made(202, "dataset") | problems(400, 409, 413, 415),
    openapi_extra=_BODY,
)
async def create_dataset(
    request: Request,
    caller: CallerHere,
    services: Shared,
    idempotency_key: Annotated[
        str | None, Header(alias="Idempotency-Key", description="1 to 255 printable ASCII characters; kept for 24 hours.")
    ] = None,
) -> Response:
    """Upload a file: the fields first, the file last. It is streamed to storage; a worker reads it afterwards."""
    key = idempotency.checked(idempotency_key)
    boundary = boundary_of(request.headers.get("content-type"))
    running: Running = request.app.state.running
    dataset_id = store.new_dataset_id()
    with running.hold(caller.workspace_id, ROUTE, key):
        try:
            write = partial(services.blobs.write, store.upload_key(dataset_id))
            upload = await receive_upload(request.stream(), boundary, write, limit=services.settings.max_upload_bytes)
            repeat = idempotency.repeatable(caller.workspace_id, ROUTE, key, *upload.said)
            with anyio.CancelScope(shield=True):  # once the row is committed, a caller that hangs up must not take its file away
                made_answer = await run_in_threadpool(_create, services, caller.workspace_id, dataset_id, upload, repeat)
        except BaseException:
            await _forget(services, dataset_id)
            raise
    if made_answer.location != f"/v1/datasets/{dataset_id}":
        await _forget(services, dataset_id)  # a repeat: the first upload is the one that counts
    return respond(made_answer)


def _create(services: Services, workspace_id: str, dataset_id: str, upload: Upload, repeat: Repeat | None) -> Answer:
    with working(services, repeat) as work:

        def make() -> Answer:
            row = store.create_dataset(
                work.session,
                dataset_id=dataset_id,
                workspace_id=workspace_id,
                name=upload.name,
                format=upload.format,
                types=upload.types,
                mode=upload.mode,
                size_bytes=upload.size_bytes,
                sha256=upload.sha256,
                max_attempts=services.settings.max_attempts,
                now=work.now,
            )
            work.after_commit(partial(services.bell.ring, row.id))
            return answer(store.view(row), 202, f"/v1/datasets/{row.id}")

        return work.once(make)


async def _forget(services: Services, dataset_id: str) -> None:
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(services.blobs.delete, store.folder_key(dataset_id))


@router.get("/v1/datasets", responses=problems())
def list_datasets(
    caller: CallerHere,
    session: Reading,
    page: PageHere,
    name: Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only versions under this name.")] = None,
) -> Page[Dataset]:
    rows, following = store.list_datasets(session, caller.workspace_id, name=name, limit=page.limit, after=page.after)
    return paged([store.view(row) for row in rows], following)


@router.get("/v1/datasets/{dataset}", responses=problems(404))
def get_dataset(dataset: str, caller: CallerHere, session: Reading) -> Dataset:
    return store.view(store.get_dataset(session, caller.workspace_id, dataset))


@router.get("/v1/datasets/{dataset}/rows", responses=problems(404, 409))
def list_dataset_rows(dataset: str, caller: CallerHere, session: Reading, page: PageHere, services: Shared) -> Page[Row]:
    """A look at the rows, in the order of the file; long values are cut."""
    row = ready(store.get_dataset(session, caller.workspace_id, dataset))
    start = page.number() or 0
    path = services.blobs.path(store.table_key(row.id, row.epoch))
    shown = preview(path, store.profile_of(row).table_sha256, start, page.limit)
    more = start + len(shown) < (row.rows or 0)
    return paged(shown, encode_cursor(str(start + len(shown))) if more else None)


@router.get("/v1/datasets/{dataset}/profile", responses=problems(404, 409))
def get_dataset_profile(dataset: str, caller: CallerHere, session: Reading) -> Profile:
    """What reading found out about each column."""
    found = store.profile_of(ready(store.get_dataset(session, caller.workspace_id, dataset)))
    return Profile(
        object="profile", rows=found.rows, dropped_rows=found.dropped_rows, split_column=found.split_column, columns=found.columns
    )


def ready(row: DatasetRow) -> DatasetRow:
    """The dataset, if it was read well.

    Raises:
        Conflict: `dataset_not_ready`, it is still being read; `state_conflict`, it is invalid.
    """
    if row.status == "ready":
        return row
    if row.status == "invalid":
        raise Conflict("state_conflict", "The dataset could not be read.", "GET /v1/datasets/{id}/problems says why.")
    raise Conflict("dataset_not_ready", "The dataset is still being read.", "Try again shortly.", retry_after_seconds=1)


@router.get("/v1/datasets/{dataset}/suggestions", responses=problems(404, 409))
def get_dataset_suggestions(dataset: str, caller: CallerHere, session: Reading) -> Suggestions:
    """What the dataset could be used for: types, tasks to paste into a job, split and group; and what deserves a look before."""
    return suggest(store.profile_of(ready(store.get_dataset(session, caller.workspace_id, dataset))))


@router.get("/v1/datasets/{dataset}/problems", response_model=Page[RowProblem], responses=_PROBLEMS)
def list_dataset_problems(
    dataset: str,
    caller: CallerHere,
    session: Reading,
    page: PageHere,
    format: Annotated[  # noqa: A002 - the contract's word
        Literal["json", "csv"] | None, Query(description="`csv`: all of them, to download. Left out: as `Accept` says.")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Page[RowProblem] | Response:
    """What is wrong with the file, and what `lenient` left out of it, row by row."""
    found = store.problems_of(store.get_dataset(session, caller.workspace_id, dataset))
    if format == "csv" or (format is None and CSV in accept and "json" not in accept):
        rows = [(problem.row, problem.column, problem.code, problem.message) for problem in found]
        return csv_response(("row", "column", "code", "message"), rows, f"{dataset}-problems.csv")
    return page.of(found)


@router.delete("/v1/datasets/{dataset}", status_code=204, responses=problems(404, 409))
def delete_dataset(dataset: str, caller: CallerHere, work: Writing, services: Shared) -> None:
    """Its files go too."""
    store.delete_dataset(work.session, caller.workspace_id, dataset, now=work.now)
    work.after_commit(partial(services.blobs.delete, store.folder_key(dataset)))
