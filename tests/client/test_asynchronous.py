"""The asynchronous client is the synchronous one, awaited."""

from __future__ import annotations

import asyncio
import inspect
import io

import httpx
import pytest

from headstart.client import AsyncHeadstart, Headstart, Retries
from headstart.client.http import AsyncSurroundings
from headstart.errors import NotFound
from tests.client.service import KEY, Reply, Seen, Service
from tests.client.test_sync import OPERATIONS, SPEC


def connected(service: Service, **options) -> AsyncHeadstart:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = service.handle(Seen(request.method, request.url.raw_path.decode(), headers, request.content))
        return httpx.Response(reply.status, headers=reply.headers, content=reply.content)

    async def rest(_seconds: float) -> None:
        return None

    async def handle(request: httpx.Request) -> httpx.Response:
        await request.aread()
        return answer(request)

    surroundings = AsyncSurroundings(sleep=rest, transport=httpx.MockTransport(handle))
    return AsyncHeadstart("http://127.0.0.1:1", KEY, surroundings=surroundings, **options)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_the_signature_of_the_synchronous_one(name: str):
    plain, awaited = (inspect.signature(getattr(kind, name)) for kind in (Headstart, AsyncHeadstart))
    assert plain == awaited
    assert inspect.iscoroutinefunction(getattr(AsyncHeadstart, name))


def test_operations_are_made_and_parsed_alike(service: Service):
    async def work():
        async with connected(service) as client:
            made = await client.create_dataset(io.BytesIO(b"text,label\na,b\n"), name="reviews", format="csv")
            job = await client.create_job(SPEC)
            return made, job, await client.get_job(job.id), await client.list_models()

    made, job, again, models = asyncio.run(work())
    assert made.name == "reviews"
    assert again.id == job.id
    assert models.data
    keyed = [seen.headers.get("idempotency-key") for seen in service.seen if seen.method == "POST"]
    assert all(keyed)
    assert len(set(keyed)) == 2


def test_refusals_are_the_same_errors(service: Service):
    async def work() -> None:
        async with connected(service) as client:
            await client.get_job("job_0")

    with pytest.raises(NotFound):
        asyncio.run(work())


def test_server_that_is_away_is_tried_again_with_the_same_key(service: Service):
    service.replies = [Reply(503, {}, {"Retry-After": "1"})]

    async def work() -> None:
        async with connected(service, retries=Retries(failures=3)) as client:
            await client.create_job(SPEC)

    asyncio.run(work())
    keys = [seen.headers["idempotency-key"] for seen in service.seen]
    assert len(keys) == 2
    assert len(set(keys)) == 1
