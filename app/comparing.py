"""How two versions of a dataset differ, as an answer: counts of all, and one page of row numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from headstart.blobs.local import LocalBlobs
from headstart.data.difference import Difference, Rows, difference, nothing_shared
from headstart.data.preview import whole
from headstart.errors import Overloaded, closest, invalid_field, listing, quote
from headstart.specs.datasets import DatasetProfile
from headstart.specs.versions import ColumnChanges, DatasetDiff, LabelCounts, Match, Retyped, RowCounts
from headstart.store import datasets as store
from headstart.store.pages import encode_cursor
from headstart.store.tables import Dataset

WAIT_SECONDS = 20.0
"""For the comparison of another request to end: each takes a processor, and memory by the number of rows."""
_one_at_a_time = threading.Lock()


def compare(blobs: LocalBlobs, before: Dataset, after: Dataset, *, key: str | None, start: int, limit: int) -> DatasetDiff:
    """What became of `before`.

    Args:
        key: a column of both, or None.
        start: row numbers to pass over, of each kind.
        limit: row numbers to give, of each kind.

    Raises:
        BadInput: `column_not_found`.
        EngineFault: a stored table is damaged.
        Overloaded: others are being compared.
    """
    profiles = store.profile_of(before), store.profile_of(after)
    columns = _columns(*profiles)
    if key is not None and key not in columns.common:
        near = closest(key, columns.common)
        hint = f"Both have: {listing(columns.common)}." + (f" Did you mean {quote(near[0])}?" if near else "")
        raise invalid_field("/key", f"The versions have no column {quote(key)} in common.", hint, code="column_not_found")
    paths = [blobs.path(store.table_key(row.id, row.epoch)) for row in (before, after)]
    for path, profile in zip(paths, profiles, strict=True):
        whole(path, profile.table_sha256)
    with _alone():
        found = _difference(*paths, tuple(columns.common), key) if columns.common else nothing_shared(profiles[0].rows, profiles[1].rows)
    kinds: Sequence[Rows] = (found.added, found.removed, found.changed[0], found.unchanged[0])
    end = start + limit
    more = any(len(rows) > end for rows in kinds)
    return DatasetDiff(
        object="dataset_diff",
        dataset=after.id,
        against=before.id,
        key=key,
        columns=columns,
        rows=RowCounts(
            before=profiles[0].rows,
            after=profiles[1].rows,
            added=len(found.added),
            removed=len(found.removed),
            changed=len(found.changed[0]),
            unchanged=len(found.unchanged[0]),
        ),
        labels=_labels(*profiles),
        added=[int(row) + 1 for row in found.added[start:end]],
        removed=[int(row) + 1 for row in found.removed[start:end]],
        changed=_matches(found.changed, start, end),
        unchanged=_matches(found.unchanged, start, end),
        has_more=more,
        next=encode_cursor(str(end)) if more else None,
    )


@contextmanager
def _alone() -> Iterator[None]:
    if not _one_at_a_time.acquire(timeout=WAIT_SECONDS):
        raise Overloaded("overloaded", "Other versions are being compared.", "Try again shortly.", retry_after_seconds=5)
    try:
        yield
    finally:
        _one_at_a_time.release()


@lru_cache(maxsize=4)
def _difference(before: Path, after: Path, columns: tuple[str, ...], key: str | None) -> Difference:
    """Tables are immutable, so the pages of one comparison need it but once; it holds a few bytes a row."""
    return difference(before, after, columns, key)


def _columns(before: DatasetProfile, after: DatasetProfile) -> ColumnChanges:
    old, new = ({column.name: column.type for column in profile.columns} for profile in (before, after))
    common = [name for name in new if name in old]
    return ColumnChanges(
        common=common,
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        retyped=[Retyped(column=name, before=old[name], after=new[name]) for name in common if old[name] != new[name]],
    )


def _labels(before: DatasetProfile, after: DatasetProfile) -> dict[str, LabelCounts]:
    """Of the columns that hold labels in one of the versions, and whose values are counted one by one in both."""
    counts = {}
    for column in after.columns:
        old = before.column(column.name)
        if old is not None and old.values is not None and column.values is not None and not {old.type, column.type} <= {"text", "number"}:
            counts[column.name] = LabelCounts(before=old.values, after=column.values)
    return counts


def _matches(pairs: tuple[Rows, Rows], start: int, end: int) -> list[Match]:
    return [Match(before=int(old) + 1, after=int(new) + 1) for old, new in zip(pairs[0][start:end], pairs[1][start:end], strict=True)]
