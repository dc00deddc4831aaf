"""Backbones of three modalities: what a backbone reads, the axes of its layers, and its linear modules, in the anatomies that are stored."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


BACKBONES = sa.table(
    "backbones", sa.column("id", sa.String), sa.column("status", sa.String), sa.column("anatomy", sa.JSON), sa.column("error", sa.JSON)
)
PROBE_TOKENS = 64
"""At which the older release measured; a layer without tokens gives one vector for all of them."""
SEGMENTS = "embeddings.token_type_embeddings.weight"
UNKNOWN = {
    "code": "bad_data",
    "message": "This release reads texts alone, and the backbone reads something else.",
    "hint": "Use the newer release.",
}

Anatomy = dict[str, Any]


def upgrade() -> None:
    for backbone, anatomy in stored():
        write(backbone, anatomy=upgraded(anatomy))


def downgrade() -> None:
    for backbone, anatomy in stored():
        if anatomy["input"]["type"] == "text" and anatomy["library"] == "transformers":
            write(backbone, anatomy=downgraded(anatomy))
        else:
            write(backbone, status="invalid", anatomy=sa.null(), error=UNKNOWN)


def stored() -> Iterator[tuple[str, Anatomy]]:
    """One at a time: an anatomy has a line for each tensor."""
    connection = op.get_bind()
    for (backbone,) in connection.execute(sa.select(BACKBONES.c.id).where(BACKBONES.c.anatomy.is_not(sa.null()))).all():
        yield backbone, connection.execute(sa.select(BACKBONES.c.anatomy).where(BACKBONES.c.id == backbone)).scalar_one()


def write(backbone: str, **values: Any) -> None:  # noqa: ANN401 - SQL's null among them
    op.get_bind().execute(sa.update(BACKBONES).where(BACKBONES.c.id == backbone).values(**values))


def upgraded(old: Anatomy) -> Anatomy:
    shapes = {tensor["name"]: tensor["shape"] for tensor in old["tensors"]}
    new = {name: value for name, value in old.items() if name not in {"modality", "vocabulary", "max_tokens", "layer_flops_per_token"}}
    segments = shapes.get(SEGMENTS, [0])[0] >= 2
    return new | {
        "library": "transformers",
        "input": {"type": "text", "vocabulary": old["vocabulary"], "max_tokens": old["max_tokens"], "segments": segments},
        "layers": [layer | {"axes": ["T", "D"] if by_token(layer) else ["D"]} for layer in old["layers"]],
        "layer_flops": old["layer_flops_per_token"],
        "layer_positions": {layer["name"]: 1.0 if by_token(layer) else 1 / PROBE_TOKENS for layer in old["layers"]},
        "linear": [name.removesuffix(".weight") for name in shapes if is_linear(name, shapes)],
        "adapter_targets": {},
    }


def by_token(layer: dict[str, Any]) -> bool:
    return bool(layer["output"][0] == "T")


def is_linear(name: str, shapes: dict[str, list[int]]) -> bool:
    """A matrix with a bias of its height: what the older release wrote down does not say more."""
    bias = f"{name.removesuffix('.weight')}.bias"
    return name.endswith(".weight") and len(shapes[name]) == 2 and shapes.get(bias) == shapes[name][:1]


ADDED = {"library", "input", "layer_flops", "layer_positions", "linear", "adapter_targets"}


def downgraded(new: Anatomy) -> Anatomy:
    old = {name: value for name, value in new.items() if name not in ADDED}
    return old | {
        "modality": "text",
        "vocabulary": new["input"]["vocabulary"],
        "max_tokens": new["input"]["max_tokens"],
        "layers": [{name: value for name, value in layer.items() if name != "axes"} for layer in new["layers"]],
        "layer_flops_per_token": new["layer_flops"],
    }
