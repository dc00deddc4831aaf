"""What pydantic found wrong, in one sentence a field, with a pointer, the bounds and the closest known key."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.types import Scope

from headstart.errors import BadInput, Fault, closest, listing, quote

Location = Sequence[str | int]
Raw = Mapping[str, Any]

_MOST = 20
_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
    "missing": "is required",
    "union_tag_not_found": "is required",
    "string_unicode": "must be text in UTF-8",
    "datetime_type": "must be a time such as 2026-11-24T03:00:00Z",
    "datetime_parsing": "must be a time such as 2026-11-24T03:00:00Z",
    "datetime_from_date_parsing": "must be a time such as 2026-11-24T03:00:00Z",
    "timezone_aware": "must be a time with a zone, such as 2026-11-24T03:00:00Z",
}
_WRONG_KIND = frozenset(
    {"string_type", "int_type", "float_type", "bool_type", "list_type", "dict_type", "model_type", "model_attributes_type"}
)


@dataclass(slots=True)
class Place:
    """Where in a body an error lies: its pointer, the keys known there, and the innermost union it passed."""

    pointer: str = ""
    known: list[str] = field(default_factory=list)
    info: FieldInfo | None = None
    union: str | None = None
    member: str = ""
    depth_in_member: int = 0
    choices: str = ""


def validation_error(errors: Sequence[Raw], scope: Scope) -> BadInput:
    """One 422 for all that is wrong with a request."""
    model = _body_model(scope)
    located = [(raw, _place(raw, model)) for raw in errors[: 50 * _MOST]]
    kept = _without_union_noise(located)
    unknown = [(raw, place) for raw, place in kept if raw["type"] == "extra_forbidden"]
    kept = [*unknown, *(pair for pair in kept if pair[0]["type"] != "extra_forbidden")][:_MOST]
    for raw, place in kept:
        if raw["type"] in {"union_tag_invalid", "union_tag_not_found"}:  # the tag is what is wrong, not the whole object
            place.pointer += "/" + raw["ctx"]["discriminator"].strip("'")
    faults = [Fault(place.pointer, _message(raw, place)) for raw, place in kept]
    raw, first = kept[0]
    if unknown:
        return BadInput("unknown_field", f"There is no field {quote(str(raw['loc'][-1]))} here.", _known_hint(raw, first), faults)
    detail = f"{_subject(raw, first)} {faults[0].message}."
    if len(faults) > 1:
        detail = f"{len(faults)} fields cannot be used. {detail}"
    return BadInput("invalid_field", detail, _hint(first), faults)


def _body_model(scope: Scope) -> Any:  # noqa: ANN401 - an annotation, whatever it is
    route = scope.get("route")
    body = getattr(route, "body_field", None)
    return getattr(route, "body_model", None) if body is None else body.field_info.annotation


def _place(raw: Raw, model: Any) -> Place:  # noqa: ANN401
    where, *rest = raw["loc"]
    if where != "body":
        return Place(pointer="".join(f"/{_escaped(part)}" for part in rest))
    place, annotation = Place(), model
    for part in rest:
        annotation = _step(place, annotation, part)
    return place


def _step(place: Place, annotation: Any, part: str | int) -> Any:  # noqa: ANN401
    """Follow one part of pydantic's location into the annotation; the label of a union's member is no part of the pointer."""
    members = _members(annotation)
    if len(members) > 1 and isinstance(part, str):
        place.union, place.member, place.depth_in_member = place.pointer, part, 0
        place.choices = " or ".join(_described(member) for member in members)
        return next((member for member in members if _is_called(member, part)), None)
    annotation = members[0] if members else None
    place.pointer += f"/{_escaped(part)}"
    place.depth_in_member += 1
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {info.alias or name: info for name, info in annotation.model_fields.items()}
        place.known = list(fields)
        place.info = fields.get(str(part))
        return None if place.info is None else place.info.annotation
    if get_origin(annotation) in {list, dict}:
        return get_args(annotation)[-1]
    return None


def _members(annotation: Any) -> list[Any]:  # noqa: ANN401
    """The alternatives of an annotation without `Annotated` and None."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return [member for each in get_args(annotation) if each is not type(None) for member in _members(each)]
    return [] if annotation is None else [annotation]


def _is_called(member: Any, label: str) -> bool:  # noqa: ANN401
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return False
    tags = [each for info in member.model_fields.values() if get_origin(info.annotation) is Literal for each in get_args(info.annotation)]
    return member.__name__ == label or label in tags


def _described(member: Any) -> str:  # noqa: ANN401
    if isinstance(member, type) and issubclass(member, BaseModel):
        return f"an object of {listing(list(member.model_fields))}"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(member, "another value")


def _without_union_noise(located: list[tuple[Raw, Place]]) -> list[tuple[Raw, Place]]:
    """Each member of a union complains; keep the member that fits in kind, or say once what would fit."""
    misfits = {(place.union, place.member) for raw, place in located if _is_misfit(raw, place)}
    fits = {place.union for _, place in located if place.union is not None and (place.union, place.member) not in misfits}
    kept: list[tuple[Raw, Place]] = []
    told: set[str] = set()
    for raw, place in located:
        if place.union is None or (place.union, place.member) not in misfits:
            kept.append((raw, place))
        elif place.union not in fits and place.union not in told:
            told.add(place.union)
            kept.append(({**raw, "type": "union"}, place))
    return kept


def _is_misfit(raw: Raw, place: Place) -> bool:
    return place.union is not None and place.depth_in_member == 0 and raw["type"] in _WRONG_KIND


def _message(raw: Raw, place: Place) -> str:
    kind, context = raw["type"], raw.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown field"
    if kind == "union":
        return f"must be {place.choices}"
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in {"literal_error", "enum"}:
        return f"must be {str(context['expected']).replace(chr(39), '')}"
    if kind == "union_tag_invalid":
        return f"must be {str(context['expected_tags']).replace(chr(39), '').replace(', ', ' or ')}"
    if kind == "value_error":  # from our own validators
        return str(context.get("error", "cannot be used"))
    return _bounds(place.info) or _bound(kind, context) or "cannot be used"


def _bound(kind: str, context: Raw) -> str | None:
    """One bound, from pydantic's own context."""
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if name in context:
            return f"must be {words} {context[name]}"
    unit = "characters" if kind.startswith("string") else "entries"
    if "min_length" in context:
        return f"must have at least {context['min_length']} {unit}"
    if "max_length" in context:
        return f"must have at most {context['max_length']} {unit}"
    return "has characters that are not taken here" if kind == "string_pattern_mismatch" else None


def _bounds(info: FieldInfo | None) -> str | None:
    """All bounds of a number, from its declaration."""
    words = []
    for each in [] if info is None else info.metadata:
        if isinstance(each, annotated_types.Ge):
            words.append(f"at least {each.ge}")
        elif isinstance(each, annotated_types.Gt):
            words.append(f"above {each.gt}")
        elif isinstance(each, annotated_types.Le):
            words.append(f"at most {each.le}")
        elif isinstance(each, annotated_types.Lt):
            words.append(f"below {each.lt}")
    return f"must be {' and '.join(words)}" if words else None


def _subject(raw: Raw, place: Place) -> str:
    if not place.pointer:
        return "The body"
    if raw["loc"][0] == "header":
        return f"The header {quote(str(raw['loc'][-1]))}"
    what = "The field" if raw["loc"][0] == "body" else "The parameter"
    return f"{what} {quote(place.pointer[1:].replace('/', '.'))}"


def _hint(place: Place) -> str | None:
    return place.info.description if place.info is not None else None


def _known_hint(raw: Raw, place: Place) -> str | None:
    near = closest(str(raw["loc"][-1]), place.known)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Fields here are: {listing(place.known)}." if place.known else None


def _escaped(part: str | int) -> str:
    """A part of a JSON pointer (RFC 6901 §3), short and without control characters: it may be a user's own key."""
    return quote(str(part))[1:-1].replace("~", "~0").replace("/", "~1")
