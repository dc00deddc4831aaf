"""Processes at one job: what they send each other adds up, and what one cannot do all try again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.engine.group import ALONE, group_now
from headstart.engine.sources import PooledSource
from tests.engine.test_launch import in_two_processes

TWO = """
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.engine import training
from headstart.engine.devices import choose_device
from headstart.engine.embedding import embed_all
from headstart.engine.group import group_now
from headstart.engine.heads import stepped
from tests.engine.test_group import sentences
from tests.engine.test_training import Told, clusters, fit

assert choose_device("auto" if not torch.cuda.is_available() else "cpu") == torch.device("cpu")
group = group_now()
found = {"size": group.size, "rank": group.rank}

found["total"] = group.total(group.rank + 1, 0.5)
found["agrees"] = [group.agrees(on=True), group.agrees(on=group.first)]
found["told"] = group.told_by_first(lambda: {"by": group.rank, "é": [1.5, None]})
found["nothing told"] = group.told_by_first(dict)
computed = []

def compute(rows):
    computed.extend(rows.tolist())
    return np.stack([rows, -rows], axis=1).astype(np.float32)

found["divided"] = group.divided(np.arange(10, 15), compute).tolist()
found["computed"] = computed

table, dense, lonely, unused = (nn.Parameter(torch.zeros(*shape)) for shape in ((6, 2), (2, 3), (2,), (1,)))
rows = [[4, 1, 4], [1, 5]][group.rank]
table.grad = torch.sparse_coo_tensor([rows], torch.ones(len(rows), 2), (6, 2))
dense.grad = torch.full((2, 3), 1.0 + group.rank)
lonely.grad = torch.ones(2) if group.first else None
group.add_gradients([table, dense, lonely, unused, dense])
found["table"] = table.grad.to_dense()[:, 0].tolist()
found["dense"], found["lonely"], found["unused"] = dense.grad.tolist(), lonely.grad.tolist(), unused.grad
table.grad = torch.sparse_coo_tensor([[2]], torch.ones(1, 2), (6, 2)) if group.first else None
group.add_gradients([table])
found["read by one"] = table.grad.to_dense()[:, 0].tolist()

# memory runs out in the second process alone, once it is given more than two rows
forward = stepped.forward

def crowded(tensors, features, dropout):
    if not group.first and len(features) > 2:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    return forward(tensors, features, dropout)

stepped.forward = crowded
source, targets = clusters(37)
told = Told()
trained = fit(source, targets, told, epochs=2, batch_size=8)
found["warnings"], found["losses"] = told.warnings, told.losses
found["head"] = {name: value.tolist() for name, value in trained.heads[0].items()}
found["digest"] = hashlib.sha256(b"".join(value.tobytes() for value in trained.heads[0].values())).hexdigest()
read = embed_all(sentences(), np.array([4, 0, 3, 1, 2]), 8)
found["read"] = {of: values.tolist() for of, values in read.items()}
Path(sys.argv[1], f"{group.rank}.json").write_text(json.dumps(found))
torch.distributed.destroy_process_group()
"""


def sentences() -> PooledSource:
    """Five rows of 2, 0, 3, 1 and 1 words."""
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    return PooledSource(values, np.arange(7, dtype=np.float32)[:, None], np.array([2, 0, 3, 1, 1]))


def test_a_process_alone_has_all_rows_and_sends_nothing():
    assert group_now() is ALONE
    assert ALONE.first
    assert ALONE.share(np.arange(3)).tolist() == [0, 1, 2]
    assert ALONE.total(2.0) == [2.0]
    parameter = torch.nn.Parameter(torch.zeros(2))
    ALONE.add_gradients([parameter])
    assert parameter.grad is None


@pytest.mark.slow
def test_two_processes_add_up_and_end_with_the_same_bits(tmp_path):
    from tests.engine.test_training import Told, clusters, fit

    (tmp_path / "two.py").write_text(TWO)
    in_two_processes(str(tmp_path / "two.py"), str(tmp_path))
    first, second = (json.loads(Path(tmp_path, f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first["size"], first["rank"], second["rank"]) == (2, 0, 1)
    assert first["total"] == [3.0, 1.0]
    assert first["agrees"] == [True, False]
    assert first["told"] == {"by": 0, "é": [1.5, None]}
    assert first["nothing told"] == {}
    assert first["divided"] == [[row, -row] for row in range(10, 15)]
    assert (first["computed"], second["computed"]) == ([10, 12, 14], [11, 13])
    assert first["table"] == [0, 2, 0, 0, 2, 1]
    assert first["dense"] == [[3.0] * 3] * 2
    assert (first["lonely"], first["unused"]) == ([1.0, 1.0], None)
    assert first["read by one"] == [0, 0, 1, 0, 0, 0]
    assert first["read"] == {
        "example": [[8, 9], [0, 1], [6, 7], [2, 3], [4, 5]],
        "words": [[6], [0], [1], [5], [2], [3], [4]],
    }
    assert set(first["warnings"]) == {"out_of_memory"}
    same = first.keys() - {"rank", "computed"}
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    source, targets = clusters(37)
    told = Told()
    alone = fit(source, targets, told, epochs=2, batch_size=8)
    assert first["losses"] == pytest.approx(told.losses, abs=1e-5)
    for name, value in alone.heads[0].items():
        assert np.allclose(first["head"][name], value, atol=1e-5), name
