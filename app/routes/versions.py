"""Versions of a dataset: the next one by adding or replacing rows, and how two of them differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.comparing import Comparisons, Pair, page_of, pair_of
from app.dependencies import CallerHere, IdempotencyKey, PageHere, RepeatHere, Shared, answer, respond
from app.making import Origin, kept, make_from_file, store_dataset, take_rows, take_upload
from app.openapi import file_body, made, problems
from app.requests import StrictRoute, UploadRoute
from app.services import Services
from app.stored import ready_dataset
from app.uploads import VERSION_FIELDS, Upload
from headstart.errors import BadInput, Fault
from headstart.specs.datasets import HOWS, Dataset
from headstart.specs.fields import MAX_COLUMN_CHARS
from headstart.specs.versions import CreateVersion, DatasetDiff, NewRows, ReplacingRows
from headstart.store import datasets as store
from headstart.store.idempotency import Answer

router = APIRouter(route_class=StrictRoute, tags=["datasets"])
uploads = APIRouter(route_class=UploadRoute, tags=["datasets"])

PATH = "/v1/datasets/{dataset}/versions"
_BODY = file_body(
    "how",
    {
        "how": {"type": "string", "enum": list(HOWS), "description": "What the file's rows do."},
        "key": {"type": "string", "description": "With `replace`: the column that tells which old row each one replaces."},
    },
    types="JSON: column types that change.",
    bad_row="What one bad row of the file does: `strict` refuses it, `lenient` drops the row and counts it.",
)


def get_comparisons(request: Request) -> Comparisons:
    comparisons: Comparisons = request.app.state.comparisons
    return comparisons


@router.post(
    PATH,
    status_code=202,
    response_model=Dataset,
    responses=made(202, "version") | problems(400, 404, 409, 413, 415),
    openapi_extra=_BODY,
)
def create_dataset_version(dataset: str, body: CreateVersion, caller: CallerHere, services: Shared, repeat: RepeatHere) -> Response:
    """The next version under the same name: this one's rows, then new ones; or with some replaced by a key. Old rows keep their numbers.

    The rows come in the body, as a finished upload, or as a multipart file. A worker reads them and joins the two.
    """
    how, given = next((how, given) for how in HOWS if (given := getattr(body, how)) is not None)
    origin = _origin(services, caller.workspace_id, dataset, upload_id=given.upload, within=f"/{how}")

    def make() -> Answer:
        sent = _taken(services, origin, given, pointer=f"/{how}/format")
        key = given.key if isinstance(given, ReplacingRows) else None
        told = None if sent is None else replace(sent, types=body.types, mode=body.mode, how=how, key=key)
        return store_dataset(services, origin, told, repeat)

    return respond(kept(services, origin, make))


def _taken(services: Services, origin: Origin, given: NewRows, *, pointer: str) -> Upload | None:
    if given.rows is None:
        return take_upload(services, origin, stated=given.format, pointer=pointer)
    size, sha256 = take_rows(services, origin, given.rows)
    return Upload(None, "jsonl", {}, size_bytes=size, sha256=sha256)


@uploads.post(PATH, include_in_schema=False)
async def create_dataset_version_from_file(
    dataset: str, request: Request, caller: CallerHere, services: Shared, idempotency_key: IdempotencyKey = None
) -> Response:
    """In the document it is the second content type of `create_dataset_version`."""
    origin = await run_in_threadpool(_origin, services, caller.workspace_id, dataset)
    return respond(await make_from_file(request, services, origin, f"POST {PATH}", idempotency_key, VERSION_FIELDS))


def _origin(services: Services, workspace_id: str, dataset: str, *, upload_id: str | None = None, within: str = "") -> Origin:
    """Before anything is stored, see that there is something to make a version of.

    Raises:
        NotFound: there is not.
        Conflict: it is not ready.
    """
    parent = ready_dataset(services, workspace_id, dataset)
    return Origin(workspace_id, store.new_dataset_id(), parent_id=parent.id, upload_id=upload_id, within=within)


@router.get("/v1/datasets/{dataset}/diff", response_model=DatasetDiff, responses=problems(404, 409))
async def get_dataset_diff(
    dataset: str,
    caller: CallerHere,
    services: Shared,
    comparisons: Annotated[Comparisons, Depends(get_comparisons)],
    page: PageHere,
    against: Annotated[
        str | None, Query(max_length=128, description="The earlier version: an id, `name` or `name:2`; left out: what it was made from.")
    ] = None,
    key: Annotated[
        str | None, Query(min_length=1, max_length=MAX_COLUMN_CHARS, description="A column that tells rows apart, to see which changed.")
    ] = None,
) -> Response:
    """What changed between two versions: columns, counts of rows and labels, and by pages the numbers of the rows of each kind."""
    start = page.number() or 0
    pair = await run_in_threadpool(_pair, services, caller.workspace_id, dataset, against, key)
    found = await comparisons.rows(services, pair)
    return await run_in_threadpool(lambda: respond(answer(page_of(pair, found, start, page.limit), 200)))


def _pair(services: Services, workspace_id: str, dataset: str, against: str | None, key: str | None) -> Pair:
    with services.database.read() as session:
        after = store.ready(store.get_dataset(session, workspace_id, dataset))
        earlier = against or after.parent_id
        if earlier is None:
            fault = Fault("/against", "is required")
            raise BadInput("invalid_field", "The parameter 'against' is required.", "The dataset was made from no other.", (fault,))
        before = store.ready(store.get_reference(session, workspace_id, earlier))
    return pair_of(before, after, key)
