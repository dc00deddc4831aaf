"""Convolutions that oneDNN gets wrong in 16 bits run in float32.

Seen with torch 2.14 on a processor with AMX: one-dimensional, of 2 to 8 channels in each of several groups, with kernels of 16, 64 and 128, it
gives numbers that have nothing to do with the answer; with 1, 16 and 48 channels, and in two dimensions, it is right. Of speech models only very
small ones have such. Alike: https://github.com/pytorch/pytorch/issues/163347.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

RIGHT_FROM = 16
"""Channels in a group from which on every kernel was right."""


def keep_narrow_exact(module: nn.Module) -> None:
    """Have the convolutions below `module` that may be got wrong compute in float32, whatever they are given, and give the dtype they are given."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d) and part.groups > 1 and 1 < part.in_channels // part.groups < RIGHT_FROM:
            part.forward = partial(_exact, part)  # type: ignore[method-assign]


def _exact(part: nn.Conv1d, x: Tensor) -> Tensor:
    bias = None if part.bias is None else part.bias.float()
    with torch.autocast(x.device.type, enabled=False):
        exact: Tensor = part._conv_forward(x.float(), part.weight.float(), bias)  # noqa: SLF001 - what its own `forward` calls
    return exact.to(x.dtype)
