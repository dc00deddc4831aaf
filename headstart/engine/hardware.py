"""What this machine can do, measured once when a worker starts."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch
from torch import Tensor

from headstart.specs.plans import Hardware

ROWS, WIDTH = 512, 1024
"""A product of this size is large enough to be bound by arithmetic and done in some milliseconds."""

FIRST_ROWS = 64
"""A product of so many rows is tried first, since machines without arithmetic of 16 bits were seen to take seconds for the whole one."""
SLOW_SECONDS = 0.05
"""One that takes so long says enough: a rate a hundred times below what any plan would choose."""


def measure(device: torch.device | str = "cpu") -> Hardware:
    """Matrix product rates of `device` by dtype, cores and memory of the machine; takes about a fifth of a second on a CPU."""
    device = torch.device(device)
    return Hardware(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device=device.type,
        flops_per_second={str(dtype).removeprefix("torch."): _rate(dtype, device) for dtype in (torch.float32, torch.bfloat16)},
    )


@torch.inference_mode()
def _rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of [ROWS, WIDTH] @ [WIDTH, WIDTH]; the best of several."""
    left, right = torch.ones(ROWS, WIDTH, dtype=dtype, device=device), torch.ones(WIDTH, WIDTH, dtype=dtype, device=device)
    first = min(_seconds(left[:FIRST_ROWS], right) for _ in range(2))  # the first of all also warms up
    if first > SLOW_SECONDS:
        return 2.0 * FIRST_ROWS * WIDTH * WIDTH / first
    return 2.0 * ROWS * WIDTH * WIDTH / min(_seconds(left, right) for _ in range(5))


def _seconds(left: Tensor, right: Tensor) -> float:
    started = time.perf_counter()
    (left @ right).sum().item()  # waits for the device
    return time.perf_counter() - started


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
