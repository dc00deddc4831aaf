"""What stops an attempt, in words: disk full and out of memory are told apart from everything else."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headstart.errors import EngineFault

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MACHINE = _DISK_FULL | {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO}


def ran_out_of_memory(fault: BaseException) -> bool:
    """torch has an exception of its own for accelerators only; on the CPU and on MPS its allocators raise a RuntimeError with these words."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(fault, RuntimeError) and any(
        words in str(fault) for words in ("can't allocate memory", "not enough memory", "MPS backend out of memory")
    )


def is_the_machines(fault: BaseException) -> bool:
    """Whether memory, disk or file handles ran out: nothing that another input would mend."""
    return ran_out_of_memory(fault) or (isinstance(fault, OSError) and fault.errno in _MACHINE)


@contextmanager
def told_in_words() -> Iterator[None]:
    """Turn the faults of machine and disk that the block meets into `EngineFault`s; others pass.

    Raises:
        EngineFault: `disk_full`, `out_of_memory`.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno == errno.ENOMEM:
            raise _no_memory() from fault
        if fault.errno not in _DISK_FULL:
            raise
        raise EngineFault("disk_full", "The disk of the worker is full.", "Free some space, then retry the job.") from fault
    except (RuntimeError, MemoryError) as fault:
        if not ran_out_of_memory(fault):
            raise
        raise _no_memory() from fault


def _no_memory() -> EngineFault:
    return EngineFault(
        "out_of_memory", "This needs more memory than the worker has.", "Lower training.max_tokens, or take a smaller backbone."
    )
