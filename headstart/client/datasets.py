"""Calls about datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from headstart.client.protocol import Call, answer, body, fresh_key, multipart, nothing, query, route, stated
from headstart.specs.datasets import Dataset, How, Profile, Row, RowProblem
from headstart.specs.pages import Page
from headstart.specs.suggestions import Suggestions
from headstart.specs.versions import DatasetDiff


def create_dataset(
    file: str | Path | BinaryIO | None = None,
    *,
    name: str,
    upload: str | None = None,
    format: str | None = None,  # noqa: A002 - the contract's word
    schema: Mapping[str, str] | None = None,
    mode: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    more = stated(format=format, mode=mode)
    key = fresh_key(idempotency_key)
    if upload is not None:
        content = body({"name": name, "upload": upload} | more | ({} if schema is None else {"schema": dict(schema)}))
        return Call("POST", route("datasets"), answer(Dataset), content=content, idempotency_key=key)
    return Call("POST", route("datasets"), answer(Dataset), upload=multipart(file, {"name": name} | more, schema), idempotency_key=key)


def create_dataset_version(
    dataset: str,
    file: str | Path | BinaryIO | None = None,
    *,
    how: How = "append",
    key: str | None = None,
    upload: str | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    format: str | None = None,  # noqa: A002
    schema: Mapping[str, str] | None = None,
    mode: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    more, mode_only = stated(key=key, format=format), stated(mode=mode)
    path, repeat = route("datasets", dataset, "versions"), fresh_key(idempotency_key)
    if upload is None and rows is None:
        fields = {"how": how} | more | mode_only
        return Call("POST", path, answer(Dataset), upload=multipart(file, fields, schema), idempotency_key=repeat)
    given = more | ({"rows": [dict(row) for row in rows]} if rows is not None else {}) | stated(upload=upload)
    content = body({how: given} | mode_only | ({} if schema is None else {"schema": dict(schema)}))
    return Call("POST", path, answer(Dataset), content=content, idempotency_key=repeat)


def get_dataset_diff(
    dataset: str, *, against: str | None = None, key: str | None = None, limit: int | None = None, after: str | None = None
) -> Call[DatasetDiff]:
    params = query(against=against, key=key, limit=limit, after=after)
    return Call("GET", route("datasets", dataset, "diff"), answer(DatasetDiff), params)


def list_datasets(*, limit: int | None = None, after: str | None = None) -> Call[Page[Dataset]]:
    return Call("GET", route("datasets"), answer(Page[Dataset]), query(limit=limit, after=after))


def get_dataset(dataset: str) -> Call[Dataset]:
    return Call("GET", route("datasets", dataset), answer(Dataset))


def list_dataset_rows(dataset: str, *, limit: int | None = None, after: str | None = None) -> Call[Page[Row]]:
    return Call("GET", route("datasets", dataset, "rows"), answer(Page[Row]), query(limit=limit, after=after))


def get_dataset_profile(dataset: str) -> Call[Profile]:
    return Call("GET", route("datasets", dataset, "profile"), answer(Profile))


def get_dataset_suggestions(dataset: str) -> Call[Suggestions]:
    return Call("GET", route("datasets", dataset, "suggestions"), answer(Suggestions))


def list_dataset_problems(dataset: str, *, limit: int | None = None, after: str | None = None) -> Call[Page[RowProblem]]:
    return Call("GET", route("datasets", dataset, "problems"), answer(Page[RowProblem]), query(limit=limit, after=after))


def delete_dataset(dataset: str) -> Call[None]:
    return Call("DELETE", route("datasets", dataset), nothing)
