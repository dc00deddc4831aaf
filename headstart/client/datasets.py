"""Calls about datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from headstart.client.protocol import Call, Upload, answer, fresh_key, nothing, query, route
from headstart.specs.datasets import Dataset, Profile, Row, RowProblem
from headstart.specs.pages import Page
from headstart.specs.suggestions import Suggestions


def create_dataset(
    file: str | Path | BinaryIO,
    *,
    name: str,
    format: str | None = None,  # noqa: A002 - the contract's word
    schema: Mapping[str, str] | None = None,
    mode: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    fields = {"name": name}
    if format is not None:
        fields["format"] = format
    if schema is not None:
        fields["schema"] = json.dumps(dict(schema))
    if mode is not None:
        fields["mode"] = mode
    source = Path(file) if isinstance(file, str) else file
    upload = Upload(fields, source, Path(str(getattr(source, "name", "upload"))).name)
    return Call("POST", route("datasets"), answer(Dataset), upload=upload, idempotency_key=fresh_key(idempotency_key))


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
