"""The errands that bring data: a file, a folder or rows, as a dataset or as the next version of one, and wait until it was read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from headstart.client import sending
from headstart.client.folders import zipped
from headstart.client.progress import watch_upload
from headstart.client.sugar import name_of, ready
from headstart.errors import BadInput, Fault
from headstart.specs.datasets import Dataset, How, format_of, plain_stem
from headstart.specs.uploads import Upload

if TYPE_CHECKING:
    from headstart.client.sync import Headstart

Given = str | Path | Iterable[Mapping[str, Any]]
"""What `upload` and `append` take: a file or a folder by its path, or rows."""

_SPOOL_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Ways:
    """How to send it.

    Attributes:
        resumable: in pieces, on from where an earlier try was broken off; None: a file of `sending.RESUMABLE_BYTES` and more.
        progress: show how far that is, on stderr.
        timeout: seconds to wait for the worker; None: as long as it takes.
    """

    resumable: bool | None
    progress: bool
    timeout: float | None


def send_file(client: Headstart, file: str | Path | BinaryIO, tell: sending.Told) -> Upload:
    """Send a file in pieces; nothing is made of it yet."""
    with sending.opened(file) as opened:
        source = sending.described(opened, Path(str(getattr(opened, "name", "upload"))).name)
        return client.connection.run(sending.sent(source, client.connection.retries, client.connection.surroundings.jitter, tell))


def upload(
    client: Headstart,
    source: Given,
    *,
    name: str | None,
    format: str | None,  # noqa: A002 - the contract's word
    schema: Mapping[str, str] | None,
    mode: str | None,
    ways: Ways,
) -> Dataset:
    """Send a file, a folder or rows and wait until the dataset is ready.

    Args:
        client: where to.
        source: path of a file, or of a folder of images, recordings or tables, which is sent as a zip; or rows as dictionaries, which are
            sent as JSONL.
        name: the dataset's name; None: the file's, in lower case. Rows need one.
        format: one of `headstart.specs.datasets.FORMATS`; None: by the file's ending.
        schema: column types that are stated, not guessed: `{"label": "category"}`.
        mode: `strict`, the default, refuses a file with a bad row; `lenient` drops such rows and counts them in `dropped_rows`.

    Raises:
        BadInput: the file was read and found unusable; `faults` name the first rows.
        HeadstartError: `changed_meanwhile`, the file is not what it was when its first bytes were sent.
    """
    name = name if name is not None else _name_for(source)
    return _made(client, source, format, ways, partial(client.create_dataset, name=name, schema=schema, mode=mode))


def append(
    client: Headstart,
    dataset: str,
    source: Given,
    *,
    key: str | None,
    format: str | None,  # noqa: A002 - the contract's word
    schema: Mapping[str, str] | None,
    mode: str | None,
    ways: Ways,
) -> Dataset:
    """Send more rows for a dataset and wait until its next version is ready.

    Args:
        client: where to.
        dataset: the id of the version to begin with.
        source: as for `upload`.
        key: a column: a row with the value of an old one replaces it, and columns that it lacks stay as they were; None: all are added.
        format: as for `upload`.
        schema: column types that change.
        mode: what a bad row of `source` does, as for `upload`; old rows are never dropped.

    Raises:
        BadInput: the rows do not fit the dataset; `faults` name the first, by their numbers in `source`.
        HeadstartError: `changed_meanwhile`.
    """
    how: How = "append" if key is None else "replace"
    create = partial(client.create_dataset_version, dataset, how=how, key=key, schema=schema, mode=mode)
    return _made(client, source, format, ways, create)


def _made(client: Headstart, source: Given, format_: str | None, ways: Ways, create: Callable[..., Dataset]) -> Dataset:
    """The dataset, once it is ready, that `create` makes: of a file, or by name of one that was sent in pieces."""
    with _opened(source, format_) as (file, filename, kind):
        if _in_pieces(file, ways):
            arrived, whole = _send(client, file, filename, ways)
            created = create(upload=arrived, format=kind)
            _check(client, whole, created)
        else:
            created = create(cast("BinaryIO", file), format=kind)
    return ready(client, created, client.get_dataset, ways.timeout)


def _name_for(source: Given) -> str:
    if not isinstance(source, str | Path):
        raise BadInput("invalid_field", "Rows need a name.", 'Give one: upload(rows, name="reviews").')
    path = Path(source)
    return name_of(path.resolve().name if path.is_dir() else plain_stem(path.name))


@contextmanager
def _opened(source: Given, format_: str | None) -> Iterator[tuple[IO[bytes], str, str | None]]:
    """The file to send, what to call it, and its format if that is known."""
    if not isinstance(source, str | Path):
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as file:
            _write_rows(source, file)
            yield file, "rows.jsonl", "jsonl"
    elif (path := Path(source)).is_dir():
        with zipped(path) as archive:
            yield archive, f"{path.resolve().name}.zip", "zip"
    else:
        with open(path, "rb") as file:
            yield file, path.name, format_ or format_of(path.name)


def _write_rows(rows: Iterable[Mapping[str, Any]], file: IO[bytes]) -> None:
    for number, row in enumerate(rows, start=1):
        try:
            file.write(json.dumps(dict(row), ensure_ascii=False, allow_nan=False).encode() + b"\n")
        except (TypeError, ValueError, RecursionError):
            hint = "A row is a dictionary of strings, finite numbers, booleans and None."
            raise BadInput("invalid_field", f"Row {number} cannot be written as JSON.", hint, faults=(Fault(None, hint, number),)) from None


def _in_pieces(file: IO[bytes], ways: Ways) -> bool:
    size = file.seek(0, 2)
    file.seek(0)
    return size >= sending.RESUMABLE_BYTES if ways.resumable is None else ways.resumable


def _send(client: Headstart, file: IO[bytes], filename: str, ways: Ways) -> tuple[str, sending.Source]:
    """The id of the finished upload, and what was sent."""
    source = sending.described(file, filename)
    with watch_upload(filename, show=ways.progress) as tell:
        arrived = client.connection.run(sending.sent(source, client.connection.retries, client.connection.surroundings.jitter, tell))
    return arrived.id, source


def _check(client: Headstart, whole: sending.Source, created: Dataset) -> None:
    try:
        sending.check_arrived(whole, created.sha256)
    except BaseException:
        client.delete_dataset(created.id)
        raise
