"""The rows of a new version: those of its parent, with those of a file after them or in their place.

The parent's table is read a batch at a time, never mapped: the process that does this has little address space. Rows that replace others
are held in memory, for they may come in any order, and are bounded by `ReadLimits.max_replacing_bytes`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import cast

from headstart.data.batches import Batch, Cells, rows_per_batch
from headstart.data.checks import Checks, check_lengths
from headstart.data.limits import ReadLimits
from headstart.data.media import MediaColumn
from headstart.data.problems import InvalidDataset, Problems
from headstart.data.table import TableReader
from headstart.errors import closest, listing, quote
from headstart.specs.datasets import ColumnType, How
from headstart.specs.labels import normal_label

CELL_BYTES = 64
"""What a cell takes beside its content."""


@dataclass(frozen=True, slots=True)
class ParentTable:
    """The table of the version that another is made from, and what the new rows do to it: with a `key` they replace, else they follow."""

    path: Path
    how: How
    key: str | None = None


def joined(
    new: Iterator[Batch], parent: ParentTable, types: Mapping[str, ColumnType], limits: ReadLimits, problems: Problems
) -> Generator[Batch, None, None]:
    """The rows of a version in their order, with the parent's columns.

    Problems name the rows of the new file by their numbers there.

    Two keys are the same when their normal labels are.

    Args:
        new: rows of the file; columns that it lacks are missing in rows that are added, and stay in rows that are replaced.
        types: of the parent's columns.

    Raises:
        InvalidDataset: the file has a column that the parent does not, or there are too many rows.
    """
    first = next(new, None)
    if first is None:
        return
    with TableReader(parent.path) as table:
        _check_columns(first, table, problems)
        rows = 0
        batches = chain([first], new)
        ordered = _appended(batches, table) if parent.key is None else _replaced(batches, table, parent.key, types, limits, problems)
        for batch in ordered:
            rows += len(batch.rows)
            if rows > limits.max_rows:
                raise problems.refusal("too_many_rows", f"The dataset would have more than {limits.max_rows:,} rows.")
            yield batch


def _check_columns(first: Batch, table: TableReader, problems: Problems) -> None:
    for name in first.names:
        if name not in table.names:
            near = closest(name, table.names)
            hint = f"Columns are: {listing(table.names)}." + (f" Did you mean {quote(near[0])}?" if near else "")
            message = f"The file has a column {quote(name)}, which the dataset has not."
            raise problems.refusal("column_not_found", message, column=name, hint=hint)
        if name in first.media and name not in table.media:
            message = f"The column {quote(name)} has files, and in the dataset it has texts."
            raise problems.refusal("unsupported_type", message, column=name)


def _appended(new: Iterator[Batch], table: TableReader) -> Iterator[Batch]:
    yield from table.batches()
    for batch in new:
        cells = dict(zip(batch.names, batch.columns, strict=True))
        lacking = [None] * len(batch.rows)
        yield replace(batch, names=table.names, columns=[cells.get(name, lacking) for name in table.names])


def _replaced(
    new: Iterator[Batch], table: TableReader, key: str, types: Mapping[str, ColumnType], limits: ReadLimits, problems: Problems
) -> Iterator[Batch]:
    gathered = _gather(new, key, types, limits, problems)
    if problems.refusing:
        return
    checks = Checks([name for name in table.names if name not in table.media], types)
    left = dict.fromkeys(gathered.places)
    for batch in table.batches():
        keys = cast("Sequence[str | None]", batch.columns[table.names.index(key)])
        found = [(at, normal_label(value)) for at, value in enumerate(keys) if value is not None]
        hits = [(at, gathered.places[value]) for at, value in found if value in gathered.places]
        for _, value in found:
            left.pop(value, None)
        yield gathered.laid_over(batch, gathered.good(batch, hits, checks, problems)) if hits else batch
    yield from gathered.batches([gathered.places[value] for value in left], table)


@dataclass(slots=True)
class _Gathered:
    """Rows that replace others, in the order of the file.

    Attributes:
        places: of the row with each key, in what follows.
        numbers: of the rows in their file.
        cells: by column.
        words: for its files, by column.
        looked_at: whether a row is good where it replaces another; it is asked once.
    """

    places: dict[str, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    cells: dict[str, list[str | bytes | None]] = field(default_factory=dict)
    words: dict[str, list[str | None]] = field(default_factory=dict)
    looked_at: dict[int, bool] = field(default_factory=dict)

    def add(self, batch: Batch, key: str) -> None:
        keys = cast("Sequence[str | None]", batch.columns[batch.names.index(key)])
        for place, cell in enumerate(keys, len(self.numbers)):
            if cell is not None:
                self.places.setdefault(normal_label(cell), place)
        self.numbers += batch.rows
        for name, cells in zip(batch.names, batch.columns, strict=True):
            self.cells.setdefault(name, []).extend(cells)
        for name, words in batch.words.items():
            self.words.setdefault(name, []).extend(words)

    def good(self, batch: Batch, hits: Sequence[tuple[int, int]], checks: Checks, problems: Problems) -> list[tuple[int, int]]:
        """Those hits (place in a batch of the parent, place here) whose row is what the schema says, with the cells that it keeps.

        None once the file is refused, so that nothing is told again of what was laid.
        """
        fresh = {here: at for at, here in reversed(hits) if here not in self.looked_at}
        if fresh:
            merged = replace(self._over(batch, [(at, here) for here, at in fresh.items()]), rows=[self.numbers[here] for here in fresh])
            checks.look(merged, problems)
            if problems.refusing:
                return []
            kept = problems.good(merged.rows)
            for place, here in enumerate(fresh):
                self.looked_at[here] = kept is None or place in kept
        return [(at, here) for at, here in hits if self.looked_at[here]]

    def _over(self, batch: Batch, hits: Sequence[tuple[int, int]]) -> Batch:
        """The rows that are hit alone, each with what replaces it."""
        return self.laid_over(batch.picked([at for at, _ in hits]), [(place, here) for place, (_, here) in enumerate(hits)])

    def laid_over(self, batch: Batch, hits: Sequence[tuple[int, int]]) -> Batch:
        """A batch of the parent with some rows replaced: (place in the batch, place here)."""
        columns = [list(cells) for cells in batch.columns]
        words = {name: list(known) for name, known in batch.words.items()}
        for name, cells in self.cells.items():
            column = columns[batch.names.index(name)]
            for at, here in hits:
                column[at] = cells[here]
                if name in words:
                    words[name][at] = self.words[name][here]
        return replace(batch, columns=cast("Sequence[Cells]", columns), words=words, fresh=len(hits))

    def batches(self, places: Sequence[int], table: TableReader) -> Iterator[Batch]:
        """These rows, with the parent's columns."""
        step = rows_per_batch(len(table.names))
        for start in range(0, len(places), step):
            chosen = places[start : start + step]
            columns = [[self.cells[name][at] for at in chosen] if name in self.cells else [None] * len(chosen) for name in table.names]
            words = {name: [self.words[name][at] for at in chosen] if name in self.words else [None] * len(chosen) for name in table.media}
            yield Batch(table.names, cast("Sequence[Cells]", columns), [self.numbers[at] for at in chosen], words=words)


def _gather(new: Iterator[Batch], key: str, types: Mapping[str, ColumnType], limits: ReadLimits, problems: Problems) -> _Gathered:
    gathered, held = _Gathered(), 0
    for sent in new:
        if key not in sent.names:
            raise problems.refusal("column_not_found", f"The file has no column {quote(key)}, by which rows are replaced.", column=key)
        batch = _opened(sent, types, limits, problems)
        _check_keys(batch, key, gathered, problems)
        kept = problems.good(batch.rows)
        batch = batch if kept is None else batch.picked(kept)
        gathered.add(batch, key)
        held += sum(CELL_BYTES + (len(cell) if cell is not None else 0) for cells in batch.columns for cell in cells)
        if held > limits.max_replacing_bytes:
            raise _too_much(limits, problems)
    return gathered


def _opened(batch: Batch, types: Mapping[str, ColumnType], limits: ReadLimits, problems: Problems) -> Batch:
    """A batch whose files were opened, once, while the row's number in its file is known; its texts are not too long."""
    columns, words, texts = list(batch.columns), dict(batch.words), []
    for at, (name, cells) in enumerate(zip(batch.names, batch.columns, strict=True)):
        kind = types.get(name)
        if kind in ("image", "audio"):
            seen = MediaColumn(name, kind, limits, hashes=1, repeats=1).open(cells, batch, problems)
            columns[at] = [None if each is None else each.content for each in seen]
            words[name] = [None if each is None else each.words for each in seen]
        else:
            texts.append(name)
    check_lengths(batch, texts, limits, problems)
    return replace(batch, columns=columns, words=words)


def _check_keys(batch: Batch, key: str, gathered: _Gathered, problems: Problems) -> None:
    """A row that is bad already has no key: a good one after it may have the same."""
    keys = cast("Sequence[str | None]", batch.columns[batch.names.index(key)])
    seen: set[str] = set()
    for row, cell in zip(batch.rows, keys, strict=True):
        if problems.is_bad(row):
            continue
        value = None if cell is None else normal_label(cell)
        if value is None:
            problems.add("missing_key", f"Row {row} has nothing in the column {quote(key)}, by which rows are replaced.", row, key)
        elif value in gathered.places or value in seen:
            problems.add("duplicate_key", f"Row {row} has {quote(value)} in the column {quote(key)}, like a row before it.", row, key)
        else:
            seen.add(value)


def _too_much(limits: ReadLimits, problems: Problems) -> InvalidDataset:
    message = f"The rows that replace others take more than {limits.max_replacing_bytes:,} bytes."
    return problems.refusal("too_large", message, hint="Replace them in several versions.")
