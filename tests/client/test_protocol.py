"""When a call is tried again, how long it waits, and what its errors say."""

from __future__ import annotations

import io
import json
import socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart import errors
from headstart.client import Headstart, Retries
from headstart.client.http import Surroundings
from headstart.client.jobs import create_job, get_job
from headstart.client.protocol import Call, Tries, failure, nothing, retry_after
from tests.client.conftest import Time
from tests.client.service import KEY, Reply, Service, dataset, form, job, listening, problem

SPEC = job()["spec"]
BUSY = Reply(503, b"<html>busy</html>")


def tries(call: Call[Any], failures: int = 5) -> Tries:
    return Tries(call, Retries(failures=failures), lambda: 0.5)


def respond(reply: Reply) -> httpx.Response:
    return httpx.Response(reply.status, headers=reply.headers, content=reply.content)


def test_a_lost_answer_is_asked_for_again_with_the_same_key_and_the_same_bytes(service: Service, time: Time):
    service.replies = [Reply(0), Reply(502, b"<html>"), problem(503, "unavailable")]
    with listening(service) as url, Headstart(url, KEY, surroundings=Surroundings(sleep=time.sleep, clock=time.clock)) as client:
        row = client.create_dataset(io.BytesIO(b"text,label\n" * 20_000), name="reviews")
    assert row.name == "reviews"
    assert len(service.seen) == 4
    assert len({seen.headers["idempotency-key"] for seen in service.seen}) == 1
    assert len({seen.body for seen in service.seen}) == 1
    assert form(service.seen[0])[-1] == ("file", b"text,label\n" * 20_000)
    assert len(time.naps) == 3


def test_a_retried_json_call_keeps_its_key_on_the_wire(service: Service, time: Time):
    service.replies = [Reply(0), problem(429, "overloaded", retry_after="3")]
    with listening(service) as url, Headstart(url, KEY, surroundings=Surroundings(sleep=time.sleep, clock=time.clock)) as client:
        client.create_job(SPEC)
        client.create_job(SPEC)
    keys = [seen.headers["idempotency-key"] for seen in service.seen]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert time.naps[1] >= 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(client: Headstart, service: Service, time: Time, status: int):
    service.replies = [problem(status, "rate_limited", retry_after="7")]
    client.list_jobs()
    assert time.naps == [7.0]


def test_a_retry_after_beyond_patience_is_an_error_that_tells_it(client: Headstart, service: Service, time: Time):
    service.replies = [problem(429, "rate_limited", retry_after="3600")]
    with pytest.raises(errors.Overloaded) as caught:
        client.list_jobs()
    assert caught.value.retry_after_seconds == 3600
    assert time.naps == []


def test_tries_end_and_pauses_grow(client: Headstart, service: Service, time: Time):
    service.replies = [BUSY] * 9
    with pytest.raises(errors.Unavailable):
        client.list_jobs()
    assert len(service.seen) == 5
    assert time.naps == sorted(time.naps)


@pytest.mark.parametrize("code", ["dataset_not_ready", "idempotency_running"])
def test_what_is_only_not_ready_yet_is_waited_for(client: Headstart, service: Service, time: Time, code: str):
    service.replies = [problem(409, code, retry_after="1") for _ in range(30)]
    assert client.create_job(SPEC).status == "queued"
    assert len(time.naps) == 30
    assert len({seen.headers["idempotency-key"] for seen in service.seen}) == 1


def test_waiting_for_a_dataset_has_an_end(client: Headstart, service: Service, time: Time):
    service.replies = [problem(409, "dataset_not_ready", retry_after="30") for _ in range(100)]
    with pytest.raises(errors.Conflict):
        client.create_job(SPEC)
    assert 500 < time.now <= 630


@pytest.mark.parametrize(("status", "code"), [(409, "state_conflict"), (409, "in_use"), (500, "internal"), (422, "invalid_field")])
def test_a_refusal_is_not_tried_again(client: Headstart, service: Service, time: Time, status: int, code: str):
    service.replies = [problem(status, code)]
    with pytest.raises(errors.HeadstartError):
        client.cancel_job("job_1")
    assert time.naps == []


def test_health_is_asked_once(client: Headstart, service: Service, time: Time):
    service.replies = [problem(503, "unavailable")]
    with pytest.raises(errors.Unavailable):
        client.get_health()
    assert len(service.seen) == 1


def test_a_delete_whose_answer_was_lost_is_done_when_the_row_is_gone(client: Headstart, service: Service):
    service.replies = [BUSY, problem(404, "not_found")]
    client.delete_model("reviews")
    service.replies = [problem(404, "not_found")]
    with pytest.raises(errors.NotFound):
        client.delete_model("reviews")


def test_no_server_is_told_with_its_address_and_what_to_do(time: Time):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with Headstart(url, KEY, surroundings=Surroundings(sleep=time.sleep)) as client, pytest.raises(errors.Unavailable) as caught:
            client.list_jobs()
    assert caught.value.code == "unreachable"
    assert url in caught.value.message
    assert "headstart up" in str(caught.value.hint)
    assert len(time.naps) == 4


def test_a_time_out_is_not_tried_again():
    with pytest.raises(errors.Unavailable, match="in time"):
        tries(get_job("job_1")).pause_after(httpx.ReadTimeout("late"))


def test_a_long_poll_may_take_longer_than_the_time_out(surroundings: Surroundings):
    from headstart.client.protocol import request_arguments

    assert request_arguments(get_job("job_1", wait=30), None, 10.0)["timeout"].read == 40


FAMILY = {
    400: errors.Malformed,
    401: errors.Unauthenticated,
    403: errors.Denied,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.UnsupportedMedia,
    422: errors.BadInput,
    429: errors.Overloaded,
    503: errors.Unavailable,
}


@pytest.mark.parametrize(("status", "kind"), FAMILY.items())
def test_a_status_becomes_the_error_of_the_same_name_with_all_its_words(status: int, kind: type[errors.HeadstartError]):
    fault = {"pointer": "/tasks/0/inputs/text", "row": None, "message": "no column 'txt'"}
    error = failure(get_job("job_1"), respond(problem(status, "some_code", "What happened.", "What would work.", [fault])))
    assert type(error) is kind
    assert (error.code, error.message, error.hint) == ("some_code", "What happened.", "What would work.")
    assert list(error.faults) == [errors.Fault("/tasks/0/inputs/text", "no column 'txt'", None)]
    assert error.__notes__ == ["request req_1"]


@pytest.mark.parametrize("content", [b"", b"<html>Bad gateway</html>", b'{"detail": "Not Found"}', b"\xff", b"[]"])
@pytest.mark.parametrize("status", [302, 404, 405, 413, 500, 502])
def test_an_answer_of_something_else_is_told_as_that(status: int, content: bytes):
    error = failure(get_job("job_1"), respond(Reply(status, content)))
    assert error.code == "unexpected_answer"
    assert str(status) in error.message
    assert error.hint is not None


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"object": "job"}'])
def test_a_good_status_with_another_shape_is_told_without_its_content(client: Headstart, service: Service, content: bytes):
    service.replies = [Reply(200, content)]
    with pytest.raises(errors.HeadstartError) as caught:
        client.get_job("job_1")
    assert caught.value.code == "unexpected_answer"


def test_health_that_is_no_object_is_told(client: Headstart, service: Service):
    service.replies = [Reply(200, b"ok"), Reply(200, b"[]")]
    for _ in range(2):
        with pytest.raises(errors.HeadstartError, match=r"not JSON|shape"):
            client.get_health()


def test_retry_after_may_be_a_date_measured_by_the_servers_clock():
    headers = httpx.Headers({"date": "Tue, 24 Nov 2026 03:00:00 GMT", "retry-after": "Tue, 24 Nov 2026 03:00:09 GMT"})
    assert retry_after(headers) == 9


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_no_retry_after_breaks_the_client(text: str):
    value = retry_after(httpx.Headers({"retry-after": text}))
    assert value is None or value >= 0


@given(st.lists(st.sampled_from([429, 502, 503, 504]), min_size=1, max_size=12), st.integers(1, 6))
def test_however_it_fails_the_tries_are_bounded_and_no_pause_is_negative(statuses: list[int], failures: int):
    attempt = tries(Call("GET", "/v1/jobs", nothing), failures)
    pauses: list[float] = []
    try:
        for status in statuses:
            pause = attempt.pause_after(respond(Reply(status, b"")))
            assert pause is not None
            pauses.append(pause)
    except errors.HeadstartError:
        assert len(pauses) == failures - 1
    assert len(pauses) < failures
    assert all(0 < pause <= 8 for pause in pauses)


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())))
def test_a_body_says_what_was_given(value: dict[str, object]):
    try:
        content = create_job(value).content
    except errors.BadInput:
        assert any("\ud800" <= c <= "\udfff" for key in value for c in key)
        return
    assert content is not None
    assert json.loads(content) == value


def test_dataset_ids_keep_their_spelling(client: Headstart, service: Service):
    service.replies = [Reply(200, dataset())]
    client.get_dataset("reviews:2")
    assert service.seen[0].target == "/v1/datasets/reviews:2"
