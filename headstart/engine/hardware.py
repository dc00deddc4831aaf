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
    left @ right
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        (left @ right).sum().item()  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2.0 * ROWS * WIDTH * WIDTH / best


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
