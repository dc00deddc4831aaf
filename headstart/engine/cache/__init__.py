"""The feature cache: what the prefix gave for each row, kept so that no job computes it twice.

`root/<key[:2]>/<key>/` holds a folder for each shard (`shards.py`), a lock that says that the key is in use, and the claims of those who are
computing (`claims.py`). A key names everything the numbers depend on. Shards are immutable: they appear whole by one rename and are never
rewritten, so any number of processes may read and append at once. What was used least recently goes when the budget is exceeded, and
nothing that is in use (`eviction.py`).
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.engine.cache import claims
from headstart.engine.cache.eviction import IN_USE, prune, shard_folders, survey, total_bytes
from headstart.engine.cache.index import Index, Rows, by_shard, distinct, prefixes
from headstart.engine.cache.keys import CacheKey
from headstart.engine.cache.locks import Lock, hold
from headstart.engine.cache.shards import RECORD, VALUES, Damaged, Shard, read_shard, take_away, write_shard
from headstart.engine.vectors import on_disk, slices_of

__all__ = ["RECORD", "VALUES", "CacheKey", "FeatureCache", "distinct", "prune", "survey"]

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 600.0
"""Rows that another process computes are waited for as long as some of them come in such a time; then they are computed here too."""

OPENING_SECONDS = 10.0
"""Longest time for which an eviction, which holds its lock for one rename, may keep a key from being opened."""

PRUNED_EVERY = 16
"""While features are written, the budget is looked at whenever a 16th of it was added."""

log = structlog.get_logger()


class FeatureCache:
    """One key, open: its shards, and those that are appended to it. While it is referred to, nothing of the key is evicted.

    Args:
        budget_bytes: of the whole root; None: no bound.
    """

    def __init__(self, root: Path, key: CacheKey, budget_bytes: int | None = None) -> None:
        self.key = key
        self.root, self.folder = root, root / key.digest()[:2] / key.digest()
        self.damaged = 0
        """Shards that were found damaged and taken away."""
        self._budget, self._added = budget_bytes, 0
        self._use: Lock | None = None
        self._seen: set[Path] = set()
        self._appended: set[Path] = set()
        self._shards: list[Shard] = []
        self._index: Index | None = None
        if self.folder.is_dir():
            self._hold()
            self.refresh()

    def refresh(self) -> bool:
        """Take in the shards that others have appended since; whether there were any."""
        new = [path for path in shard_folders(self.folder) if path not in self._seen]
        for path in new:
            self._open(path)
        return bool(new)

    def knows(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these rows are there, [N]."""
        return self._locate(rows)[2]

    def lookup(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What is known of these rows.

        Args:
            rows: sha256 of each row's content, uint8 [N, 32].

        Returns:
            Values, float32 [N, D], zeros where nothing is known (D is 0 while the cache is empty), and which rows were found, bool [N].
            The values lie in order in a file of their own (`vectors.on_disk`) and cannot be written to: a batch out of many shards
            would take as many reads, and all rows in memory would be a bound on their number.

        Raises:
            OSError: the disk is full or not writable.
        """
        shard_of, place, found = self._locate(rows)
        width = int(self._shards[0].values.shape[1]) if self._shards else 0

        def parts() -> Iterator[NDArray[np.float32]]:
            for part in slices_of(len(rows)):
                values = np.zeros((len(found[part]), width), np.float32)
                for number, wanted in by_shard(shard_of[part], np.flatnonzero(found[part])):
                    shard = self._shards[number]
                    values[wanted] = shard.values[torch.from_numpy(shard.offsets[place[part][wanted]])].float().numpy()
                yield values

        return on_disk(self.root)(parts(), width), found

    def find(self, rows: Rows) -> list[Tensor | None]:
        """What is known of each of these rows when a row has one vector for each token: [T, D] mapped from the disk, None if unknown.

        Whoever reads them keeps this cache too, so that it stays in use.
        """
        shard_of, place, found = self._locate(rows)
        known: list[Tensor | None] = [None] * len(rows)
        for row in np.flatnonzero(found):
            shard, at = self._shards[shard_of[row]], place[row]
            known[row] = shard.values[shard.offsets[at] : shard.offsets[at + 1]]
        return known

    def complete(
        self,
        rows: Rows,
        compute: Callable[[NDArray[np.int64]], object],
        tick: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> int:
        """See to it that all of these rows are there: what another process is computing is waited for, the rest is computed here.

        Args:
            compute: given the positions of rows that differ; appends them all.
            tick: called now and then while this waits; what it raises ends the wait.

        Returns:
            How many rows were computed here.

        Raises:
            OSError: the cache cannot be written, or does not give back what was written.
        """
        self._hold()
        places, _ = distinct(rows)
        done = np.zeros(len(rows), np.bool_)
        until, least = clock() + PATIENCE_SECONDS, len(places)
        while True:
            places = self._unknown(rows, places)
            if not len(places):
                return int(done.sum())
            if done[places].any():
                raise OSError(errno.EIO, "The feature cache does not give back what was written")
            if len(places) < least:
                until, least = clock() + PATIENCE_SECONDS, len(places)
            with self._claim(rows[places], forced=clock() >= until) as turn:
                # what was appended just before a claim ended is there now
                self.refresh()
                mine = self._unknown(rows, places[turn.free])
                if len(mine):
                    compute(mine)
                    done[mine] = True
            if not turn.free.any():
                # until something was appended, or somebody who was in the way is not any more
                while turn.stands() and not self.refresh() and clock() < until:
                    tick()
                    rest(POLL_SECONDS)

    def append(
        self, rows: Rows, values: NDArray[np.float32] | Sequence[NDArray[np.float32]], lengths: NDArray[np.int64] | None = None
    ) -> None:
        """Keep the values of these rows, durably, in a shard of their own.

        Args:
            rows: uint8 [N, 32].
            values: float32 [sum of lengths, D], whole or in pieces.
            lengths: vectors of each row, [N]; None: one each.

        Raises:
            OSError: the disk is full or not writable; nothing is kept of these rows then.
        """
        if not len(rows):
            return
        self._hold()
        path = self.folder / uuid.uuid4().hex
        pieces = [values] if isinstance(values, np.ndarray) else values
        self._added += write_shard(path, self.key, rows, pieces, np.ones(len(rows), np.int64) if lengths is None else lengths)
        self._appended.add(path)
        self._open(path)  # mapped from the disk: no second copy stays in memory
        if self._budget is not None and self._added > self._budget // PRUNED_EVERY:
            self.prune()

    def prune(self) -> int:
        """Keep to the budget: other keys go first, then of this one what nothing here has used, unless others have it open; gives the bytes."""
        self._added = 0
        if self._budget is None:
            return 0
        gone = prune(self.root, self._budget, keep=self.folder)
        over = total_bytes(self.root) - self._budget
        return gone + (self._shrink(over) if over > 0 else 0)

    def _shrink(self, over: int) -> int:
        """Take away at least `over` bytes of the shards that nothing here has used, the least recently used first, if there are so many."""
        if self._use is None or not self._use.turn(exclusive=True):
            self._hold()
            return 0
        gone = 0
        spare = [shard for shard in self._shards if not shard.used and shard.path not in self._appended]
        for shard in sorted(spare, key=_last_use):
            if gone >= over:
                break
            take_away(shard.path)
            self._shards.remove(shard)
            gone += shard.bytes
            log.info("cache_shard_evicted", shard=shard.path.name[:12], key=self.folder.name[:12], bytes=shard.bytes)
        self._index = None
        if not self._use.turn(exclusive=False):
            self._hold()
        return gone

    def _hold(self) -> None:
        """Have the key's folder, and a shared lock in it.

        Raises:
            TimeoutError: an eviction does not come to its end.
        """
        until = time.monotonic() + OPENING_SECONDS
        while self._use is None or not self._use.turn(exclusive=False) or not self._use.is_of(self.folder / IN_USE):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._use = hold(self.folder / IN_USE, exclusive=False)
            except FileNotFoundError:
                self._use = None  # evicted between the two
            if self._use is None:
                if time.monotonic() > until:
                    raise TimeoutError(errno.ETIMEDOUT, "The feature cache is being evicted")
                time.sleep(0.002)
        os.utime(self.folder / IN_USE)  # used now

    def _open(self, path: Path) -> None:
        self._seen.add(path)
        try:
            self._shards.append(read_shard(path))
        except Damaged as fault:
            self._drop(path, fault)
        except FileNotFoundError:
            return  # taken away by another process since the folder was listed
        self._index = None

    def _drop(self, path: Path, fault: Damaged) -> None:
        log.warning("cache_shard_damaged", shard=path.name, key=self.folder.name[:12], reason=str(fault))
        self.damaged += 1
        take_away(path)

    def _locate(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """As `Index.locate`, in shards that are whole."""
        while True:
            if self._index is None:
                self._index = Index(list(self._shards))
            shard_of, place, found = self._index.locate(rows)
            wanted = [self._shards[number] for number in np.unique(shard_of[found])]
            if all(self._is_whole(shard) for shard in wanted):
                return shard_of, place, found

    def _is_whole(self, shard: Shard) -> bool:
        """Whether values may be taken out of it; otherwise it is forgotten."""
        fresh = not shard.used
        try:
            shard.use()
        except (Damaged, FileNotFoundError) as fault:
            self._shards.remove(shard)
            self._index = None
            if isinstance(fault, Damaged):
                self._drop(shard.path, fault)
            return False
        if fresh:
            _touch(shard.path)
        return True

    def _unknown(self, rows: Rows, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `places` whose rows are not there."""
        return places[~self.knows(rows[places])]

    def _claim(self, rows: Rows, *, forced: bool) -> AbstractContextManager[claims.Turn]:
        if forced:
            log.warning("cache_claim_ignored", key=self.folder.name[:12], rows=len(rows))
            return nullcontext(claims.Turn(np.ones(len(rows), np.bool_)))
        return claims.claim(self.folder, prefixes(rows))


def _last_use(shard: Shard) -> float:
    try:
        return shard.path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return  # gone, or a disk that cannot be written: its time is a hint
