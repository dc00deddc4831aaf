"""A small world to plan in: reviews with two labels, and MiniLM's anatomy."""

from __future__ import annotations

from typing import Any

from headstart.specs.backbones import Anatomy, Layer, Tensor, TextInput
from headstart.specs.datasets import ColumnProfile, DatasetProfile
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Hardware


def column(name: str, values: dict[str, int] | None = None, **overrides: Any) -> ColumnProfile:
    """A column profile; with `values`, a category of those counts."""
    fields: dict[str, Any] = {
        "name": name,
        "type": "text" if values is None else "category",
        "missing": 0,
        "distinct": 1998 if values is None else len(values),
        "longest": 900 if values is None else max(map(len, values), default=0),
        "mean_length": 120.0,
        "values": values,
    }
    return ColumnProfile(**{**fields, **overrides})


def dataset(*columns: ColumnProfile, rows: int = 2000) -> DatasetProfile:
    columns = columns or (column("review"), column("label", {"neg": 970, "pos": 1030}))
    return DatasetProfile(rows=rows, columns=list(columns), problems=[], problem_count=0)


def anatomy(*, max_tokens: int = 512, **overrides: Any) -> Anatomy:
    names = ["embeddings", *[f"encoder.layer.{number}" for number in range(6)], "pooler"]
    layers = [
        Layer(object="layer", name=name, index=index, parameters=1774464, output=["T", 384], axes=["T", "D"], boundary=True)
        for index, name in enumerate(names)
    ]
    layers[-1] = layers[-1].model_copy(update={"output": [384], "axes": ["D"]})
    fields: dict[str, Any] = {
        "architecture": "BertModel",
        "model_type": "bert",
        "library": "transformers",
        "input": TextInput(vocabulary=30522, max_tokens=max_tokens, segments=True),
        "license": "MIT",
        "sha256": "0" * 64,
        "bytes": 90868376,
        "files": {},
        "parameters": 22713216,
        "width": 384,
        "layers": layers,
        "layer_positions": dict.fromkeys(names, 1.0),
        "layer_flops": {name: 0.0 if name in {"embeddings", "pooler"} else 3.6e6 for name in names},
        "default_layer": "encoder.layer.5",
        "has_pooler": True,
        "linear": [f"{name}.dense" for name in names[1:]],
        "adapter_targets": {},
        "tensors": [Tensor(name=f"{name}.dense.weight", shape=[384, 384]) for name in names],
    }
    return Anatomy(**{**fields, **overrides})


HARDWARE = Hardware(cpu="a CPU", cores=2, memory_bytes=8 * 2**30, device="cpu", flops_per_second={"float32": 1e11, "bfloat16": 4e11})


def spec(method: Any = None, training: Any = None, evaluation: Any = None, **overrides: Any) -> JobSpec:
    task = {"type": "text-classification", "inputs": {"text": "review"}, "target": "label", **overrides}
    body = {
        "backbone": "minilm-l6",
        "dataset": "reviews",
        "tasks": [task],
        "method": {"type": "feature-extraction", **(method or {})},
        "training": training or {},
        "evaluation": evaluation or {},
    }
    return JobSpec.model_validate(body)
