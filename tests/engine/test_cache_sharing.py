"""Jobs that run at the same time compute each row once, and none waits for a process that has died, hangs, or computes something else."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.engine.cache import PATIENCE_SECONDS, FeatureCache, claims
from headstart.engine.cache.index import prefixes
from tests.engine.cached import KEY, rows_of, values_of

SHARE = """
import sys
from pathlib import Path
import numpy as np
from headstart.engine.cache import FeatureCache
from tests.engine.cached import KEY, rows_of

root, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cache, rows = FeatureCache(root, KEY), rows_of(last - first, start=first)

def compute(missing):
    for start in range(0, len(missing), 10):
        part = missing[start : start + 10]
        print("computing", *(first + part), flush=True)
        sys.stdin.readline()
        cache.append(rows[part], np.repeat((first + part).astype(np.float32)[:, None], 4, axis=1))

computed = cache.complete(rows, compute, lambda: print("waiting", flush=True))
assert cache.lookup(rows)[0][:, 0].tolist() == list(range(first, last))
print("done", computed, flush=True)
"""


class Job:
    """Another process that wants rows, and computes ten whenever it is let."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.computed: list[int] = []

    def hear(self, *, past: str = "") -> str:
        """Its next word, `past` one that it may repeat."""
        assert self.process.stdout is not None
        while True:
            word, *rest = self.process.stdout.readline().split() or ["nothing"]
            if word == "computing":
                self.computed += map(int, rest)
            if word != past:
                return word

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def job(root: Path, first: int, last: int) -> Iterator[Job]:
    command = [sys.executable, "-c", SHARE, str(root), str(first), str(last)]
    root_folder = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root_folder) as process:
        try:
            yield Job(process)
        finally:
            process.kill()


def test_of_two_processes_each_row_is_computed_by_one(tmp_path):
    with job(tmp_path, 0, 40) as one:
        assert one.hear() == "computing"
        with job(tmp_path, 20, 60) as two:
            for _ in range(2):  # what nobody else computes it computes at once, whatever the other is at
                assert two.hear(past="waiting") == "computing"
                two.go()
            assert two.hear() == "waiting"
            for _ in range(3):
                one.go()
                assert one.hear() == "computing"
            one.go()
            assert one.hear() == "done"
            assert two.hear(past="waiting") == "done"
    assert sorted(one.computed) == list(range(40))
    assert sorted(two.computed) == list(range(40, 60))


def test_when_the_process_that_computes_is_killed_another_goes_on_where_it_was(tmp_path):
    with job(tmp_path, 0, 30) as first:
        assert first.hear() == "computing"
        with job(tmp_path, 0, 30) as second:
            assert second.hear() == "waiting"
            first.go()
            assert first.hear() == "computing"
            first.process.kill()
            for _ in range(2):
                assert second.hear(past="waiting") == "computing"
                second.go()
            assert second.hear() == "done"
    assert first.computed[:10] == list(range(10))
    assert second.computed == list(range(10, 30))


class Clock:
    """Time that goes on when somebody rests."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds


def appending(cache: FeatureCache, rows: NDArray[np.uint8], told: list[int]):
    def compute(missing: NDArray[np.int64]) -> None:
        told.extend(missing.tolist())
        cache.append(rows[missing], values_of(len(missing)))

    return compute


def never() -> None:
    pytest.fail("it waits for nobody")


def test_rows_that_are_equal_are_computed_once(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    told: list[int] = []
    rows = rows_of(5)[[0, 1, 0, 2, 1]]
    assert cache.complete(rows, appending(cache, rows, told), never) == 3
    assert told == [0, 1, 3]


def test_rows_that_came_since_the_cache_was_opened_are_not_computed_again(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(1), values_of(1))
    cache = FeatureCache(tmp_path, KEY)
    told: list[int] = []
    FeatureCache(tmp_path, KEY).append(rows_of(5), values_of(5))
    assert cache.complete(rows_of(7), appending(cache, rows_of(7), told), never) == 2
    assert told == [5, 6]


def test_whoever_waits_is_ended_by_what_its_tick_raises(tmp_path):
    class Cancelled(BaseException):
        pass

    def tick() -> None:
        raise Cancelled

    cache = FeatureCache(tmp_path, KEY)
    told: list[int] = []
    cache.append(rows_of(1, start=9), values_of(1))
    with claims.claim(cache.folder, prefixes(rows_of(5))), pytest.raises(Cancelled):
        cache.complete(rows_of(5), appending(cache, rows_of(5), told), tick)
    assert told == []
    assert cache.complete(rows_of(5), appending(cache, rows_of(5), told), never) == 5


def test_wait_for_a_process_that_hangs_comes_to_an_end(tmp_path):
    cache, clock = FeatureCache(tmp_path, KEY), Clock()
    told: list[int] = []
    ticks: list[float] = []
    cache.append(rows_of(1, start=9), values_of(1))
    with claims.claim(cache.folder, prefixes(rows_of(5))):
        assert (
            cache.complete(rows_of(5), appending(cache, rows_of(5), told), lambda: ticks.append(clock()), clock=clock, rest=clock.rest) == 5
        )
    assert PATIENCE_SECONDS - 1 < ticks[-1] <= PATIENCE_SECONDS + 1
    assert told == list(range(5))


def test_wait_goes_on_as_long_as_rows_come(tmp_path):
    cache, other, clock = FeatureCache(tmp_path, KEY), FeatureCache(tmp_path, KEY), Clock()
    told: list[int] = []
    cache.append(rows_of(1, start=99), values_of(1))
    coming = iter(range(8))

    def rest(seconds: float) -> None:
        clock.rest(PATIENCE_SECONDS * 0.7)
        row = next(coming)
        other.append(rows_of(1, start=row), values_of(1))

    with claims.claim(cache.folder, prefixes(rows_of(8))):
        assert cache.complete(rows_of(8), appending(cache, rows_of(8), told), lambda: None, clock=clock, rest=rest) == 0
    assert told == []


def test_claims_are_given_back_when_computing_fails(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    told: list[int] = []

    def fail(_missing: NDArray[np.int64]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as failed:
        cache.complete(rows_of(5), fail, never)
    assert failed.value.errno == errno.ENOSPC  # its traceback is alive, and holds nothing
    assert cache.complete(rows_of(5), appending(cache, rows_of(5), told), never) == 5
    assert not list(cache.folder.glob(f"{claims.CLAIM}*"))


def test_claim_that_a_dead_process_left_holds_nobody_up(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    told: list[int] = []
    cache.append(rows_of(1, start=9), values_of(1))
    (cache.folder / f"{claims.CLAIM}left").write_bytes(prefixes(rows_of(5)).tobytes())
    assert cache.complete(rows_of(5), appending(cache, rows_of(5), told), never) == 5
    assert not list(cache.folder.glob(f"{claims.CLAIM}*"))


def test_cache_that_does_not_give_back_what_was_written_is_a_fault_and_no_endless_loop(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    with pytest.raises(OSError, match="does not give back") as failed:
        cache.complete(rows_of(5), lambda missing: None, never)
    assert failed.value.errno == errno.EIO
