"""The one place that decides what a process computes on: its device, and the processes that it computes together with."""

from __future__ import annotations

import torch
from accelerate import PartialState  # type: ignore[import-untyped] # it has annotations, and no mark that says so
from torch import distributed

from headstart.errors import BadInput, listing, quote

DEVICES = ("auto", "cpu", "cuda", "mps")
"""What can be asked for; `auto` is the accelerator that torch finds, else the CPU."""


def choose_device(asked: str) -> torch.device:
    """The device of this process, by accelerate. Under `torchrun` it also joins the other processes: NCCL on CUDA, gloo on the CPU.

    Backbones, heads, batches and targets live there; features, artifacts and what heads predict are float32 on the CPU.

    Args:
        asked: one of `DEVICES`.

    Raises:
        BadInput: `invalid_field`, when there is no such device here, or the process has taken another one before.
    """
    if asked not in DEVICES:
        raise _refusal(asked, "it is none that is known", f"Known are {listing(DEVICES)}.")
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if asked not in {"auto", "cpu", found}:
        raise _refusal(asked, "torch finds none here", "Take auto or cpu.")
    wanted = found if asked == "auto" else asked
    # by itself accelerate joins other processes on CUDA alone; on the CPU it has to be told what it computes on
    device: torch.device = PartialState(cpu=wanted == "cpu").device
    if device.type != wanted:  # accelerate decides once in a process
        raise _refusal(wanted, f"this process computes on {device.type}", "Start another process.")
    if distributed.is_torchelastic_launched() and not distributed.is_initialized():
        raise _refusal(wanted, "several processes cannot share it", "Take cpu, or one process.")
    return torch.device("cpu") if wanted == "cpu" else device  # accelerate numbers CPUs by process


def _refusal(asked: str, why: str, hint: str) -> BadInput:
    return BadInput("invalid_field", f"The device {quote(asked)} cannot be taken: {why}.", hint)
