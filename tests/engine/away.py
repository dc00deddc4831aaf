"""A device that does not exist: its tensors lie in ordinary memory, and whatever mixes them with tensors of the CPU is refused, as CUDA does.

It shows that everything is moved to where it is needed. It shows nothing about kernels, speed or precision of a real accelerator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "away"
_MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class _Module:
    """What torch asks a device's module for."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None: ...

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class Away(torch.Tensor):
    """A tensor on the device; `raw` has its numbers."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Self:
        made = torch.Tensor._make_wrapper_subclass(cls, raw.shape, strides=raw.stride(), dtype=raw.dtype, device=torch.device(NAME, 0))
        made.raw = raw
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            made = Away(self.raw.clone()).requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return run(func, args, kwargs or {})


class OnDevice(TorchDispatchMode):
    """While it is entered, tensors can be made on the device and moved to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    wrappers = {id(each.raw): each for each in given if isinstance(each, Away)}
    if wrappers and func not in _MOVES:
        strangers = [each for each in given if not isinstance(each, Away) and each.ndim]
        assert not strangers, f"{func} mixes devices"
    device = kwargs.get("device")
    away = device.type == NAME if device is not None else bool(wrappers)
    if func is torch.ops.aten.copy_.default:
        away = isinstance(args[0], Away)
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = tree_map(lambda each: each.raw if isinstance(each, Away) else each, (args, kwargs))
    result = func(*args, **kwargs)

    def wrapped(each: Any) -> Any:
        if not isinstance(each, torch.Tensor) or not away:
            return each
        return wrappers.get(id(each)) if id(each) in wrappers else Away(each)

    return tree_map(wrapped, result)


def register() -> None:
    """Once in a process, and for good."""
    torch.inference_mode = torch.no_grad  # type: ignore[misc,assignment] # torch cannot make views of such tensors in inference mode
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
