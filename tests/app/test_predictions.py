"""Predictions over HTTP: texts, pairs, images and recordings, as JSON and as multipart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.serving.inputs import by_name
from headstart.errors import BadInput
from headstart.specs.predictions import Bytes
from tests.app import service
from tests.app.service import Running, problem

BYTES = bytes(range(256)) * 400
STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SHOWN = "The file's bytes in the standard alphabet, padded and without line breaks (RFC 4648 §4)."


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a model of each kind."""
    with service.running(tmp_path_factory.mktemp("home"), max_body_bytes=2**22) as made:
        service.fill(made)
        for name, inputs in {"pairs": ("text", "text_pair"), "tagger": ("tokens",), "pictures": ("image",), "sounds": ("audio",)}.items():
            service.add_model(made, name, *inputs)
        yield made


@pytest.fixture
def client(lasting: Running) -> Iterator[httpx.Client]:
    lasting.engine.asked.clear()
    with lasting.client("reader") as made:
        yield made


def in_json(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def parts(*files: bytes, parameters: str | None = None) -> list[tuple[str, Any]]:
    """A multipart body as httpx takes it."""
    made: list[tuple[str, Any]] = [("inputs", (f"{number}.bin", content)) for number, content in enumerate(files)]
    return made if parameters is None else [*made, ("parameters", (None, parameters, "application/json"))]


def ask(client: httpx.Client, model: str, *inputs: Any, **parameters: Any) -> httpx.Response:
    return client.post(f"/v1/models/{model}/predict", json={"inputs": inputs, "parameters": parameters})


def send(client: httpx.Client, model: str, *files: bytes, parameters: str | None = None) -> httpx.Response:
    return client.post(f"/v1/models/{model}/predict", files=parts(*files, parameters=parameters))


def test_a_string_is_the_text_of_a_model_that_reads_texts(client: httpx.Client, lasting: Running):
    answer = ask(client, "reviews", "great film", {"text": "dull"}).json()
    assert lasting.engine.asked == [{"text": "great film"}, {"text": "dull"}]
    assert (len(answer["data"]), answer["usage"]) == (2, {"inputs": 2, "tokens": 3})


def test_a_pair_reaches_the_model_by_its_names(client: httpx.Client, lasting: Running):
    assert ask(client, "pairs", {"text_pair": "It was.", "text": "Was it good?"}).status_code == 200
    assert lasting.engine.asked == [{"text": "Was it good?", "text_pair": "It was."}]


def test_words_reach_the_model_as_they_are(client: httpx.Client, lasting: Running):
    words = ["Bo", "", " ", "\u0301", "\U0001f600", "lives"]
    assert ask(client, "tagger", {"tokens": words}, {"text": "Bo lives"}, "Bo lives").status_code == 200
    assert lasting.engine.asked == [{"tokens": words}, {"text": "Bo lives"}, {"text": "Bo lives"}]


@pytest.mark.parametrize(
    ("tokens", "pointer"),
    [
        ("Bo lives", "/inputs/0/tokens"),
        ([], "/inputs/0/tokens"),
        (["Bo", 3], "/inputs/0/tokens/1"),
        (["Bo", None], "/inputs/0/tokens/1"),
        (["x" * 600_000, "y" * 500_000], "/inputs/0/tokens"),
    ],
    ids=["a text", "none", "a number", "null", "too long together"],
)
def test_words_that_are_none_are_refused_with_their_place(client: httpx.Client, lasting: Running, tokens: Any, pointer: str):
    told = problem(ask(client, "tagger", {"tokens": tokens}))
    assert (told["status"], told["code"]) == (422, "invalid_field")
    assert [each["pointer"] for each in told["errors"]] == [pointer]
    assert len(json.dumps(told)) < 1000
    assert lasting.engine.asked == []


@pytest.mark.parametrize(("model", "name"), [("pictures", "image"), ("sounds", "audio")])
@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"\x89PNG", BYTES], ids=len)
def test_a_file_in_json_and_a_file_in_a_part_are_the_same_input(
    client: httpx.Client, lasting: Running, model: str, name: str, content: bytes
):
    as_json, as_part = ask(client, model, {name: in_json(content)}), send(client, model, content)
    assert (as_json.status_code, as_part.status_code) == (200, 200), as_part.text
    assert lasting.engine.asked == [{name: content}, {name: content}]
    assert as_json.json() == as_part.json()


def test_files_are_answered_in_their_order_with_the_parameters_of_their_body(client: httpx.Client, lasting: Running):
    files = [b"a", b"\r\n--boundary\r\n", b"c" * 100_000]
    answer = send(client, "pictures", *files, parameters='{"top_k": 1}').json()
    assert [given["image"] for given in lasting.engine.asked] == files
    assert [len(row["outputs"]["label"]["scores"]) for row in answer["data"]] == [1, 1, 1]
    assert answer["usage"] == {"inputs": 3, "tokens": 0}


def test_256_files_are_taken_and_257_are_413_whether_in_json_or_in_parts(client: httpx.Client):
    assert len(send(client, "pictures", *[b"x"] * 256, parameters="{}").json()["data"]) == 256
    assert len(ask(client, "pictures", *[{"image": in_json(b"x")}] * 256).json()["data"]) == 256
    many = [
        ask(client, "pictures", *[{"image": in_json(b"x")}] * 257),
        send(client, "pictures", *[b"x"] * 257),
        send(client, "pictures", *[b"x"] * 5000),
    ]
    for response in many:
        assert (response.status_code, problem(response)["code"]) == (413, "too_many_inputs")


def test_files_for_a_model_that_reads_texts_are_refused_in_words(client: httpx.Client, lasting: Running):
    for model, reads in (("reviews", "text"), ("pairs", "text, text_pair")):
        assert problem(send(client, model, b"x")) == {
            "type": "/docs/errors#invalid_field",
            "title": "Invalid field",
            "status": 422,
            "code": "invalid_field",
            "detail": f"The model reads {reads}, not files.",
            "hint": 'Send JSON such as {"inputs": [{"text": "…"}]}.',
            "errors": [{"pointer": "/inputs/0", "row": None, "message": f"The model reads {reads}, not files."}],
        }
    assert lasting.engine.asked == []


def test_a_bare_base64_string_is_a_text_and_no_file(client: httpx.Client, lasting: Running):
    ask(client, "pictures", in_json(b"\x89PNG")["base64"])
    assert lasting.engine.asked == [{"text": "iVBORw=="}]  # which the engine refuses: the model reads an image


def test_a_file_that_the_engine_cannot_read_is_told_with_its_place(client: httpx.Client):
    for response in (
        ask(client, "pictures", {"image": in_json(b"x")}, {"image": in_json(b"broken")}),
        send(client, "pictures", b"x", b"broken"),
    ):
        assert (response.status_code, problem(response)["code"]) == (422, "bad_image")
        assert problem(response)["errors"] == [{"pointer": "/inputs/1", "row": None, "message": "The image cannot be read."}]


def test_a_file_that_breaks_its_reader_below_python_costs_one_answer_and_no_thread(client: httpx.Client):
    for _ in range(3):
        assert send(client, "pictures", b"panic").status_code == 500
        assert ask(client, "pictures", {"image": in_json(b"panic")}).status_code == 500
    assert send(client, "pictures", b"fine").status_code == 200


def test_files_for_a_model_that_is_not_there_are_404(client: httpx.Client):
    assert problem(send(client, "nothing", b"x"))["code"] == "not_found"


BAD = {
    "url-safe alphabet": "-_-_",
    "too little padding": "iVBORw=",
    "no padding": "iVBORw",
    "too much padding": "iVBORw===",
    "padding alone": "====",
    "padding first": "=AAA",
    "padding in the middle": "iVBORw==iVBORw==",
    "bits that no byte needs": "iVBORx==",
    "a line break": "iVBO\nRw==",
    "a line break at the end": "iVBORw==\n",
    "a space": "iVBO Rw==",
    "a data URL": "data:image/png;base64,iVBORw==",
    "an address": "http://169.254.169.254/latest/meta-data",
    "another script": "іVBORw==",
    "full-width letters": "ＡＡＡＡ",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_not_base64_to_the_last_bit_is_pointed_at_and_not_repeated(client: httpx.Client, lasting: Running, text: str):
    response = ask(client, "pictures", {"image": in_json(b"x")}, {"image": {"base64": text}})
    told = problem(response)
    assert told == {
        "type": "/docs/errors#invalid_field",
        "title": "Invalid field",
        "status": 422,
        "code": "invalid_field",
        "detail": "The field 'inputs.1.image.base64' is not base64.",
        "hint": SHOWN,
        "errors": [{"pointer": "/inputs/1/image/base64", "row": None, "message": "The field 'inputs.1.image.base64' is not base64."}],
    }
    assert lasting.engine.asked == []


@pytest.mark.parametrize(
    ("value", "pointer", "message"),
    [
        ({}, "/inputs/0", "The field 'inputs.0' is empty."),
        ({"text": None}, "/inputs/0", "The field 'inputs.0' is empty."),
        ({"image": "iVBORw=="}, "/inputs/0/image", "must be an object"),
        ({"image": {}}, "/inputs/0/image/base64", "is required"),
        ({"image": {"base64": ""}}, "/inputs/0/image/base64", "must have at least 1 characters"),
        ({"image": {"base64": 3}}, "/inputs/0/image/base64", "must be text"),
        ({"image": {"base64": {"base64": "iVBORw=="}}}, "/inputs/0/image/base64", "must be text"),
        ({"text": in_json(b"x")}, "/inputs/0/text", "must be text"),
        (3, "/inputs/0", "must be text or an object of text, text_pair, tokens, image, audio, features"),
        (["iVBORw=="], "/inputs/0", "must be text or an object of text, text_pair, tokens, image, audio, features"),
    ],
    ids=str,
)
def test_an_input_of_another_shape_is_told_what_would_fit(client: httpx.Client, value: Any, pointer: str, message: str):
    told = problem(ask(client, "pictures", value))
    assert (told["status"], told["code"]) == (422, "invalid_field")
    assert told["errors"] == [{"pointer": pointer, "row": None, "message": message}]


@pytest.mark.parametrize(
    ("value", "name", "near"),
    [
        ({"imge": in_json(b"x")}, "imge", "image"),
        ({"image": {"url": "http://a"}}, "url", None),
        ({"image": {"bas64": ""}}, "bas64", "base64"),
    ],
    ids=str,
)
def test_an_unknown_key_of_an_input_names_the_closest(client: httpx.Client, value: Any, name: str, near: str | None):
    told = problem(ask(client, "pictures", value))
    assert (told["code"], told["detail"]) == ("unknown_field", f"There is no field '{name}' here.")
    assert told["hint"] == (f"Did you mean '{near}'?" if near else "Fields here are: base64.")


def test_a_large_file_in_json_is_decoded_whole(client: httpx.Client, lasting: Running):
    content = BYTES * 25
    assert ask(client, "sounds", {"audio": in_json(content)}).status_code == 200
    assert lasting.engine.asked == [{"audio": content}]


@given(st.text(STANDARD + "=-_\n é", max_size=12) | st.binary(max_size=30).map(lambda content: base64.b64encode(content).decode()))
def test_base64_is_taken_exactly_when_encoding_gives_it_back(text: str):
    try:
        canonical = base64.b64encode(base64.b64decode(text.encode())) == text.encode()
    except ValueError:
        canonical = False
    try:
        content = Bytes.model_construct(base64=text).decoded()
    except ValueError:
        assert not canonical
    else:
        assert base64.b64encode(content).decode() == text


@pytest.mark.parametrize("names", [("text",), ("text", "text_pair"), ("tokens",), ("image", "text")], ids=str)
def test_a_file_has_a_name_only_where_the_model_reads_one_file(names: tuple[str, ...]):
    assert by_name([b"x", {"audio": b"y"}], ("image",)) == [{"image": b"x"}, {"audio": b"y"}]
    with pytest.raises(BadInput):
        by_name([{"text": "a"}, b"x"], names)


@pytest.mark.parametrize(
    ("parameters", "pointer", "message"),
    [
        ('{"top_k": 0}', "/parameters/top_k", "must be at least 1 and at most 100000"),
        ('{"top_k": "1"}', "/parameters/top_k", "must be a whole number"),
        ('{"top_k": NaN}', "/parameters/top_k", "must be a finite number"),
        ('{"top_k": 1, "top_k": 2}', "/parameters", "has the key 'top_k' twice"),
        ("[]", "/parameters", "must be an object"),
    ],
    ids=str,
)
def test_wrong_parameters_of_a_multipart_body_are_pointed_at(client: httpx.Client, parameters: str, pointer: str, message: str):
    told = problem(send(client, "pictures", b"x", parameters=parameters))
    assert (told["status"], told["code"]) == (422, "invalid_field")
    assert told["errors"] == [{"pointer": pointer, "row": None, "message": message}]


def test_an_unknown_parameter_of_a_multipart_body_names_the_closest(client: httpx.Client):
    told = problem(send(client, "pictures", b"x", parameters='{"topk": 1}'))
    assert (told["code"], told["hint"]) == ("unknown_field", "Did you mean 'top_k'?")


def test_both_content_types_are_in_the_document(client: httpx.Client):
    operation = client.get("/openapi.json").json()["paths"]["/v1/models/{model}/predict"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert json.dumps(content["application/json"]["schema"]) == '{"$ref": "#/components/schemas/Predict"}'
