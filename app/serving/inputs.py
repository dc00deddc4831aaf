"""What a predict request asks about: inputs by name from JSON, or files from a multipart body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app import multipart, strict_json
from app.multipart import Data, Event, Part
from app.requests import too_large
from headstart.errors import BadInput, Fault, TooLarge, closest, invalid_field, listing, quote
from headstart.specs.datasets import MEDIA_TYPES
from headstart.specs.predictions import MAX_FILE_BYTES, Bytes, NamedInput, Parameters, Predict

Given = Mapping[str, str | bytes | list[str] | Mapping[str, str | float | None]]
"""One input by the names of what the model reads; under `features` what else its heads read, by column."""

PARTS = ("inputs", "parameters")
_AS_JSON = 'Send JSON such as {"inputs": [{"text": "…"}]}.'


def encoded_chars(body: Predict) -> int:
    """How much there is to decode."""
    named = (each for each in body.inputs if isinstance(each, NamedInput))
    return sum(len(value.base64) for each in named for value in each.given.values() if isinstance(value, Bytes))


def decoded(body: Predict) -> list[Given]:
    """The inputs of a JSON body; a string is the one text of a model that reads texts.

    Raises:
        BadInput: bytes that are no base64, or an input that holds nothing.
    """
    return [{"text": each} if isinstance(each, str) else _decoded(each, number) for number, each in enumerate(body.inputs)]


def _decoded(named: NamedInput, number: int) -> Given:
    if not named.given:
        names = listing(list(NamedInput.model_fields))
        raise invalid_field(f"/inputs/{number}", f"The field 'inputs.{number}' is empty.", f"Give what the model reads: {names}.")
    given: dict[str, str | bytes | list[str] | Mapping[str, str | float | None]] = {}
    for name, value in named.given.items():
        try:
            given[name] = value.decoded() if isinstance(value, Bytes) else value
        except ValueError:
            subject = f"The field 'inputs.{number}.{name}.base64' is not base64."
            raise invalid_field(f"/inputs/{number}/{name}/base64", subject, Bytes.model_fields["base64"].description) from None
    return given if named.features is None else {**given, "features": named.features}


def by_name(inputs: Sequence[Given | bytes], names: Sequence[str]) -> list[Given]:
    """Inputs as the engine takes them: a file without a name is what the model reads.

    Args:
        inputs: by name, or files.
        names: what the model reads.

    Raises:
        BadInput: it reads no file.
    """
    (first, *others) = names
    given: list[Given] = []
    for number, each in enumerate(inputs):
        if not isinstance(each, bytes):
            given.append(each)
        elif first in MEDIA_TYPES and not others:
            given.append({first: each})
        else:
            raise invalid_field(f"/inputs/{number}", f"The model reads {listing(names)}, not files.", _AS_JSON)
    return given


@dataclass(slots=True)
class _Form:
    """The parts of a multipart body so far."""

    most: int
    files: list[bytes] = field(default_factory=list)
    parameters: bytes | None = None
    name: str = ""
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Part):
            self._begin(event.name)
        elif isinstance(event, Data):
            self._add(event.data)
        else:
            self._end()

    def _begin(self, name: str) -> None:
        if name not in PARTS:
            near = closest(name, PARTS)
            hint = f"Did you mean '{near[0]}'?" if near else f"Parts are: {listing(PARTS)}."
            pointer = f"/{quote(name)[1:-1]}"
            raise BadInput("unknown_field", f"There is no part {quote(name)} here.", hint, (Fault(pointer, "unknown field"),))
        if name == "parameters" and self.parameters is not None:
            raise invalid_field("/parameters", "The part 'parameters' comes twice.")
        if name == "inputs" and len(self.files) == self.most:
            raise TooLarge("too_many_inputs", f"There are more than {self.most} inputs.", "Send them in several requests.")
        self.name, self.pieces, self.size = name, [], 0

    def _add(self, data: bytes) -> None:
        limit = MAX_FILE_BYTES if self.name == "inputs" else multipart.MAX_FIELD_BYTES
        self.size += len(data)
        if self.size > limit:
            raise too_large(limit)
        self.pieces.append(data)

    def _end(self) -> None:
        content, self.pieces = b"".join(self.pieces), []
        if self.name == "parameters":
            self.parameters = content
        elif content:
            self.files.append(content)
        else:
            raise invalid_field(f"/inputs/{len(self.files)}", "The file is empty.", "Send one part `inputs` for each file.")


async def receive_files(chunks: AsyncIterator[bytes], boundary: bytes, most: int) -> tuple[list[bytes], Parameters]:
    """Files and parameters of a multipart body; held in memory, which the bound on a body allows.

    Args:
        chunks: the body.
        boundary: of its parts.
        most: files that are taken.

    Raises:
        BadInput: a part is unknown, empty, wrong or missing.
        TooLarge: too many files, or too large a one.
        RequestValidationError: a parameter has a wrong value.
    """
    form = _Form(most)
    async for event in multipart.read_parts(chunks, boundary, max_parts=most + 1, code="too_many_inputs"):
        form.take(event)
    if not form.files:
        raise invalid_field("/inputs", "There is no part 'inputs'.", "Send one part `inputs` for each file.")
    return form.files, _parameters(form.parameters)


def _parameters(content: bytes | None) -> Parameters:
    if content is None:
        return Parameters()
    try:
        return Parameters.model_validate(strict_json.loads(content, pointer="/parameters"))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", "parameters", *each["loc"])} for each in found]) from None
