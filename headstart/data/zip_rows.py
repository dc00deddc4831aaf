"""Zip archives as Hugging Face has them: of images or recordings, in folders that say class and split or with a table that has a column
`file_name`; and of tables, whose names say the split (`table_folders`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from headstart.data.archives import Archive, open_archive
from headstart.data.batches import MAX_BYTES, MAX_ROWS, Batch, Cells
from headstart.data.csv_rows import csv_batches
from headstart.data.jsonl_rows import jsonl_batches
from headstart.data.limits import ReadLimits
from headstart.data.media import HEAD_BYTES, kind_of
from headstart.data.problems import Problems
from headstart.data.table_folders import METADATA, folder_batches, tables_of
from headstart.errors import BadInput, listing, quote
from headstart.specs.datasets import SPLITS, MediaType

FILE_NAME = "file_name"
LOOKED_AT = 100
"""Files whose beginnings are looked at for the first that is an image or a recording."""


def zip_batches(
    file: BinaryIO,
    limits: ReadLimits,
    problems: Problems,
    columns: Sequence[str] = (),
    *,
    stated: Mapping[str, MediaType] | None = None,
    scratch: Path | None = None,
) -> Generator[Batch, None, None]:
    """The rows of an archive: one for each file in its folders, or one for each row of its table; or the rows of all its tables.

    Where there are files, the first column is `image` or `audio`, by the first that is one of them. What is wrong with a file goes to
    `problems`.

    Args:
        columns: of tables in JSON Lines, or of several that differ, see `jsonl_batches`.
        stated: which columns of tables hold files.
        scratch: where tables are unpacked; the system's own folder if it is not said.

    Raises:
        InvalidDataset: the archive, its folders or its tables make further reading senseless.
        LateColumnsError: see `jsonl_batches`.
    """
    archive = open_archive(file, limits, problems)
    parts = tables_of(archive, limits, problems)
    if parts:
        yield from folder_batches(archive, parts, limits, problems, columns, stated or {}, scratch)
        return
    tables = [name for name in archive.members if name.rpartition("/")[2].lower() in METADATA]
    if len(tables) > 1:
        raise problems.refusal("archive_layout", f"The archive has more than one table: {listing(tables)}.")
    source = _listed(archive, tables[0], limits, problems, columns) if tables else _foldered(archive, problems)
    with closing(source):
        for rows in source:
            yield from _filled(archive, rows, limits, problems)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows whose files have not been read yet."""

    kind: MediaType
    files: Sequence[str | None]
    names: Sequence[str]
    columns: Sequence[Sequence[str | None]]
    rows: Sequence[int]


def _filled(archive: Archive, rows: _Rows, limits: ReadLimits, problems: Problems) -> Iterator[Batch]:
    """The same rows with their files, no more at once than memory should hold."""
    begun, size = 0, 0
    contents: list[bytes | None] = []
    for row, file in zip(rows.rows, rows.files, strict=True):
        content = _content(archive, file, row, rows.kind, limits, problems)
        contents.append(content)
        size += len(content or b"")
        if size >= MAX_BYTES or len(contents) == MAX_ROWS:
            yield _batch(rows, begun, contents)
            begun, size, contents = begun + len(contents), 0, []
    if contents:
        yield _batch(rows, begun, contents)


def _batch(rows: _Rows, begun: int, contents: list[bytes | None]) -> Batch:
    end = begun + len(contents)
    columns: list[Cells] = [contents, *(column[begun:end] for column in rows.columns)]
    return Batch([rows.kind, *rows.names], columns, rows.rows[begun:end], {rows.kind: rows.kind}, rows.files[begun:end])


def _content(archive: Archive, file: str | None, row: int, kind: MediaType, limits: ReadLimits, problems: Problems) -> bytes | None:
    if file is None:
        problems.add("file_not_found", f"Row {row} names no file.", row, FILE_NAME)
        return None
    if file not in archive.members:
        problems.add("file_not_found", f"Row {row}, the file {quote(file)}: it is not in the archive.", row, FILE_NAME)
        return None
    try:
        return archive.read(file, limits.max_media_bytes)
    except BadInput as error:
        problems.add(error.code, f"Row {row}, the file {quote(file)}: {error.message}", row, kind)
        return None


def _kind(archive: Archive, files: Iterable[str | None], problems: Problems) -> MediaType:
    there = [file for file in files if file is not None and file in archive.members]
    if not there:
        raise problems.refusal("file_not_found", "The table names no file that is in the archive.")
    for file in there[:LOOKED_AT]:
        try:
            kind = kind_of(archive.read(file, HEAD_BYTES, whole=False))
        except BadInput:
            continue
        if kind is not None:
            return kind
    raise problems.refusal("unknown_format", "The files of the archive are neither images nor recordings of a kind that is read here.")


def _foldered(archive: Archive, problems: Problems) -> Generator[_Rows, None, None]:
    files = list(archive.members)
    folders = _folders([file.split("/")[:-1] for file in files])
    divided = any(len(path) == 2 and path[0].lower() in SPLITS for path in folders)
    if not any(folders):
        raise problems.refusal("one_class", "The files of the archive lie in no class folders, and there is no table.")
    for file, path in zip(files, folders, strict=True):
        words = _objection(path, divided=divided)
        if words:
            problems.add("archive_layout", f"The file {quote(file)} {words}")
    problems.check()
    classes = {path[-1] for path in folders}
    if not divided and all(name.lower() in SPLITS for name in classes):
        raise problems.refusal("archive_layout", f"The files lie in {listing(sorted(classes))} without a folder for each class.")
    if len(classes) == 1:
        raise problems.refusal("one_class", f"All files of the archive lie in one class folder, {quote(*classes)}.")
    columns = [[path[-1] for path in folders], *([[path[0].lower() for path in folders]] if divided else [])]
    yield _Rows(_kind(archive, files, problems), files, ["label", "split"][: len(columns)], columns, range(1, len(files) + 1))


def _folders(paths: list[list[str]]) -> list[list[str]]:
    """The folders of each file, without one that only holds all the others: people zip the folder, and not what is in it."""
    first = {path[0].lower() if len(path) > 1 else "" for path in paths}
    if len(first) == 1 and not first & {"", *SPLITS}:
        return [path[1:] for path in paths]
    return paths


def _objection(path: list[str], *, divided: bool) -> str | None:
    """What is wrong with where a file lies, as the words after its name."""
    if len(path) != 1 + divided:
        return f"does not lie in a folder {'train|validation|test/class' if divided else 'of a class'}."
    if divided and path[0].lower() not in SPLITS:
        return f"lies in {quote(path[0])}, which is none of train, validation and test."
    return None


def _listed(archive: Archive, table: str, limits: ReadLimits, problems: Problems, columns: Sequence[str]) -> Generator[_Rows, None, None]:
    try:
        content = BytesIO(archive.read(table, limits.max_listed_bytes))
    except BadInput as error:
        raise problems.refusal(error.code, f"The table {quote(table)}: {error.message}") from None
    is_csv = table.lower().endswith(".csv")
    batches = csv_batches(content, limits, problems) if is_csv else jsonl_batches(content, limits, problems, columns)
    folder, kind = table.rpartition("/")[0], None
    with closing(batches):
        for batch in batches:
            files = _files(batch, table, folder, problems)
            kind = kind or _kind(archive, files, problems)
            if kind in batch.names:
                message = f"The table {quote(table)} has a column {quote(kind)}, and the files are to be called so."
                raise problems.refusal("bad_header", message, hint="Give the column another name.")
            yield _Rows(kind, files, batch.names, batch.columns, batch.rows)  # type: ignore[arg-type]  # no bytes are in such a table


def _files(batch: Batch, table: str, folder: str, problems: Problems) -> list[str | None]:
    """The member that each row of a table names."""
    if FILE_NAME not in batch.names:
        hint = f"Its columns are: {listing(batch.names)}."
        raise problems.refusal("column_not_found", f"The table {quote(table)} has no column 'file_name'.", hint=hint)
    return [None if cell is None else _path(folder, str(cell)) for cell in batch.columns[batch.names.index(FILE_NAME)]]


def _path(folder: str, name: str) -> str:
    plain = unicodedata.normalize("NFC", name.strip()).removeprefix("./")
    return f"{folder}/{plain}" if folder else plain
