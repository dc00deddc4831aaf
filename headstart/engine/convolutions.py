"""Convolutions that oneDNN may get wrong in 16 bits run in float32.

Seen with torch 2.14 on a processor with AMX: of an even number of channels below 16 in a group, and a kernel whose last side times that number is
a multiple of 32, it may give numbers that have nothing to do with the answer, in one dimension and in two; all others were right. Patches of
images of four bands are such, and the places of very small speech models. Alike: https://github.com/pytorch/pytorch/issues/163347.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

RIGHT_FROM = 16
"""Channels in a group from which on every kernel was right."""
BLOCK = 32


def keep_narrow_exact(module: nn.Module) -> None:
    """Have such convolutions below `module` compute in float32 on a CPU, whatever they are given, and give the dtype they are given."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d) and _is_narrow(part) and next(part.parameters()).device.type == "cpu":
            part.forward = partial(_exact, part)  # type: ignore[method-assign]


def _is_narrow(part: nn.Conv1d | nn.Conv2d) -> bool:
    channels = part.in_channels // part.groups
    return channels % 2 == 0 and channels < RIGHT_FROM and channels * part.kernel_size[-1] % BLOCK == 0


def _exact(part: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if part.bias is None else part.bias.float()
    with torch.autocast(x.device.type, enabled=False):
        exact: Tensor = part._conv_forward(x.float(), part.weight.float(), bias)  # noqa: SLF001 - what its own `forward` calls
    return exact.to(x.dtype)
