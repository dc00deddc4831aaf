"""What this machine can do, measured once when a worker starts."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

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


def _rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of [ROWS, WIDTH] @ [WIDTH, WIDTH]; the best of several."""
    first = product_seconds(FIRST_ROWS, WIDTH, dtype, device, times=2)
    if first > SLOW_SECONDS:
        return 2.0 * FIRST_ROWS * WIDTH * WIDTH / first
    return 2.0 * ROWS * WIDTH * WIDTH / product_seconds(ROWS, WIDTH, dtype, device, times=5)


@torch.inference_mode()
def product_seconds(rows: int, width: int, dtype: torch.dtype, device: torch.device, *, times: int) -> float:
    """The least time that [rows, width] @ [width, width] takes, of so many; the first of them warms up."""
    left, right = torch.ones(rows, width, dtype=dtype, device=device), torch.ones(width, width, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        (left @ right).sum().item()  # waits for the device
        best = min(best, time.perf_counter() - started)
    return best


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
