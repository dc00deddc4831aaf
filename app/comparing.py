"""How two versions of a dataset differ, as an answer: counts of all, and one page of row numbers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import to_thread

from app.services import Services
from app.stored import reading_tables
from headstart.data.difference import Difference, Rows, difference, nothing_shared
from headstart.data.preview import whole
from headstart.errors import Overloaded, closest, invalid_field, listing, quote
from headstart.specs.datasets import DatasetProfile
from headstart.specs.versions import ColumnChanges, DatasetDiff, LabelCounts, Match, Retyped, RowCounts
from headstart.store import datasets as store
from headstart.store.pages import encode_cursor
from headstart.store.tables import Dataset

WAIT_SECONDS = 20.0
"""For the comparisons of others to end."""
MOST_WAITING = 16
REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions, and the column that tells their rows apart, or None."""

    before: Dataset
    after: Dataset
    profiles: tuple[DatasetProfile, DatasetProfile]
    columns: ColumnChanges
    key: str | None

    @property
    def asked(self) -> tuple[str, str, str | None]:
        return self.before.id, self.after.id, self.key


def pair_of(before: Dataset, after: Dataset, key: str | None) -> Pair:
    """What is to be compared.

    Args:
        key: a column of both, or None.

    Raises:
        BadInput: `column_not_found`.
    """
    profiles = store.profile_of(before), store.profile_of(after)
    columns = _columns(*profiles)
    if key is not None and key not in columns.common:
        near = closest(key, columns.common)
        hint = f"Both have: {listing(columns.common)}." + (f" Did you mean {quote(near[0])}?" if near else "")
        raise invalid_field("/key", f"The versions have no column {quote(key)} in common.", hint, code="column_not_found")
    return Pair(before, after, profiles, columns, key)


class Comparisons:
    """Those of one process: one at a time, since each takes a processor, and memory by the number of rows.

    Who waits holds no thread; the last few are remembered, so that the pages of one need it but once.
    """

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._turn, self._thread = anyio.Lock(), anyio.CapacityLimiter(1)
        self._recent: OrderedDict[tuple[str, str, str | None], Difference] = OrderedDict()

    async def rows(self, services: Services, pair: Pair) -> Difference:
        """What became of the rows of `pair.before`.

        Raises:
            EngineFault: a stored table is damaged.
            NotFound: a version has been deleted.
            Overloaded: too many others are being compared, or for too long.
            Unavailable: a stored table cannot be read.
        """
        if (known := self._recall(pair)) is not None:
            return known
        if self._turn.statistics().tasks_waiting >= MOST_WAITING:
            raise _overloaded()
        try:
            with anyio.fail_after(self._wait_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise _overloaded() from None
        try:
            if (known := self._recall(pair)) is not None:
                return known
            found = await to_thread.run_sync(partial(_difference, services, pair), limiter=self._thread)
            self._remember(pair, found)
            return found
        finally:
            self._turn.release()

    def _recall(self, pair: Pair) -> Difference | None:
        """Tables are immutable; a difference holds a few bytes a row."""
        if pair.asked not in self._recent:
            return None
        self._recent.move_to_end(pair.asked)
        return self._recent[pair.asked]

    def _remember(self, pair: Pair, found: Difference) -> None:
        self._recent[pair.asked] = found
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


def _overloaded() -> Overloaded:
    return Overloaded("overloaded", "Other versions are being compared.", "Try again shortly.", retry_after_seconds=5)


def _difference(services: Services, pair: Pair) -> Difference:
    before, after = (services.blobs.path(store.table_key(row.id, row.epoch)) for row in (pair.before, pair.after))
    with reading_tables(services, pair.before, pair.after):
        for path, profile in zip((before, after), pair.profiles, strict=True):
            whole(path, profile.table_sha256)
        if not pair.columns.common:
            return nothing_shared(pair.profiles[0].rows, pair.profiles[1].rows)
        return difference(before, after, pair.columns.common, pair.key)


def page_of(pair: Pair, found: Difference, start: int, limit: int) -> DatasetDiff:
    """One page of the rows that were found.

    Args:
        start: row numbers to pass over, of each kind.
        limit: row numbers to give, of each kind.
    """
    profiles = pair.profiles
    kinds: Sequence[Rows] = (found.added, found.removed, found.changed[0], found.unchanged[0])
    end = start + limit
    more = any(len(rows) > end for rows in kinds)
    return DatasetDiff(
        object="dataset_diff",
        dataset=pair.after.id,
        against=pair.before.id,
        key=pair.key,
        columns=pair.columns,
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
