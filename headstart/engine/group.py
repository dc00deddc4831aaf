"""Several processes at one job, each with its share of the rows, and what they tell each other; a process alone tells nobody.

Every process comes by the same calls in the same order, so whatever decides about a call must be the same in all of them: what is measured
or found on a disk is told by the first, or agreed on.

Axes: N rows, D width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from headstart.engine.faults import ran_out_of_memory

BUCKET_NUMBERS = 16 * 2**20
"""Gradients are summed in pieces of about so many numbers: few messages, and 64 MB beside the gradients."""

_NONE, _DENSE, _SPARSE = range(3)


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of a job.

    Attributes:
        rank: number of this one, from 0.
        device: where tensors are that they send each other.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process speaks for all: it reports, and writes the artifact."""
        return self.rank == 0

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every `size`-th of the rows: shares of rows that lie by length cost alike."""
        return rows[self.rank :: self.size]

    def total(self, *numbers: float) -> list[float]:
        """The sum of each number over all processes."""
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return [float(each) for each in summed.tolist()]

    def agrees(self, *, on: bool) -> bool:
        """Whether it is so in all processes."""
        return self.total(float(on))[0] == self.size

    def added_up(self, part: Callable[[], Sequence[float]], count: int) -> list[float]:
        """The sums of the `count` numbers that `part` gives in each process.

        Raises:
            RuntimeError, MemoryError: memory ran out, in this process or in another; then in all, so that all can try again alike.
        """
        if self.size == 1:
            return list(part())
        values, fault = [0.0] * count, None
        try:
            values = list(part())
        except (RuntimeError, MemoryError) as caught:
            if not ran_out_of_memory(caught):
                raise
            fault = caught
        *summed, faults = self.total(*values, float(fault is not None))
        if faults:
            raise fault or MemoryError("memory ran out in another process")
        return summed

    def divided(self, rows: NDArray[np.int64], compute: Callable[[NDArray[np.int64]], NDArray[Any]]) -> NDArray[Any]:
        """What `compute` gives for these rows, [N, D], each computed in one process and known to all."""
        if self.size == 1 or len(rows) < self.size:
            return compute(rows)
        places = self.share(np.arange(len(rows)))
        return self.united(compute(rows[places]), places, len(rows))

    def united(self, own: NDArray[Any], places: NDArray[np.int64], count: int) -> NDArray[Any]:
        """The parts of all processes, [N, D], in each; this one's is for these of `count` places."""
        part = torch.from_numpy(own)
        whole = torch.zeros((count, own.shape[1]), dtype=part.dtype, device=self.device)
        whole[torch.from_numpy(places).to(self.device)] = part.to(self.device)
        distributed.all_reduce(whole)
        return whole.cpu().numpy()

    def told_by_first(self, say: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `say` gives in the first process, where alone it is called; plain JSON."""
        if self.size == 1:
            return say()
        content = json.dumps(say()).encode() if self.first else b""
        length = torch.tensor([len(content)], device=self.device)
        distributed.broadcast(length, 0)
        received = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        received[: len(content)] = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8).to(self.device)[: len(content)]
        distributed.broadcast(received, 0)
        told: dict[str, Any] = json.loads(received.cpu().numpy().tobytes())
        return told

    @torch.no_grad()
    def make_equal(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give all processes the first one's values."""
        if self.size > 1:
            for parameter in parameters:
                distributed.broadcast(parameter.data, 0)

    @torch.no_grad()
    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes; a parameter that has one anywhere has it everywhere, and the same bits."""
        if self.size == 1:
            return
        learning = list(dict.fromkeys(parameters))
        kinds = torch.tensor([_kind(parameter) for parameter in learning], device=self.device)
        distributed.all_reduce(kinds, distributed.ReduceOp.MAX)
        dense = []
        for parameter, kind in zip(learning, kinds.tolist(), strict=True):
            if kind == _SPARSE:
                parameter.grad = self._rows_of_all(parameter)
            elif kind == _DENSE:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                dense.append(parameter.grad)
        for bucket in _buckets(dense):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            distributed.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def _rows_of_all(self, table: nn.Parameter) -> Tensor:
        """The sparse gradient of a table with the rows that any process read; to sum up whole tables would send what nobody read."""
        if table.grad is None:
            rows, values = torch.empty(0, dtype=torch.int64, device=table.device), table.new_empty(0, *table.shape[1:])
        else:
            own = table.grad.coalesce()
            rows, values = own.indices()[0], own.values()  # [R], [R, D]
        counts = self._gathered(torch.tensor([len(rows)], device=self.device))
        most = max(int(count) for count in counts)
        all_rows, all_values = (self._gathered(_padded(each, most)) for each in (rows, values))
        taken = [int(count) for count in counts]
        rows = torch.cat([each[:count] for each, count in zip(all_rows, taken, strict=True)])
        values = torch.cat([each[:count] for each, count in zip(all_values, taken, strict=True)])
        return torch.sparse_coo_tensor(rows[None], values, table.shape).coalesce()

    def _gathered(self, own: Tensor) -> list[Tensor]:
        """The tensor of each process, all of one shape."""
        all_of_them = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(all_of_them, own)
        return all_of_them


ALONE = Group()


def group_now() -> Group:
    """The processes that this one has joined (`devices.choose_device`)."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ALONE
    on_cuda = distributed.get_backend() == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if on_cuda else torch.device("cpu")
    return Group(distributed.get_rank(), distributed.get_world_size(), device)


def _kind(parameter: nn.Parameter) -> int:
    return _NONE if parameter.grad is None else _SPARSE if parameter.grad.is_sparse else _DENSE


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(each.numel() for each in bucket) >= BUCKET_NUMBERS:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def _padded(tensor: Tensor, length: int) -> Tensor:
    made = tensor.new_zeros((length, *tensor.shape[1:]))
    made[: len(tensor)] = tensor
    return made
