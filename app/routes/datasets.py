"""Datasets: upload, look, delete."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from app.dependencies import CallerHere, IdempotencyKey, PageHere, Reading, RepeatHere, Shared, Writing, paged, respond
from app.making import Origin, kept, make_from_file, store_dataset, take_upload
from app.openapi import file_body, made, problems
from app.requests import StrictRoute, UploadRoute
from app.stored import reading_tables, ready_dataset
from app.tables import CSV, csv_response
from app.uploads import FIELDS
from headstart.data.preview import preview
from headstart.planning.suggestions import suggest
from headstart.specs.datasets import Dataset, Profile, Row, RowProblem
from headstart.specs.fields import NAME_PATTERN
from headstart.specs.pages import Page
from headstart.specs.suggestions import Suggestions
from headstart.specs.versions import CreateDataset
from headstart.store import datasets as store
from headstart.store.idempotency import Answer
from headstart.store.pages import encode_cursor

router = APIRouter(route_class=StrictRoute, tags=["datasets"])
uploads = APIRouter(route_class=UploadRoute, tags=["datasets"])

ROUTE_PATH = "/v1/datasets"
ROUTE = f"POST {ROUTE_PATH}"
_PROBLEMS = problems(404) | {
    200: {"description": "A page, or all as `text/csv`.", "content": {CSV: {"schema": {"type": "string"}}}},
}
_BODY = file_body(
    "name",
    {"name": {"type": "string", "pattern": NAME_PATTERN, "description": "A name uploaded again is a new version."}},
    types='JSON such as {"label": "category"}; left out: guessed. `image` and `audio`: base64.',
    bad_row="What one bad row does: `strict` refuses the file, `lenient` drops the row and counts it.",
)


@router.post(
    ROUTE_PATH,
    status_code=202,
    response_model=Dataset,
    responses=made(202, "dataset") | problems(400, 409, 413, 415),
    openapi_extra=_BODY,
)
def create_dataset(body: CreateDataset, caller: CallerHere, services: Shared, repeat: RepeatHere) -> Response:
    """Upload a file: the fields first, the file last, streamed to storage; or name a finished upload. A worker reads it afterwards."""
    origin = Origin(caller.workspace_id, store.new_dataset_id(), upload_id=body.upload)

    def make() -> Answer:
        sent = take_upload(services, origin, stated=body.format, pointer="/format")
        told = None if sent is None else replace(sent, name=body.name, types=body.types, mode=body.mode)
        return store_dataset(services, origin, told, repeat)

    return respond(kept(services, origin, make))


@uploads.post(ROUTE_PATH, include_in_schema=False)
async def create_dataset_from_file(
    request: Request, caller: CallerHere, services: Shared, idempotency_key: IdempotencyKey = None
) -> Response:
    """In the document it is the second content type of `create_dataset`."""
    origin = Origin(caller.workspace_id, store.new_dataset_id())
    return respond(await make_from_file(request, services, origin, ROUTE, idempotency_key, FIELDS))


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
def list_dataset_rows(dataset: str, caller: CallerHere, page: PageHere, services: Shared) -> Page[Row]:
    """A look at the rows, in the order of the file; long values are cut."""
    row = ready_dataset(services, caller.workspace_id, dataset)
    start = page.number() or 0
    path = services.blobs.path(store.table_key(row.id, row.epoch))
    with reading_tables(services, row):
        shown = preview(path, store.profile_of(row).table_sha256, start, page.limit)
    more = start + len(shown) < (row.rows or 0)
    return paged(shown, encode_cursor(str(start + len(shown))) if more else None)


@router.get("/v1/datasets/{dataset}/profile", responses=problems(404, 409))
def get_dataset_profile(dataset: str, caller: CallerHere, session: Reading) -> Profile:
    """What reading found out about each column."""
    found = store.profile_of(store.ready(store.get_dataset(session, caller.workspace_id, dataset)))
    return Profile(
        object="profile", rows=found.rows, dropped_rows=found.dropped_rows, split_column=found.split_column, columns=found.columns
    )


@router.get("/v1/datasets/{dataset}/suggestions", responses=problems(404, 409))
def get_dataset_suggestions(dataset: str, caller: CallerHere, services: Shared) -> Suggestions:
    """What the dataset could be used for: types, tasks to paste into a job, split and group; and what deserves a look before."""
    return suggest(store.profile_of(ready_dataset(services, caller.workspace_id, dataset)))


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
