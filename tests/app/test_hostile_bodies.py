"""Bodies that break readers: each gets a 4xx in our words, and nothing of it comes back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import strict_json
from headstart.errors import BadInput
from tests.app.requests import JOB
from tests.app.service import Running, problem

JSON = {"Content-Type": "application/json"}
DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

HOSTILE: list[tuple[str, bytes, int, str]] = [
    ("NaN", b'{"training":{"learning_rate":NaN}}', 422, "invalid_field"),
    ("Infinity", b'{"training":{"learning_rate":Infinity}}', 422, "invalid_field"),
    ("minus infinity", b'{"training":{"learning_rate":-Infinity}}', 422, "invalid_field"),
    ("1e400", b'{"training":{"learning_rate":1e400}}', 422, "invalid_field"),
    ("NaN under an unknown key", b'{"zzz":NaN}', 422, "invalid_field"),
    ("the word nan", b'{"training":{"learning_rate":"nan"}}', 422, "invalid_field"),
    ("true for a number", b'{"training":{"learning_rate":true}}', 422, "invalid_field"),
    ("text for a number", b'{"training":{"epochs":"1"}}', 422, "invalid_field"),
    ("1.0 for a whole number", b'{"training":{"epochs":1.0}}', 422, "invalid_field"),
    ("10**30", b'{"training":{"seed":1000000000000000000000000000000}}', 422, "invalid_field"),
    ("a number of 5000 digits", b'{"training":{"seed":' + b"9" * 5000 + b"}}", 422, "invalid_field"),
    ("a key twice", b'{"model":"a","model":"b"}', 422, "invalid_field"),
    ("half a surrogate pair", b'{"model":"\\ud800"}', 422, "invalid_field"),
    ("half a surrogate pair as a key", b'{"\\udfff":1}', 422, "invalid_field"),
    ("U+0000", b'{"model":"a\\u0000b"}', 422, "invalid_field"),
    ("null", b"null", 422, "invalid_field"),
    ("a list", b"[]", 422, "invalid_field"),
    ("text", b'"a"', 422, "invalid_field"),
    ("nothing", b"", 422, "invalid_field"),
    ("a comma too many", b'{"model":"a",}', 400, "malformed_json"),
    ("half an object", b'{"model":', 400, "malformed_json"),
    ("two values", b"{} {}", 400, "malformed_json"),
    ("a byte order mark", b"\xef\xbb\xbf{}", 400, "malformed_json"),
    ("UTF-16", '{"model":"a"}'.encode("utf-16"), 400, "malformed_json"),
    ("latin-1", '{"model":"é"}'.encode("latin-1"), 400, "malformed_json"),
    ("100,000 levels", DEEP, 422, "invalid_field"),
    ("65 levels", b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", 422, "invalid_field"),
    ("a million values", b'{"tasks":[' + b"0," * 999_999 + b"0]}", 413, "too_large"),
    ("mass assignment", b'{"workspace_id":"ws_1","status":"succeeded","epoch":9}', 422, "unknown_field"),
    ("a key of 10 KB", b'{"' + b"k" * 10_000 + b'":1}', 422, "unknown_field"),
    ("a key of control and bidi characters", b'{"\\u001b[31m\\u202e":1}', 422, "unknown_field"),
]


@pytest.mark.parametrize(("body", "status", "code"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/backbones", "/v1/keys", "/v1/models/reviews/predict"])
def test_a_hostile_body_is_refused_in_our_words(lasting: Running, path: str, body: bytes, status: int, code: str):
    with lasting.client() as client:
        response = client.post(path, content=body, headers=JSON)
        assert client.get("/v1/jobs").status_code == 200
    told = problem(response)
    if path == "/v1/jobs":
        assert (told["status"], told["code"]) == (status, code)
    assert 400 <= response.status_code < 500
    assert len(response.content) < 8000
    assert not any(ord(character) < 32 or character in "\u202e\x7f" for character in response.text)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset*=utf-8''utf-16"},
        {"Content-Type": "application/json; charset=utf-16; charset=utf-8"},
        {"Content-Type": "application/json; charset*=utf-16''x"},
        {"Content-Type": "application/json; 0*"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application json"},
        {},
        {**JSON, "Content-Encoding": "gzip"},
        {**JSON, "Content-Encoding": "br, identity"},
    ],
    ids=str,
)
def test_another_media_type_or_encoding_is_415(lasting: Running, headers: dict[str, str]):
    with lasting.client() as client:
        response = client.post("/v1/jobs", content=json.dumps(JOB).encode(), headers=headers)
    assert (response.status_code, problem(response)["code"]) == (415, "media_type")


def test_the_usual_spellings_of_json_are_taken(lasting: Running):
    with lasting.client() as client:
        for stated in ("application/json", "application/json; charset=utf-8", 'Application/JSON; charset="UTF-8"'):
            response = client.post("/v1/keys", content=b'{"name":"a"}', headers={"Content-Type": stated})
            assert response.status_code == 201, response.text


def test_a_nan_is_pointed_at(lasting: Running):
    with lasting.client() as client:
        response = client.post("/v1/jobs", content=b'{"tasks":[{"weight":NaN}]}', headers=JSON)
    assert problem(response) == {
        "type": "/docs/errors#invalid_field",
        "title": "Invalid field",
        "status": 422,
        "code": "invalid_field",
        "detail": "The field 'tasks.0.weight' must be a finite number.",
        "hint": None,
        "errors": [{"pointer": "/tasks/0/weight", "row": None, "message": "must be a finite number"}],
    }


def test_malformed_json_says_where(lasting: Running):
    with lasting.client() as client:
        response = client.post("/v1/jobs", content=b'{"a": 1,\n ]', headers=JSON)
    assert problem(response) == {
        "type": "/docs/errors#malformed_json",
        "title": "Malformed json",
        "status": 400,
        "code": "malformed_json",
        "detail": "The body is not JSON: line 2, column 2.",
        "hint": "Send one JSON value in UTF-8, without a byte order mark.",
        "errors": [],
    }


def test_what_was_sent_never_comes_back(lasting: Running):
    secret = "correct horse battery staple"
    with lasting.client() as client:
        for body in ({"model": {"a": secret}}, {"tasks": [secret]}, {"training": {"optimizer": secret}}, {"backbone": secret * 9}):
            response = client.post("/v1/jobs", json={**JOB, **body})
            assert response.status_code == 422
            assert secret not in response.text


def test_a_body_over_the_limit_is_413_and_the_connection_ends(lasting: Running):
    limit = lasting.services.settings.max_body_bytes
    with lasting.client() as client:
        declared = client.post("/v1/jobs", content=b" " * (limit + 1), headers=JSON)
        endless = client.post("/v1/jobs", content=(b" " * 2**16 for _ in range(limit // 2**16 * 2)), headers=JSON)
    for response in (declared, endless):
        assert response.headers["connection"] == "close"
        assert problem(response) == {
            "type": "/docs/errors#too_large",
            "title": "Too large",
            "status": 413,
            "code": "too_large",
            "detail": f"The body is larger than {limit:,} bytes.",
            "hint": "An operator can raise the limit.",
            "errors": [],
        }


PREDICT = "/v1/models/reviews/predict"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="inputs"; filename="a"\r\n\r\nabc\r\n'

HOSTILE_FORMS: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "malformed_json"),
    ("no part", b"--x--\r\n", 422, "invalid_field"),
    ("cut off in a part", PART[:-4], 400, "malformed_json"),
    ("no last boundary", PART, 400, "malformed_json"),
    ("half a last boundary", PART + b"--x-", 400, "malformed_json"),
    ("another boundary", PART.replace(b"--x", b"--y") + b"--y--", 400, "malformed_json"),
    ("JSON", b'{"inputs":["a"]}', 400, "malformed_json"),
    ("a part without a name", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", 400, "malformed_json"),
    ("a part without headers", b"--x\r\n\r\na\r\n--x--", 400, "malformed_json"),
    ("a name that is not UTF-8", PART.replace(b"inputs", b"\xff") + b"--x--", 400, "malformed_json"),
    ("a name with U+0000", PART.replace(b"inputs", b"in\x00puts") + b"--x--", 400, "malformed_json"),
    ("a name of 5 KB", PART.replace(b"inputs", b"n" * 5000) + b"--x--", 400, "malformed_json"),
    ("another name", PART.replace(b"inputs", b"input") + b"--x--", 422, "unknown_field"),
    ("a name of bidi characters", PART.replace(b"inputs", "\u202e".encode()) + b"--x--", 422, "unknown_field"),
    ("parameters alone", PART.replace(b"inputs", b"parameters").replace(b"abc", b"{}") + b"--x--", 422, "invalid_field"),
    ("parameters twice", PART.replace(b"inputs", b"parameters") * 2 + b"--x--", 422, "invalid_field"),
    ("parameters that are no JSON", PART + PART.replace(b"inputs", b"parameters") + b"--x--", 400, "malformed_json"),
    ("parameters of 100,000 levels", PART + PART.replace(b"inputs", b"parameters").replace(b"abc", DEEP) + b"--x--", 422, "invalid_field"),
    ("parameters of 1 MB", PART + PART.replace(b"inputs", b"parameters").replace(b"abc", b" " * 2**20) + b"--x--", 413, "too_large"),
    ("an empty file", PART.replace(b"abc", b"") + b"--x--", 422, "invalid_field"),
    ("257 files", PART * 257 + b"--x--", 413, "too_many_inputs"),
    ("20,000 files", PART * 20_000 + b"--x--", 413, "too_many_inputs"),
    ("a file name of 1 MB", PART.replace(b'"a"', b'"' + b"a" * 2**20 + b'"') + b"--x--", 400, "malformed_json"),
    ("1 MB before the first part", b"\r\n" * 2**19 + PART + b"--x--", 413, "too_large"),
    ("4 MB", PART.replace(b"abc", b"a" * 2**22) + b"--x--", 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), [each[1:] for each in HOSTILE_FORMS], ids=[each[0] for each in HOSTILE_FORMS])
def test_a_hostile_form_of_files_is_refused_in_our_words(lasting: Running, body: bytes, status: int, code: str):
    with lasting.client() as client:
        response = client.post(PREDICT, content=body, headers=FORM)
        assert client.post(PREDICT, json={"inputs": ["a"]}).status_code == 200
    assert (response.status_code, problem(response)["code"]) == (status, code)
    assert len(response.content) < 8000
    assert not any(ord(character) < 32 or character in "\u202e\x7f" for character in response.text)


@given(st.binary(max_size=300))
def test_any_form_is_answered_or_refused_in_words(lasting: Running, body: bytes):
    with lasting.client() as client:
        response = client.post(PREDICT, content=PART + body, headers=FORM)
    assert 400 <= problem(response)["status"] < 500


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip))
@example(";0*")  # more than the header parser of Python's `email` can take
def test_any_content_type_leads_to_an_answer_or_to_words(lasting: Running, stated: str):
    with lasting.client() as client:
        for each in (stated, f"multipart/form-data;{stated}"):
            response = client.post(PREDICT, content=PART + b"--x--", headers={"Content-Type": each})
            assert response.status_code in {400, 413, 415, 422}


@pytest.mark.parametrize(
    "stated", ["text/plain", "image/png", "application/octet-stream", "multipart/mixed; boundary=x", "multipart/form-data-2"]
)
def test_a_prediction_of_another_media_type_is_415(lasting: Running, stated: str):
    with lasting.client() as client:
        response = client.post(PREDICT, content=PART + b"--x--", headers={"Content-Type": stated})
        packed = client.post(PREDICT, content=PART + b"--x--", headers={**FORM, "Content-Encoding": "gzip"})
    assert (response.status_code, problem(response)["code"]) == (415, "media_type")
    assert (packed.status_code, problem(packed)["code"]) == (415, "media_type")


def test_an_endless_form_is_413_and_the_connection_ends(lasting: Running):
    def stream() -> Iterator[bytes]:
        yield PART[:-2]
        for _ in range(2**8):
            yield b"a" * 2**16

    with lasting.client() as client:
        response = client.post(PREDICT, content=stream(), headers=FORM)
    assert (response.status_code, problem(response)["code"]) == (413, "too_large")
    assert response.headers["connection"] == "close"


DEEP_BYTES = b'{"inputs":[{"image":' + b'{"base64":' * 1000 + b'""' + b"}" * 1000 + b"}]}"
HUGE_BYTES = b'{"inputs":[{"image":{"base64":"' + b"A" * (2**22 - 100) + b'!"}}]}'


@pytest.mark.parametrize(
    ("body", "status"), [(DEEP_BYTES, 422), (HUGE_BYTES, 422), (HUGE_BYTES + b" " * 200, 413)], ids=["deep", "bad", "large"]
)
def test_hostile_bytes_in_json_are_refused_and_not_repeated(lasting: Running, body: bytes, status: int):
    with lasting.client() as client:
        response = client.post(PREDICT, content=body, headers=JSON)
    assert response.status_code == status
    assert len(problem(response)["detail"]) < 200
    assert len(response.content) < 1000


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdé/~", max_size=4), inner, max_size=4),
    max_leaves=30,
)


@given(plain)
def test_what_json_can_say_is_read_as_it_was_written(value: Any):
    for ascii_only in (True, False):
        assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(body: bytes):
    with contextlib.suppress(BadInput):
        strict_json.loads(body)


def test_the_polite_next_request_on_the_same_connection_works(lasting: Running):
    with lasting.client() as client:
        client.post("/v1/jobs", content=DEEP, headers=JSON)
        assert client.get("/v1/jobs").status_code == 200


def test_nothing_is_read_of_a_body_that_no_route_wants(lasting: Running):
    with lasting.client() as client:
        response = client.post("/v1/nothing", content=(b"x" * 2**16 for _ in range(2**8)))
    assert response.status_code == 404
    assert response.headers["connection"] == "close"


def test_an_unknown_key_names_the_closest(lasting: Running):
    with lasting.client() as client:
        response = client.post("/v1/jobs", json={**JOB, "training": {"learning_rat": 1e-3}})
    assert problem(response) == {
        "type": "/docs/errors#unknown_field",
        "title": "Unknown field",
        "status": 422,
        "code": "unknown_field",
        "detail": "There is no field 'learning_rat' here.",
        "hint": "Did you mean 'learning_rate'?",
        "errors": [{"pointer": "/training/learning_rat", "row": None, "message": "unknown field"}],
    }


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"training": {"epochs": 0}}, "/training/epochs", "must be at least 1 and at most 10000"),
        ({"training": {"learning_rate": 1e-300}}, "/training/learning_rate", "must be at least 1e-08 and at most 10.0"),
        ({"training": {"optimizer": "lion"}}, "/training/optimizer", "must be adamw, adam or sgd"),
        ({"training": {"seed": 2**64}}, "/training/seed", "must be at least 0 and at most 4294967295"),
        (
            {"method": {"type": "prompt-tuning"}},
            "/method/type",
            "must be feature-extraction or fine-tuning or bitfit or lora or dora or loha or lokr or ia3",
        ),
        ({"tasks": []}, "/tasks", "must have at least 1 entries"),
        ({"tasks": JOB["tasks"] * 33}, "/tasks", "must have at most 32 entries"),
        ({"tasks": [{**JOB["tasks"][0], "inputs": None}]}, "/tasks/0/inputs", "must be an object"),
        ({"model": "Reviews!"}, "/model", "has characters that are not taken here"),
        ({"backbone": ""}, "/backbone", "must have at least 1 characters"),
        ({"max_seconds": -1}, "/max_seconds", "must be at least 1 and at most 9007199254740991"),
    ],
    ids=str,
)
def test_a_wrong_value_is_told_with_its_bounds(lasting: Running, change: dict[str, Any], pointer: str, message: str):
    with lasting.client() as client:
        response = client.post("/v1/jobs", json={**JOB, **change})
    told = problem(response)
    assert (told["status"], told["code"]) == (422, "invalid_field")
    assert told["errors"] == [{"pointer": pointer, "row": None, "message": message}]


def test_several_wrong_values_are_told_at_once(lasting: Running):
    with lasting.client() as client:
        response = client.post("/v1/jobs", json={**JOB, "training": {"epochs": 0, "patience": 0}})
    assert problem(response)["detail"].startswith("2 fields cannot be used. The field 'training.epochs' must be")
    assert len(problem(response)["errors"]) == 2


def test_a_query_out_of_bounds_is_422(lasting: Running):
    with lasting.client() as client:
        for query in (
            "limit=0",
            "limit=101",
            "limit=1e3",
            f"limit={10**30}",
            "after=",
            "after=%00",
            "after=eyJpIjoxfQ",
            "after=" + "x" * 300,
        ):
            response = client.get(f"/v1/jobs?{query}")
            assert (response.status_code, problem(response)["code"]) == (422, "invalid_field"), query
        assert client.get("/v1/jobs?status=lost").status_code == 422
        assert client.get("/v1/datasets?name=%00").status_code == 422


def test_methods_that_an_address_does_not_take_are_405(lasting: Running):
    with lasting.client() as client:
        response = client.put("/v1/jobs", json={})
        assert response.headers["allow"] == "GET, POST"
        assert problem(response) == {
            "type": "/docs/errors#method_not_allowed",
            "title": "Method not allowed",
            "status": 405,
            "code": "method_not_allowed",
            "detail": "This address does not take this method.",
            "hint": "It takes GET, POST.",
            "errors": [],
        }
        for method in ("TRACE", "OPTIONS", "PATCH", "PROPFIND"):
            assert problem(client.request(method, "/v1/jobs"))["status"] in {405, 400}


def test_an_address_that_is_not_there_is_404(lasting: Running):
    with lasting.client() as client:
        for path in ("/v1", "/v1/jobs/", "/v2/models", "/v1/nothing", "/docs/../v1", "/v1/datasets/a/b/c"):
            assert problem(client.get(path))["code"] == "not_found"


def test_a_request_id_is_kept_when_it_is_sane_and_made_when_not(lasting: Running):
    with lasting.client() as client:
        assert client.get("/v1/jobs", headers={"X-Request-ID": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
        for odd in ("", "a b", "x" * 200, "<script>"):
            assert client.get("/v1/jobs", headers={"X-Request-ID": odd}).headers["x-request-id"].startswith("req_")


def test_every_answer_has_the_headers_that_browsers_need(lasting: Running):
    for response in (httpx.get(f"{lasting.url}{path}") for path in ("/livez", "/docs", "/v1/jobs", "/nowhere")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert "server" not in response.headers
