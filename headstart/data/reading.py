"""From an uploaded file to a table and its profile, in one streaming pass. Runs in a confined child process."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from headstart.blobs.atomic import atomic_file
from headstart.data.batches import Batch
from headstart.data.checks import Checks, check_lengths
from headstart.data.compression import unpacked
from headstart.data.guessing import guessed_types
from headstart.data.joining import ParentTable, joined
from headstart.data.jsonl_rows import LateColumnsError
from headstart.data.limits import ReadLimits
from headstart.data.media import MediaColumn, Seen
from headstart.data.problems import InvalidDataset, Problems
from headstart.data.profile import ColumnCounter, RowSplits, bounds_of_each
from headstart.data.readers import table_batches
from headstart.data.splitting import SplitFinder
from headstart.data.table import table_schema
from headstart.data.zip_rows import zip_batches
from headstart.errors import closest, listing, quote
from headstart.specs.datasets import LIST_TYPES, MEDIA_TYPES, ColumnType, DatasetProfile, Format, MediaType, ReadMode

__all__ = ["InvalidDataset", "read_dataset"]


def read_dataset(
    source: Path,
    target: Path,
    *,
    format: Format,  # noqa: A002  the word of the public contract
    types: Mapping[str, ColumnType],
    limits: ReadLimits,
    mode: ReadMode = "strict",
    parent: ParentTable | None = None,
) -> DatasetProfile:
    """Write the rows of `source` to `target` as an Arrow IPC file: files as bytes, all else as strings, missing cells null.

    Cells are kept as the file has them, and so is every byte of images and recordings. Labels are compared by
    `headstart.specs.labels.normal_label`, here and later.

    Args:
        format: of the file, or of what it unpacks to when it is compressed by gzip or zstd.
        types: column types that the user states; they win over the guess.
        mode: whether one bad row refuses the file, or is left out.
        parent: the version whose rows come first or are replaced, when this is a version of another; `mode` says nothing of its rows.

    Raises:
        InvalidDataset: the file cannot become a dataset; `target` is not there then.
        OSError, MemoryError: the machine's fault, not the file's.
    """
    columns: list[str] = []
    problems = Problems(limits.max_kept_problems)
    with open(source, "rb") as sent, unpacked(sent, target.parent, limits, problems) as file:
        while True:
            problems = Problems(limits.max_kept_problems, lenient=mode == "lenient")
            file.seek(0)
            # closed before the file is: a reader that was not read to its end still holds it
            with closing(_batches(format, file, types, limits, problems, columns, target.parent)) as new:
                try:
                    with closing(new if parent is None else joined(new, parent, types, limits, problems)) as batches:
                        return _write(batches, target, dict(types), limits, problems)
                except LateColumnsError as late:
                    columns = late.columns  # all of them: the second time is the last


def _batches(
    name: Format,
    file: BinaryIO,
    types: Mapping[str, ColumnType],
    limits: ReadLimits,
    problems: Problems,
    columns: Sequence[str],
    scratch: Path,
) -> Generator[Batch, None, None]:
    stated = _stated_media(types)
    if stated:  # base64 is long: texts beside it are measured once they are read
        limits = replace(limits, max_field_chars=limits.max_line_bytes)
    if name == "zip":
        scratch.mkdir(parents=True, exist_ok=True)
        return zip_batches(file, limits, problems, columns, stated=stated, scratch=scratch)
    return table_batches(name, file, limits, problems, columns, stated)


def _stated_media(types: Mapping[str, ColumnType]) -> dict[str, MediaType]:
    return {name: kind for name, stated in types.items() for kind in MEDIA_TYPES if kind == stated}


def _write(batches: Iterator[Batch], target: Path, types: dict[str, ColumnType], limits: ReadLimits, problems: Problems) -> DatasetProfile:
    first = next(batches, None)
    if first is None:
        problems.check()
        raise problems.refusal("no_rows", "The file has no rows.")
    _check_media(first, types, problems)
    table = _Table(first, types, limits, problems)
    with atomic_file(target) as file:
        table.fill(file, first, batches)
        _check_types(types, first.names, problems)
        problems.check()
        if not table.fresh:
            raise problems.refusal("no_rows", "No row of the file is good.")
    return table.profile()


class _Table:
    """The rows that were taken, written and counted.

    Attributes:
        rows: all of them.
        fresh: those of the file; the others are of the version before.
    """

    def __init__(self, first: Batch, types: dict[str, ColumnType], limits: ReadLimits, problems: Problems) -> None:
        self.rows = self.fresh = 0
        self._joined = first.fresh is not None
        self._names = first.names
        self._limits = limits
        self._problems = problems
        bounds = bounds_of_each(len(first.names), limits)
        media = {**_stated_media(types), **first.media}
        self._files = {
            name: MediaColumn(name, media[name], limits, hashes=bounds.hashes, repeats=bounds.repeats)
            for name in first.names
            if name in media
        }
        texts = [name for name in first.names if name not in media]
        self._texts = {name: ColumnCounter(name, types.get(name), bounds) for name in texts}
        self._checks = Checks(texts, types)
        self._splits = SplitFinder()

    def fill(self, file: BinaryIO, first: Batch, rest: Iterator[Batch]) -> None:
        """Write and count the good rows of every batch."""
        schema = table_schema(self._names, self._files)
        decoded = 0
        batch: Batch | None = first
        with pa.ipc.new_file(file, schema) as writer:
            while batch is not None:
                record = pa.record_batch(self._arrays(batch), schema=schema)
                self.rows += record.num_rows
                decoded += record.nbytes
                if decoded > self._limits.max_decoded_bytes:
                    message = f"The table takes more than {self._limits.max_decoded_bytes:,} bytes."
                    raise self._problems.refusal("too_large", message)
                writer.write_batch(record)
                batch = next(rest, None)

    def profile(self) -> DatasetProfile:
        types = guessed_types(list(self._texts.values()))
        self._warn(types)
        divided = self._splits.column is not None
        columns = [
            self._files[name].profile(divided=divided)
            if name in self._files
            else self._texts[name].profile(types[name], divided=divided and name != self._splits.column)
            for name in self._names
        ]
        return DatasetProfile(
            rows=self.rows,
            columns=columns,
            problems=self._problems.kept,
            problem_count=self._problems.count,
            dropped_rows=self._problems.dropped,
            split_column=self._splits.column,
        )

    def _arrays(self, batch: Batch) -> list[pa.Array]:
        """The columns of the good rows of a batch, then the words for its files, as the schema has them; each counted."""
        batch, opened = self._good(batch)
        self.fresh += len(batch.rows) if batch.fresh is None else batch.fresh
        rows = range(self.rows + 1, self.rows + 1 + len(batch.rows)) if self._joined else batch.rows
        splits = self._splits.splits(batch)
        arrays, words = [], []
        for name, cells in self._cells(batch):
            if name in opened:
                seen = opened[name]
                self._files[name].add(seen, splits)
                arrays.append(pa.array([each and each.content for each in seen], pa.large_binary()))
                words.append(pa.array([each and each.words for each in seen], pa.string()))
            else:
                arrays.append(self._texts_array(name, cells, rows, splits))
        return [*arrays, *words]

    def _good(self, batch: Batch) -> tuple[Batch, dict[str, list[Seen | None]]]:
        """The rows of a batch that are to be kept, and their files by column; rows of the version before are, or the file is refused."""
        if batch.fresh is not None:
            with self._problems.of_the_version_before():
                return batch, self._looked_at(batch)
        opened = self._looked_at(batch)
        kept = self._problems.good(batch.rows)
        if kept is None:
            return batch, opened
        return batch.picked(kept), {name: [seen[place] for place in kept] for name, seen in opened.items()}

    def _looked_at(self, batch: Batch) -> dict[str, list[Seen | None]]:
        """The files of a batch by column; what is wrong with any cell goes to `problems`."""
        opened = {name: self._files[name].open(cells, batch, self._problems) for name, cells in self._cells(batch) if name in self._files}
        self._checks.look(batch, self._problems)
        check_lengths(batch, self._texts, self._limits, self._problems)
        return opened

    def _texts_array(self, name: str, cells: object, rows: Sequence[int], splits: RowSplits | None) -> pa.Array:
        texts = cast("Sequence[str | None]", cells)
        self._texts[name].add(texts, rows, splits)
        return pa.array(texts, pa.string())

    def _cells(self, batch: Batch) -> Iterator[tuple[str, Sequence[str | bytes | None]]]:
        yield from zip(batch.names, batch.columns, strict=True)

    def _warn(self, types: Mapping[str, ColumnType]) -> None:
        """Tell what deserves a look and refuses nothing; rows of a version by their numbers in it, for old ones have no other."""
        of_which = " of the version" if self._joined else ""
        for name, counter in self._texts.items():
            if counter.stated is None and counter.is_mixed and types[name] not in LIST_TYPES:
                for row, word in counter.words:
                    message = f"Row {row}{of_which} has {word} in the column {quote(name)}, most of which are numbers."
                    self._problems.warn("mixed_types", message, row, name)
                self._problems.more(counter.word_count - len(counter.words))
            if types[name] == "tags":
                for row, words in counter.lists.faults:
                    self._problems.warn("broken_scheme", f"Row {row}{of_which}, the column {quote(name)}: {words}.", row, name)
                self._problems.more(counter.lists.fault_count - len(counter.lists.faults))


def _check_media(first: Batch, types: Mapping[str, ColumnType], problems: Problems) -> None:
    for name, kind in first.media.items():
        if types.get(name, kind) != kind:
            message = f"The column {quote(name)} holds {_FILES[kind]}, and the schema says that it is {types[name]!r}."
            raise problems.refusal("unsupported_type", message, column=name, hint="Leave the column out of the schema.")


_FILES: Mapping[MediaType, str] = {"image": "images", "audio": "recordings"}


def _check_types(types: Mapping[str, ColumnType], names: Sequence[str], problems: Problems) -> None:
    for name in types:
        if name not in names:
            near = closest(name, names)
            hint = f"Columns are: {listing(names)}." + (f" Did you mean {quote(near[0])}?" if near else "")
            raise problems.refusal("column_not_found", f"The dataset has no column {quote(name)}, which the schema names.", hint=hint)
